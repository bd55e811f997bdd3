"""Settings of a run's process, for many large pictures and several worker threads."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
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


class _OpenCvThreads:
    """OpenCV's own number of threads while runs of a process that is the user's own keep it at one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs = 0
        self._before = 0

    def limit(self) -> None:
        """A run begins: the first one remembers what it finds."""
        import cv2

        with self._lock:
            if not self._runs:
                self._before = cv2.getNumThreads()
                cv2.setNumThreads(1)
            self._runs += 1

    def restore(self) -> None:
        """A run ends: the last one restores what the first one found."""
        import cv2

        with self._lock:
            self._runs -= 1
            if not self._runs:
                cv2.setNumThreads(self._before)


_opencv_threads = _OpenCvThreads()


@contextmanager
def opencv_on_one_thread() -> Iterator[None]:
    """Keep OpenCV from starting threads within this block, which may overlap with others on other threads."""
    if _OPENCV_THREADS in os.environ:
        yield
        return
    _opencv_threads.limit()
    try:
        yield
    finally:
        _opencv_threads.restore()


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
