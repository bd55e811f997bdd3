"""Files in the state folder of a run: the outbox, checkpoints, dead letters, repro bundles."""

from __future__ import annotations

import threading
from pathlib import Path

from streamproc.delivery.deadletters import DeadLetters
from streamproc.delivery.outbox import Outbox
from streamproc.engine.bundle import remove_unfinished
from streamproc.engine.checkpoint import CheckpointStore


class StateFiles:
    """Files of a state folder, each made on first use; safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dead_letters = DeadLetters(folder / "dead_letters.jsonl")
        """file of the records that sinks refuse"""
        self._lock = threading.Lock()
        self._outbox: Outbox | None = None
        self._checkpoints: CheckpointStore | None = None

    def clean(self) -> None:
        """Remove files that killed runs left half-written."""
        remove_unfinished(self.folder / "bundles")

    def outbox(self) -> Outbox:
        """Return the run's outbox; raises `OutboxError`."""
        with self._lock:
            if self._outbox is None:
                self._outbox = Outbox(self._outbox_path)
            return self._outbox

    def outbox_exists(self) -> bool:
        """Return whether there is an outbox already, perhaps of an earlier run."""
        return self._outbox is not None or self._outbox_path.exists()

    def checkpoints(self) -> CheckpointStore:
        """Return the checkpoints of resumable sources."""
        with self._lock:
            if self._checkpoints is None:
                self._checkpoints = CheckpointStore(self.folder / "checkpoints.sqlite")
            return self._checkpoints

    def bundles(self) -> Path:
        """Return the folder for repro bundles."""
        folder = self.folder / "bundles"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def close(self) -> None:
        """Close the databases."""
        for database in (self._outbox, self._checkpoints):
            if database is not None:
                database.close()

    @property
    def _outbox_path(self) -> Path:
        return self.folder / "outbox.sqlite"


__all__ = ["StateFiles"]
