"""Events that a `sqlite` sink wrote, searched by time, stream, type, label and text."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from streamproc.database import Database, DatabaseError, open_database
from streamproc.errors import SinkBusy, SinkError

FORMAT = 1
_PATIENCE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Filter of events; empty fields match everything."""

    text: str = ""
    """words that all occur in the event's texts; a word matches as a prefix"""
    stream: str = ""
    type: str = ""
    """`zone.entered`, or `zone` for all that start with `zone.`"""
    label: str = ""
    zone: str = ""
    """a zone or a line"""
    from_s: float | None = None
    """earliest start of the event in media seconds"""
    to_s: float | None = None
    """latest start of the event in media seconds"""
    since: str = ""
    """earliest start in UTC: `2026-05-01`, `2026-05-01T08:30`; leaves out events without capture time"""
    until: str = ""
    """start before this UTC"""
    limit: int = 100
    oldest_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An event that matches a query."""

    record: dict[str, Any]
    """the CloudEvents object"""
    pictures: dict[str, bytes] = field(repr=False)
    """thumbnails by name"""


def search(path: Path, query: Query) -> list[Found]:
    """Return the matching events of database `path`, the newest first, at most `query.limit`.

    The order is that of capture time, then of arrival; events without a capture time, as of recordings, come last.

    Raises `SinkError` if there is no such database.
    """
    if not path.is_file():
        raise SinkError(f"{path}: no such file; name the database that a sqlite sink wrote")
    where, values = _conditions(query)
    way = "ASC" if query.oldest_first else "DESC"
    statement = (
        f"SELECT number, body FROM events {where}"  # noqa: S608 - made of constants, values are bound
        f" ORDER BY captured IS NULL, captured {way}, number {way} LIMIT ?"
    )
    with (
        translated(path),
        closing(open_database(path, prepare=partial(check_format, path=path), advice="", readonly=True)) as db,
    ):
        rows = db.read(statement, [*values, query.limit])
        return [Found(record=json.loads(body), pictures=_pictures(db, number)) for number, body in rows]


def _pictures(db: Database, number: int) -> dict[str, bytes]:
    return dict(db.read("SELECT name, data FROM pictures WHERE number = ? ORDER BY name", (number,)))


def _conditions(query: Query) -> tuple[str, list[Any]]:
    """Return the WHERE clause and its values."""
    kind = query.type.removesuffix(".*")
    words = " ".join(f'"{word}"*' for word in query.text.replace('"', " ").split())
    parts: list[tuple[str, list[Any]]] = [
        ("number IN (SELECT rowid FROM words WHERE words MATCH ?)", [words] if words else []),
        ("stream = ?", [query.stream] if query.stream else []),
        ("(type = ? OR substr(type, 1, length(?) + 1) = ? || '.')", [kind, kind, kind] if kind else []),
        ("label = ?", [query.label] if query.label else []),
        (
            "? IN (json_extract(body, '$.data.zone'), json_extract(body, '$.data.line'))",
            [query.zone] if query.zone else [],
        ),
        ("start_s >= ?", [] if query.from_s is None else [query.from_s]),
        ("start_s <= ?", [] if query.to_s is None else [query.to_s]),
        ("captured >= ?", [query.since] if query.since else []),
        ("captured < ?", [query.until] if query.until else []),
    ]
    asked = [(text, values) for text, values in parts if values]
    clause = "WHERE " + " AND ".join(text for text, _ in asked) if asked else ""
    return clause, [value for _, values in asked for value in values]


def check_format(db: sqlite3.Connection, path: Path) -> None:
    """Raise `SinkError` unless the database is of this version, or empty."""
    found = db.execute("PRAGMA user_version").fetchone()[0]
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if found != FORMAT and tables:
        raise SinkError(f"{path} isn't a database of this version of streamproc (format {found}, expected {FORMAT})")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn a database's errors into a sink's: `SinkBusy` where another try may work, else `SinkError`."""
    try:
        yield
    except DatabaseError as error:
        if error.busy:
            raise SinkBusy(f"{path}: {error.reason}", _PATIENCE_S) from error
        if error.foreign:
            raise SinkError(
                f"{path} isn't an SQLite database; name one that a sqlite sink wrote, or give the sink a new file"
            ) from error
        raise SinkError(str(error)) from error


__all__ = ["FORMAT", "Found", "Query", "check_format", "search", "translated"]
