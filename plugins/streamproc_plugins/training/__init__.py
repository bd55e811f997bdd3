"""Training on data of one's own: what is read, split, varied and fitted, and the model folders that come out.

Commands `streamproc train ...` and `streamproc models quantize`. Nothing here is loaded by a running stream.
"""
