"""Stored items, on disk: a vector index for frames, objects and faces each, and a database row for every item."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamproc import PluginError
from streamproc.database import Database, DatabaseError, open_database
from streamproc.folders import files_below
from streamproc_plugins.storage import write_private
from streamproc_plugins.vectors import VectorIndex

F32 = NDArray[np.float32]
Kind = Literal["frames", "objects", "faces"]
KINDS: tuple[Kind, ...] = ("frames", "objects", "faces")
Filters = dict[str, str | float]
"""conditions in SQL on columns of `items`, with their values"""

_ADVICE = "free the disk, or name another folder"
_AT_ONCE = 500
"""rows named in one statement; SQLite has a limit"""

FORMAT = 1
FILE, DATABASE = "memory.json", "items.db"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    kind TEXT NOT NULL,
    row INTEGER NOT NULL,        -- number in the kind's index
    stream TEXT NOT NULL,
    pts_ns INTEGER NOT NULL,     -- media time
    captured_ns INTEGER,         -- UTC, NULL where unknown
    frame INTEGER NOT NULL,
    label TEXT NOT NULL,
    track_id INTEGER,
    box TEXT,                    -- JSON: left, top, right, bottom in source pixels
    stored_ns INTEGER NOT NULL,  -- UTC at which it was stored
    thumbnail BLOB,
    PRIMARY KEY (kind, row)
);
CREATE INDEX IF NOT EXISTS items_by_label ON items (label);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One stored picture, object or face."""

    kind: Kind
    stream: str
    pts_ns: int
    frame: int
    captured_ns: int | None = None
    label: str = ""
    track_id: int | None = None
    box: tuple[float, ...] | None = None
    thumbnail: bytes | None = field(default=None, repr=False)


class Memory:
    """A folder of one stream. One writer, any number of readers (`readonly=True`)."""

    def __init__(self, folder: Path, *, readonly: bool = False) -> None:
        """Open it, or make it. Raises `PluginError` where it is in use, of another version, or not there to be read."""
        self.folder, self.readonly = folder, readonly
        if readonly and not (folder / FILE).is_file():
            raise PluginError(f"{folder} holds no memory; name the folder that `remember` writes")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.models, self.identity = self._manifest()
        self._indices: dict[Kind, VectorIndex] = {}
        with _translated(folder):
            self._db = _open(folder / DATABASE, readonly)
        try:
            for kind in () if readonly else self.models:
                self._settle(kind)
        except BaseException:
            self.close()
            raise

    def index(self, kind: Kind) -> VectorIndex | None:
        """The index of a kind; None without items of it. A reader raises `PluginError` where it is damaged."""
        if kind not in self._indices:
            place = self.folder / kind
            dim = self.models.get(kind, {}).get("dim")
            if dim is None:
                return None
            known = self._known(kind) if self.readonly else 0  # before the vectors, which a writer stores first
            if self.readonly and not known and not place.is_dir():
                return None
            index = VectorIndex(place, int(dim), readonly=self.readonly)
            if index.rows < known:
                index.close()
                raise PluginError(
                    f"{place} is damaged: its files hold {index.rows} of {known} stored vectors; put a copy of "
                    "it in place, or run `remember` into it again, which goes on with the intact rows"
                )
            self._indices[kind] = index
        return self._indices[kind]

    def begin(self, kind: Kind, model: str, dim: int) -> None:
        """Set the net of the vectors of a kind; `PluginError` where vectors of another are stored already."""
        known = self.models.get(kind)
        if known is None:
            self.models = {**self.models, kind: {"model": model, "dim": dim}}
            self._write_manifest()
        elif (known["model"], known["dim"]) != (model, dim):
            raise PluginError(
                f"{self.folder} holds {kind} by {known['model']} ({known['dim']} values), now they come from {model} "
                f"({dim}); name another folder, or remove this one"
            )

    def store(self, items: Sequence[Item], vectors: F32, stored_ns: int) -> None:
        """Store items of one kind with their vectors (N, D)."""
        kind = items[0].kind
        index = self.index(kind)
        assert index is not None, "begin comes first"
        first = index.rows
        index.add(range(first, first + len(items)), vectors, [stored_ns] * len(items))
        rows = [_row(item, first + n, stored_ns) for n, item in enumerate(items)]
        with _translated(self.folder), self._db.transaction() as db:
            db.executemany("INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def rows(self) -> dict[Kind, int]:
        """Number of rows of each index."""
        return {kind: index.rows for kind in KINDS if (index := self.index(kind)) is not None}

    def back_to(self, rows: Mapping[Any, int], identity: str) -> None:
        """Delete items stored since there were so many rows."""
        for kind in self.models:
            index = self.index(kind)
            if index is not None:
                index.truncate(min(rows.get(kind, 0), index.rows))
                self._settle(kind)
        self.identity = identity
        self._write_manifest()

    def expire(self, before_ns: int) -> int:
        """Delete, also on disk, the items stored before this UTC; gives their number."""
        for kind in self.models:
            index = self.index(kind)
            if index is not None:
                index.expire(before_ns)
        with _translated(self.folder):
            with self._db.transaction() as db:
                count = db.execute("DELETE FROM items WHERE stored_ns < ?", (before_ns,)).rowcount
            if count:
                self._db.read("PRAGMA wal_checkpoint(TRUNCATE)")  # the log holds what was written before
            return count

    def items(self, kind: Kind, rows: Sequence[int]) -> dict[int, Item]:
        """Items by row number."""
        out: dict[int, Item] = {}
        for start in range(0, len(rows), _AT_ONCE):
            part = rows[start : start + _AT_ONCE]
            marks = ",".join("?" * len(part))
            statement = f"SELECT * FROM items WHERE kind = ? AND row IN ({marks})"  # noqa: S608 - marks only
            with _translated(self.folder):
                out |= {found[1]: _item(found) for found in self._db.read(statement, (kind, *part))}
        return out

    def matching(self, kind: Kind, filters: Filters) -> NDArray[np.int64]:
        """Numbers of the rows that pass, int64 (N,)."""
        clause = " AND ".join(["kind = ?", *filters])
        statement = f"SELECT row FROM items WHERE {clause}"  # noqa: S608 - made of constants, values are bound
        with _translated(self.folder):
            found = self._db.read(statement, (kind, *filters.values()))
        return np.array([row for (row,) in found], np.int64)

    def labelled(self, words: Sequence[str], filters: Filters, limit: int) -> list[Item]:
        """The first items that pass and whose label holds all these words."""
        clause = " AND ".join([*("label LIKE ? ESCAPE '\\'" for _ in words), *filters])
        values = ["%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%" for word in words]
        # made of constants, values are bound
        statement = f"SELECT * FROM items WHERE {clause} ORDER BY pts_ns, kind, row LIMIT ?"  # noqa: S608
        with _translated(self.folder):
            return [_item(found) for found in self._db.read(statement, (*values, *filters.values(), limit))]

    def close(self) -> None:
        """Close the files; may be called twice."""
        for index in self._indices.values():
            index.close()
        self._indices = {}
        self._db.close()

    def _settle(self, kind: Kind) -> None:
        """Bring index and database back to the rows that both have, as a kill may leave one of them ahead."""
        index = self.index(kind)
        assert index is not None
        with _translated(self.folder):
            known = self._known(kind)
            if index.rows > known:
                index.truncate(known)
            with self._db.transaction() as db:
                db.execute("DELETE FROM items WHERE kind = ? AND row >= ?", (kind, index.rows))

    def _known(self, kind: Kind) -> int:
        """Number of rows of a kind in the database."""
        with _translated(self.folder):
            last = self._db.read("SELECT max(row) FROM items WHERE kind = ?", (kind,))[0][0]
        return 0 if last is None else int(last) + 1

    def _manifest(self) -> tuple[dict[Kind, dict[str, Any]], str]:
        path = self.folder / FILE
        if not path.is_file():
            return {}, ""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["format"] != FORMAT:
                raise ValueError(f"format {found['format']}, expected {FORMAT}")
            return dict(found["models"]), str(found["identity"])
        except (ValueError, KeyError, TypeError) as error:
            raise PluginError(f"{path} isn't a memory of this version of streamproc ({error}); name another") from None

    def _write_manifest(self) -> None:
        content = {"format": FORMAT, "models": self.models, "identity": self.identity}
        write_private(self.folder / FILE, json.dumps(content, indent=1).encode())


def memories(folder: Path) -> list[Memory]:
    """All memories in a folder and below, to be read; `PluginError` where there is none."""
    places = sorted(path.parent for path in files_below(folder) if path.name == FILE)
    if not places:
        raise PluginError(f"{folder} holds no memory; name the folder that `remember` writes")
    opened: list[Memory] = []
    try:
        for place in places:
            opened.append(Memory(place, readonly=True))
    except BaseException:
        for memory in opened:
            memory.close()
        raise
    return opened


def _open(path: Path, readonly: bool) -> Database:
    if readonly:
        return open_database(path, advice=_ADVICE, readonly=True)
    path.touch(mode=0o600)  # SQLite would let others read it, and its log
    return open_database(path, _SCHEMA, prepare=_delete_securely, advice=_ADVICE)


def _delete_securely(db: sqlite3.Connection) -> None:
    """Overwrite what is deleted, so that it leaves no trace in the file."""
    db.execute("PRAGMA secure_delete=ON")


def _row(item: Item, row: int, stored_ns: int) -> tuple[Any, ...]:
    box = None if item.box is None else json.dumps([round(float(side), 1) for side in item.box])
    return (
        item.kind, row, item.stream, item.pts_ns, item.captured_ns, item.frame, item.label, item.track_id, box,
        stored_ns, item.thumbnail,
    )  # fmt: skip


def _item(found: Sequence[Any]) -> Item:
    kind, _, stream, pts_ns, captured_ns, frame, label, track_id, box, _, thumbnail = found
    return Item(
        kind=kind, stream=stream, pts_ns=pts_ns, captured_ns=captured_ns, frame=frame, label=label, track_id=track_id,
        box=None if box is None else tuple(json.loads(box)), thumbnail=thumbnail,
    )  # fmt: skip


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        raise PluginError(f"the memory in {folder} can't be used: {error}") from error


__all__ = ["KINDS", "Filters", "Item", "Kind", "Memory", "memories"]
