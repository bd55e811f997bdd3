"""Settings of a run's process, for many large pictures and several worker threads."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_OPENCV_THREADS = "OPENCV_FOR_THREADS_NUM"
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_RETAINED_BYTES = 256 << 20
_LARGEST_RETAINED = 32 << 20
"""largest value that glibc accepts; a 4K picture in RGB has 25 MB"""


def prepare_process() -> None:
    """Set up a process that does nothing but run streamproc.

    Reuses the memory of pictures, and keeps OpenCV from starting threads beside the workers: OpenCV's threads would
    wait for each other, as the workers keep all cores busy already.
    """
    if _OPENCV_THREADS not in os.environ:
        import cv2

        cv2.setNumThreads(1)
    prepare_memory()


@contextmanager
def opencv_on_one_thread() -> Iterator[None]:
    """Keep OpenCV from starting threads within this block, in a process that is the user's own."""
    import cv2

    before = cv2.getNumThreads()
    if _OPENCV_THREADS not in os.environ:
        cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def prepare_memory() -> None:
    """Reuse the memory of pictures for later ones, unless the environment configures malloc itself.

    By default glibc returns each picture's memory to the system and requests it again, page by page: 1.3 of the 8 ms
    that a 720p frame costs beside its net.
    """
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    if sys.platform != "linux" or "_threshold" in tunables or any(name.startswith("MALLOC_") for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST_RETAINED)
        mallopt(_TRIM_THRESHOLD, _RETAINED_BYTES)


__all__ = ["opencv_on_one_thread", "prepare_memory", "prepare_process"]
