"""Events in an SQLite database, to be searched by time, stream, type, label and text."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from streamproc.errors import SinkBusy, SinkError
from streamproc.events import Event
from streamproc.options import Field, Options
from streamproc.sink import EventSink, SinkContext

FORMAT = 1
_PATIENCE_S = 1.0
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


class SqliteOptions(Options):
    """Options of the `sqlite` sink."""

    path: Path = Field(description="the database file; its folder is made, and what is in it stays")


class SqliteSink(EventSink[SqliteOptions]):
    """Keeps each event once, with its thumbnails, in an SQLite database; `search` and `streamproc events` read it.

    Delivery: a repeated event is recognised by its id and kept once. Durable when `write` returns.
    """

    pictures: ClassVar[bool] = True
    _db: sqlite3.Connection | None = None

    def open(self, context: SinkContext) -> None:
        """Open the database, and make it if it isn't there; raises `SinkError`."""
        path = self.options.path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"{path} can't be made: {error.strerror}; choose another path") from error
        with _translated(path):
            db = sqlite3.connect(path, isolation_level=None, timeout=5)
            try:
                db.execute("PRAGMA journal_mode=WAL")
                db.execute("PRAGMA synchronous=FULL")
                _check_format(db, path)
                db.executescript(_SCHEMA + f"PRAGMA user_version={FORMAT};")
            except BaseException:
                db.close()
                raise
        self._db = db

    def write(self, events: Sequence[Event]) -> None:
        """Keep these events, in one transaction."""
        db = self._db
        if db is None:
            raise SinkError(f"{self.options.path} isn't open")
        with _translated(self.options.path):
            db.execute("BEGIN IMMEDIATE")
            try:
                for event in events:
                    _insert(db, event)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    def flush(self) -> None:
        """Nothing to do: each `write` is durable when it returns."""

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
    """What text search looks in: type, subject, and every text in `data` that isn't a time or a key of ours."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which events are wanted; what is left out doesn't matter."""

    text: str = ""
    """words that all occur in the event's texts; the last letters of a word may be left out"""
    stream: str = ""
    type: str = ""
    """`zone.entered`, or `zone` for all that start with `zone.`"""
    label: str = ""
    from_s: float | None = None
    """media seconds at which the event begins, at the earliest"""
    to_s: float | None = None
    """at the latest"""
    since: str = ""
    """UTC at which it begins, at the earliest: `2026-05-01`, `2026-05-01T08:30`; leaves out events without it"""
    until: str = ""
    """before this UTC"""
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An event that was looked for."""

    record: dict[str, Any]
    """the CloudEvents object"""
    pictures: dict[str, bytes] = field(repr=False)
    """thumbnails by name"""


def search(path: Path, query: Query) -> list[Found]:
    """The events of database `path` that fit, by capture time, then stream and media time, at most `query.limit`.

    Raises `SinkError` if there is no such database.
    """
    if not path.is_file():
        raise SinkError(f"{path}: no such file; name the database that a sqlite sink wrote")
    where, values = _conditions(query)
    statement = (
        f"SELECT number, body FROM events {where}"  # noqa: S608 - made of constants, values are bound
        " ORDER BY captured IS NULL, captured, stream, start_s, number LIMIT ?"
    )
    with _translated(path), closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
        _check_format(db, path)
        rows = db.execute(statement, [*values, query.limit]).fetchall()
        return [Found(record=json.loads(body), pictures=_pictures(db, number)) for number, body in rows]


def _pictures(db: sqlite3.Connection, number: int) -> dict[str, bytes]:
    return dict(db.execute("SELECT name, data FROM pictures WHERE number = ? ORDER BY name", (number,)).fetchall())


def _conditions(query: Query) -> tuple[str, list[Any]]:
    """The WHERE clause and its values."""
    kind = query.type.removesuffix(".*")
    words = " ".join(f'"{word}"*' for word in query.text.replace('"', " ").split())
    parts: list[tuple[str, list[Any]]] = [
        ("number IN (SELECT rowid FROM words WHERE words MATCH ?)", [words] if words else []),
        ("stream = ?", [query.stream] if query.stream else []),
        ("(type = ? OR substr(type, 1, length(?) + 1) = ? || '.')", [kind, kind, kind] if kind else []),
        ("label = ?", [query.label] if query.label else []),
        ("start_s >= ?", [] if query.from_s is None else [query.from_s]),
        ("start_s <= ?", [] if query.to_s is None else [query.to_s]),
        ("captured >= ?", [query.since] if query.since else []),
        ("captured < ?", [query.until] if query.until else []),
    ]
    asked = [(text, values) for text, values in parts if values]
    clause = "WHERE " + " AND ".join(text for text, _ in asked) if asked else ""
    return clause, [value for _, values in asked for value in values]


def _check_format(db: sqlite3.Connection, path: Path) -> None:
    found = db.execute("PRAGMA user_version").fetchone()[0]
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if found != FORMAT and tables:
        raise SinkError(f"{path} isn't a database of this version of streamproc (format {found}, expected {FORMAT})")


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """SQLite's errors as ours: busy or full is worth another try."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL):
            raise SinkBusy(f"{path}: {error}; trying again", _PATIENCE_S) from error
        raise SinkError(f"{path}: {error}") from error


__all__ = ["Found", "Query", "SqliteOptions", "SqliteSink", "search"]
