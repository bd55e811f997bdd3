"""The outbox: events for network sinks lie on disk until their sink has flushed them.

SQLite in WAL mode with full synchronisation: what `add` returned from survives `kill -9` and a power cut.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass, fields
from hashlib import blake2b
from pathlib import Path
from typing import Any

from streamproc.config.plan import SinkPlan
from streamproc.errors import StreamprocError
from streamproc.events import Attachment, Event

_SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
  number INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, serial INTEGER NOT NULL, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS outbox_by_sink ON outbox (sink, number);
"""


def outbox_key(plan: SinkPlan) -> str:
    """Under what a sink's events wait: name and options, so that another job's sink of that name isn't meant."""
    return f"{plan.name}@{blake2b(plan.options.model_dump_json().encode(), digest_size=8).hexdigest()}"


class OutboxError(StreamprocError):
    """The outbox itself can't be written: nothing is safe any more, so the run ends."""


@dataclass(frozen=True, slots=True)
class Held:
    """One event that waits in the outbox."""

    number: int
    serial: int
    """the engine's count at the time, 0 for what an earlier run left"""
    event: Event


class Outbox:
    """One file for all sinks of a run; safe to share between their writer threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
            # serials are counts of one run: what an earlier one left counts as older than everything
            self._db.execute("UPDATE outbox SET serial = 0")
        except (OSError, sqlite3.Error) as error:
            raise OutboxError(
                f"the outbox {path} can't be opened: {error}; free the disk or set runtime.state"
            ) from error

    def add(self, sink: str, events: Sequence[tuple[int, Event]]) -> None:
        """Keep these (serial, event) for `sink`; durable on return."""
        rows = [(sink, serial, pack(event)) for serial, event in events]
        self._run("INSERT INTO outbox (sink, serial, body) VALUES (?, ?, ?)", rows)

    def head(self, sink: str, most: int) -> list[Held]:
        """The oldest events of `sink`."""
        with self._lock:
            try:
                rows = self._db.execute(
                    "SELECT number, serial, body FROM outbox WHERE sink = ? ORDER BY number LIMIT ?", (sink, most)
                ).fetchall()
            except sqlite3.Error as error:
                raise OutboxError(f"the outbox {self._path} can't be read: {error}") from error
        return [Held(number, serial, unpack(body)) for number, serial, body in rows]

    def remove(self, sink: str, upto: int) -> None:
        """Forget the events of `sink` up to this number: they are flushed."""
        self._run("DELETE FROM outbox WHERE sink = ? AND number <= ?", [(sink, upto)])

    def count(self, sink: str) -> int:
        """How many events wait for `sink`; for a plain name, for all targets that it had."""
        with self._lock:
            try:
                return int(
                    self._db.execute(
                        "SELECT count(*) FROM outbox WHERE sink = ? OR sink LIKE ? || '@%'", (sink, sink)
                    ).fetchone()[0]
                )
            except sqlite3.Error as error:
                raise OutboxError(f"the outbox {self._path} can't be read: {error}") from error

    def waiting(self) -> dict[str, int]:
        """How many events wait, by the key of their sink."""
        with self._lock:
            try:
                return dict(
                    self._db.execute("SELECT sink, count(*) FROM outbox GROUP BY sink ORDER BY sink").fetchall()
                )
            except sqlite3.Error as error:
                raise OutboxError(f"the outbox {self._path} can't be read: {error}") from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _run(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        with self._lock:
            try:
                self._db.execute("BEGIN")
                self._db.executemany(statement, rows)
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise OutboxError(f"the outbox {self._path} can't be written: {error}; free the disk") from error


def pack(event: Event) -> str:
    """`event` as JSON text, exact to the nanosecond."""
    values = {f.name: getattr(event, f.name) for f in fields(event)}
    values["data"] = dict(event.data)
    values["attachments"] = [[a.name, a.media_type, base64.b64encode(a.data).decode()] for a in event.attachments]
    return json.dumps(values)


def unpack(text: str) -> Event:
    """The event that `pack` wrote."""
    values = json.loads(text)
    pictures = [
        Attachment(name=name, media_type=kind, data=base64.b64decode(data))
        for name, kind, data in values["attachments"]
    ]
    return Event(**{**values, "attachments": tuple(pictures)})
