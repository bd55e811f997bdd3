"""One run per state folder: two would deliver each other's events and overwrite each other's checkpoints."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from streamproc.errors import StreamprocError


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Hold the lock of a state folder, which the system lets go of when the process dies, however it dies.

    The folder itself is locked, so that nothing is left in it; it is made, and removed again if it stayed empty. Where
    it can't be made, or the file system knows no locks, nothing is held: whatever needs the folder reports that.
    Raises `StreamprocError` where another run has it.
    """
    held = _locked(folder)
    try:
        yield
    finally:
        if held is not None:
            with suppress(OSError):  # something lies in it
                folder.rmdir()
            os.close(held)


def _locked(folder: Path) -> int | None:
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(folder, held):
                return held
        except BlockingIOError:
            os.close(held)
            raise StreamprocError(
                f"the state folder {folder} is in use by another run; end that one first, or give this one a folder of "
                "its own with runtime.state"
            ) from None
        except OSError:
            pass  # a file system without locks: two runs are the user's care
        else:
            os.close(held)  # the run that had it has just removed it
            continue
        os.close(held)
        return None


def _is_still(folder: Path, held: int) -> bool:
    try:
        return os.path.samestat(folder.stat(), os.fstat(held))
    except FileNotFoundError:
        return False


__all__ = ["only_run"]
