"""Events in an SQLite database, to be searched by time, stream, type, label and text (`streamproc.eventstore`)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from streamproc.database import Database, open_database
from streamproc.errors import SinkError
from streamproc.events import Event
from streamproc.eventstore import FORMAT, check_format, translated
from streamproc.options import Field, Options
from streamproc.sink import EventSink, SinkContext

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY,  -- order of arrival
    id TEXT NOT NULL UNIQUE,
    stream TEXT NOT NULL,
    type TEXT NOT NULL,
    phase TEXT NOT NULL,
    label TEXT,
    start_s REAL NOT NULL,       -- media time
    captured TEXT,               -- UTC, RFC 3339, NULL where unknown
    body TEXT NOT NULL           -- the CloudEvents object
);
CREATE INDEX IF NOT EXISTS events_by_stream ON events (stream, start_s);
CREATE INDEX IF NOT EXISTS events_by_type ON events (type, start_s);
CREATE INDEX IF NOT EXISTS events_by_label ON events (label, start_s);
CREATE INDEX IF NOT EXISTS events_by_captured ON events (captured);
CREATE TABLE IF NOT EXISTS pictures (
    number INTEGER NOT NULL REFERENCES events (number),
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (number, name)
);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (text, content='', tokenize='unicode61');
"""

_TIMEOUT_S = 5.0


class SqliteOptions(Options):
    """Options of the `sqlite` sink."""

    path: Path = Field(description="the database file; its folder is made, and what is in it stays")


class SqliteSink(EventSink[SqliteOptions]):
    """Stores each event once, with its thumbnails, in an SQLite database that `streamproc events` searches.

    Delivery: a repeated event is recognised by its id and stored once. Durable when `write` returns.
    """

    pictures: ClassVar[bool] = True
    _db: Database | None = None

    def open(self, context: SinkContext) -> None:
        """Open the database, and make it if it isn't there; raises `SinkError`."""
        path = self.options.path
        with translated(path):
            self._db = open_database(
                path,
                _SCHEMA + f"PRAGMA user_version={FORMAT};",
                prepare=partial(check_format, path=path),
                advice="choose another path, or free the disk",
                timeout_s=_TIMEOUT_S,
            )

    def write(self, events: Sequence[Event]) -> None:
        """Store these events, in one transaction."""
        db = self._db
        if db is None:
            raise SinkError(f"{self.options.path} isn't open")
        with translated(self.options.path), db.transaction() as connection:
            for event in events:
                _insert(connection, event)

    def flush(self) -> None:
        """Do nothing: each `write` is durable when it returns."""

    def close(self) -> None:
        """Close the database."""
        if self._db is not None:
            self._db.close()
            self._db = None


def _insert(db: sqlite3.Connection, event: Event) -> None:
    record = event.to_json()
    data = record["data"]
    label = data.get("label")
    body = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    cells = (
        event.id, event.stream, event.type, event.phase, label if isinstance(label, str) else None,
        data["start_s"], data["captured"], body,
    )  # fmt: skip
    made = db.execute(
        "INSERT OR IGNORE INTO events (id, stream, type, phase, label, start_s, captured, body)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        cells,
    )
    if made.rowcount == 0:
        return
    number = made.lastrowid
    db.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (number, " ".join(_texts(record))))
    db.executemany(
        "INSERT OR IGNORE INTO pictures VALUES (?, ?, ?, ?)",
        [(number, item.name, item.media_type, item.data) for item in event.attachments],
    )


def _texts(record: dict[str, Any]) -> Iterator[str]:
    """Return the searched texts: type, subject, and every text in `data` except times and streamproc's own keys."""
    yield record["type"]
    yield record.get("subject", "")
    yield from _strings({key: value for key, value in record["data"].items() if key not in ("captured", "episode")})


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


__all__ = ["SqliteOptions", "SqliteSink"]
