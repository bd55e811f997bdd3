"""The process that `streamproc run` has to itself, set up for many large pictures and several worker threads."""

from __future__ import annotations

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_KEPT_BYTES = 256 << 20
_LARGEST_KEPT = 32 << 20
"""the most that glibc takes: a 4K picture in RGB is 25 MB"""


def prepare_process() -> None:
    """Keep the memory of pictures for the pictures after them, and OpenCV from starting threads beside the workers.

    glibc gives each picture's memory back to the system and asks for it again, page by page: 1.3 of the 8 ms that a
    720p frame costs beside its net. OpenCV's own threads wait for each other inside workers that keep all cores busy
    already. Both are left alone where the environment says something of them.
    """
    if "OPENCV_FOR_THREADS_NUM" not in os.environ:
        import cv2

        cv2.setNumThreads(1)
    told = any(name.startswith("MALLOC_") for name in os.environ) or "_threshold" in os.environ.get(
        "GLIBC_TUNABLES", ""
    )
    if sys.platform == "linux" and not told:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if mallopt is not None:
            mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT)
            mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)


__all__ = ["prepare_process"]
