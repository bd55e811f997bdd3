"""Locks of the runs of a state folder: each run holds one while it is alive."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from streamproc.filelock import is_locked, lock_file, unlock_file

FOLDER = "runs"


class RunLock:
    """Identity of one run, and its lock. On a file system without locks every other run counts as ended."""

    def __init__(self, state: Path) -> None:
        """Make the file in `state` and lock it; raises `OSError` where it can't be made."""
        self._folder = state / FOLDER
        self._file: int | None = None
        while self._file is None:
            self.id = uuid4().hex
            try:
                self._file = lock_file(self._path_of(self.id))
            except BlockingIOError:  # another run checks this lock at this moment: take another name
                continue

    def alive(self, run: str) -> bool:
        """Return whether a run is still at work."""
        return run == self.id or is_locked(self._path_of(run))

    def release(self) -> None:
        """End the run: other runs may take over its events. May be called twice."""
        if self._file is not None:
            unlock_file(self._path_of(self.id), self._file)
            self._file = None

    def _path_of(self, run: str) -> Path:
        return self._folder / f"{run}.lock"


__all__ = ["FOLDER", "RunLock"]
