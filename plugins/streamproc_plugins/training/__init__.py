"""Training on your own data: reading, splits, variation, fitting, and the model folders that result.

Commands `streamproc train ...` and `streamproc models quantize`. Nothing here is loaded by a running stream.
"""
