"""The outbox: stores events for network sinks on disk until their sink has flushed them.

SQLite in WAL mode with full synchronisation: once `add` returns, its events survive `kill -9` and a power failure.
Runs may share a file: each row belongs to a run, and a run adopts the rows of runs that have ended.
"""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from hashlib import blake2b
from pathlib import Path

from streamproc.config.plan import SinkPlan
from streamproc.database import DatabaseError, open_database
from streamproc.delivery.runlock import RunLock
from streamproc.errors import StreamprocError
from streamproc.events import Attachment, Event

_SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
  number INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, serial INTEGER NOT NULL, body TEXT NOT NULL,
  run TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS outbox_by_sink ON outbox (sink, number);
"""
_ADVICE = "free the disk or set runtime.state"


def outbox_key(plan: SinkPlan) -> str:
    """Return the key of a sink's events: name and options, so that another job's sink of that name differs."""
    return f"{plan.name}@{blake2b(plan.options.model_dump_json().encode(), digest_size=8).hexdigest()}"


class OutboxError(StreamprocError):
    """The outbox can't be used: no event can be stored safely any more, so the run ends."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One event that waits in the outbox."""

    number: int
    serial: int
    """the run's serial at the time, 0 for an event of an earlier run"""
    event: Event


class Outbox:
    """One file for all sinks of a run; thread-safe. Other runs may use the same file.

    Every method may raise `OutboxError`.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or make it, as a run of its own."""
        try:
            self._db = open_database(path, _SCHEMA, prepare=_add_run, advice=_ADVICE)
        except DatabaseError as error:
            raise OutboxError(f"the outbox can't be opened: {error}") from error
        try:
            self._run = RunLock(path.parent)
        except OSError as error:
            self._db.close()
            raise OutboxError(f"the outbox {path} can't be locked: {error.strerror}; {_ADVICE}") from error

    def add(self, sink: str, events: Sequence[tuple[int, Event]]) -> None:
        """Store (serial, event) pairs for `sink`; durable on return."""
        rows = [(sink, serial, pack(event), self._run.id) for serial, event in events]
        with self._writing() as db:
            db.executemany("INSERT INTO outbox (sink, serial, body, run) VALUES (?, ?, ?, ?)", rows)

    def adopt(self, sink: str) -> int:
        """Take over the events that ended runs left for `sink`; return their number."""
        ended = [run for run in self._runs_of(sink) if not self._run.alive(run)]
        if not ended:
            return 0
        with self._writing() as db:
            return sum(
                db.execute(
                    "UPDATE outbox SET run = ?, serial = 0 WHERE sink = ? AND run = ?", (self._run.id, sink, run)
                ).rowcount
                for run in ended
            )

    def head(self, sink: str, most: int) -> list[Waiting]:
        """Return the oldest events of this run for `sink`."""
        with self._reading():
            rows = self._db.read(
                "SELECT number, serial, body FROM outbox WHERE sink = ? AND run = ? ORDER BY number LIMIT ?",
                (sink, self._run.id, most),
            )
        return [Waiting(number, serial, unpack(body)) for number, serial, body in rows]

    def remove(self, sink: str, upto: int) -> None:
        """Delete the events of this run for `sink` up to this number, once they are flushed."""
        with self._writing() as db:
            db.execute("DELETE FROM outbox WHERE sink = ? AND run = ? AND number <= ?", (sink, self._run.id, upto))

    def count(self, sink: str) -> int:
        """Return the number of events, of this run and ended ones, for `sink`; for a plain name, over all its keys."""
        return sum(count for key, count in self.waiting().items() if sink in (key, key.rpartition("@")[0]))

    def waiting(self) -> dict[str, int]:
        """Return the number of events, of this run and ended ones, by the key of their sink."""
        with self._reading():
            rows = self._db.read("SELECT sink, run, count(*) FROM outbox GROUP BY sink, run ORDER BY sink")
        counts: dict[str, int] = {}
        for sink, run, count in rows:
            if run == self._run.id or not self._run.alive(run):
                counts[sink] = counts.get(sink, 0) + count
        return counts

    def close(self) -> None:
        """Close the file; other runs may take over the events in it."""
        self._db.close()
        self._run.release()

    def _runs_of(self, sink: str) -> list[str]:
        with self._reading():
            rows = self._db.read("SELECT DISTINCT run FROM outbox WHERE sink = ? AND run != ?", (sink, self._run.id))
        return [run for (run,) in rows]

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._db.transaction() as db:
                yield db
        except DatabaseError as error:
            raise OutboxError(f"the outbox can't be written: {error}") from error

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except DatabaseError as error:
            raise OutboxError(f"the outbox can't be read: {error}") from error


def _add_run(db: sqlite3.Connection) -> None:
    """Migrate a file without the column `run`: its rows belong to a run that has ended."""
    db.execute("BEGIN IMMEDIATE")
    columns = {row[1] for row in db.execute("PRAGMA table_info(outbox)")}
    if columns and "run" not in columns:
        db.execute("ALTER TABLE outbox ADD COLUMN run TEXT NOT NULL DEFAULT ''")
    db.execute("COMMIT")


def pack(event: Event) -> str:
    """Return `event` as JSON text, exact to the nanosecond."""
    values = {f.name: getattr(event, f.name) for f in fields(event)}
    values["data"] = dict(event.data)
    values["attachments"] = [[a.name, a.media_type, base64.b64encode(a.data).decode()] for a in event.attachments]
    return json.dumps(values)


def unpack(text: str) -> Event:
    """Return the event that `pack` wrote."""
    values = json.loads(text)
    pictures = [
        Attachment(name=name, media_type=kind, data=base64.b64decode(data))
        for name, kind, data in values["attachments"]
    ]
    return Event(**{**values, "attachments": tuple(pictures)})


__all__ = ["Outbox", "OutboxError", "Waiting", "outbox_key", "pack", "unpack"]
