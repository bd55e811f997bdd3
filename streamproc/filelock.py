"""File locks that the system frees when their process ends, even after a crash."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path


def lock_file(path: Path) -> int:
    """Make a file and lock it, without waiting; return its descriptor, for `unlock_file`.

    On a file system without locks the descriptor holds none. Raises `BlockingIOError` where another process holds the
    lock, and `OSError` where the file can't be made.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:  # another process has just removed the empty folder
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise
        except OSError:
            return file
        if _is_at(path, file):
            return file
        os.close(file)  # another process removed the file before it was locked


def unlock_file(path: Path, file: int) -> None:
    """Remove the file and free its lock; its folder goes too where nothing else lies in it."""
    with suppress(OSError):
        path.unlink()
    os.close(file)
    with suppress(OSError):
        path.parent.rmdir()


def is_locked(path: Path) -> bool:
    """Return whether a process holds the lock of this file; remove the file where none does."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # shared: two processes that check at the same time don't mistake each other for the owner
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        with suppress(OSError):
            path.unlink()
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(file)
    return False


def _is_at(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file))
    except FileNotFoundError:
        return False


__all__ = ["is_locked", "lock_file", "unlock_file"]
