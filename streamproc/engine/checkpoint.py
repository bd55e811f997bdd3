"""Checkpoints of resumable sources: where to go on, and the state of every plugin at exactly that place.

A checkpoint stands at one barrier in all streams of a source: everything before it is done, flushed by every sink, and
in the states; nothing behind it is. It is written before the source commits; after a restart read positions come from
it.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamproc.errors import StreamprocError

FORMAT = 2


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
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("CREATE TABLE IF NOT EXISTS checkpoints (source TEXT PRIMARY KEY, body TEXT NOT NULL)")
        except (OSError, sqlite3.Error) as error:
            raise StreamprocError(f"checkpoints can't be kept in {path}: {error}; set runtime.state") from error

    def read(self, source: str) -> Checkpoint | None:
        """The last checkpoint of a source, None where there is none."""
        rows = self._run("SELECT body FROM checkpoints WHERE source = ?", (source,))
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
        """Keep a checkpoint; durable on return."""
        body = {"format": FORMAT, "positions": dict(checkpoint.positions), "streams": dict(checkpoint.streams)}
        self._run("INSERT OR REPLACE INTO checkpoints VALUES (?, ?)", (source, json.dumps(body)))

    def _run(self, statement: str, values: tuple[str, ...]) -> list[Any]:
        with self._lock:
            try:
                return self._db.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                raise StreamprocError(f"checkpoints can't be kept in {self._path}: {error}; free the disk") from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


__all__ = ["Checkpoint", "CheckpointStore"]
