"""Checkpoints of resumable sources: positions to read on from, and the state of every plugin at exactly that place.

A checkpoint belongs to one barrier in all streams of a source. Everything before the barrier is processed, flushed by
every sink and part of the states; nothing behind it is. The checkpoint is written before the source commits; a
restarted run reads on from its positions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamproc.database import DatabaseError, open_database
from streamproc.errors import StreamprocError

FORMAT = 2

_SCHEMA = "CREATE TABLE IF NOT EXISTS checkpoints (source TEXT PRIMARY KEY, body TEXT NOT NULL)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """State of a source and its streams at one barrier."""

    positions: Mapping[str, int]
    """by partition: the offset at which reading goes on"""
    streams: Mapping[str, Any]
    """by stream: state from which `StreamRun` and its intake continue, as plain JSON values"""


class CheckpointStore:
    """Checkpoints of a state folder, by source."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._db = open_database(path, _SCHEMA, advice="free the disk, or set runtime.state")
        except DatabaseError as error:
            raise StreamprocError(f"checkpoints can't be stored in {error}") from error

    def read(self, source: str) -> Checkpoint | None:
        """Return the last checkpoint of a source, None where there is none."""
        try:
            rows = self._db.read("SELECT body FROM checkpoints WHERE source = ?", (source,))
        except DatabaseError as error:
            raise StreamprocError(f"the checkpoint of {source} can't be read from {error}") from error
        if not rows:
            return None
        body = json.loads(rows[0][0])
        if body.get("format") != FORMAT:
            raise StreamprocError(
                f"the checkpoint of {source} in {self._path} has format {body.get('format')}, expected {FORMAT}; "
                "finish with the version that wrote it, or remove the file to start afresh"
            )
        return Checkpoint(positions=body["positions"], streams=body["streams"])

    def write(self, source: str, checkpoint: Checkpoint) -> None:
        """Store a checkpoint; durable on return."""
        body = {"format": FORMAT, "positions": dict(checkpoint.positions), "streams": dict(checkpoint.streams)}
        try:
            with self._db.transaction() as db:
                db.execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?)", (source, json.dumps(body)))
        except DatabaseError as error:
            raise StreamprocError(f"checkpoints can't be stored in {error}") from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()


__all__ = ["Checkpoint", "CheckpointStore"]
