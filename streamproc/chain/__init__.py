"""The processing of frames: owns order, sampling, plugin calls and breakers of one stream.

Pure functions and value machines, without threads, clocks, queues or logs.
"""
