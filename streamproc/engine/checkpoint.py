"""Checkpoints of resumable sources: where to go on, and the state of every plugin at exactly that place.

A checkpoint stands at one barrier in all streams of a source: everything before it is done, flushed by every sink, and
in the states; nothing behind it is. It is written before the source commits; after a restart read positions come from
it.
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
    """by stream: what `StreamRun` and its intake need to go on, plain JSON values"""


class CheckpointStore:
    """The checkpoints of a state folder, by source."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._db = open_database(path, _SCHEMA, advice="free the disk, or set runtime.state")
        except DatabaseError as error:
            raise StreamprocError(f"checkpoints can't be stored in {error}") from error

    def read(self, source: str) -> Checkpoint | None:
        """The last checkpoint of a source, None where there is none."""
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
