"""Known people: an SQLite file of names and embeddings, and the matching against it.

It stores no photos, only embeddings of them (which are biometric data all the same). Removed rows are overwritten
(`secure_delete`).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamproc import PluginError
from streamproc.errors import nearest, writing

VERSION = 1
_TABLES = """
CREATE TABLE gallery (version INTEGER NOT NULL, model TEXT NOT NULL, dim INTEGER NOT NULL);
CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE photos (id INTEGER PRIMARY KEY, person INTEGER NOT NULL REFERENCES people (id), source TEXT NOT NULL,
                     added_s INTEGER NOT NULL);
CREATE TABLE looks (photo INTEGER NOT NULL REFERENCES photos (id), vector BLOB NOT NULL);
"""

F32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Known:
    """All people of a gallery, for matching."""

    names: tuple[str, ...]
    """P names, by the alphabet"""
    vectors: F32
    """float32 (V, D), unit length"""
    owner: NDArray[np.int64]
    """int64 (V,): index into `names`"""
    model: str
    """the net that the embeddings come from"""

    def scores(self, templates: F32) -> F32:
        """Cosine of faces (N, D) to the most alike look of each person, float32 (N, P); -1 for people without looks."""
        out = np.full((len(templates), len(self.names)), -1, np.float32)
        if len(self.owner):
            cosine = templates.astype(np.float64) @ self.vectors.T.astype(np.float64)
            np.maximum.at(out.T, self.owner, cosine.T.astype(np.float32))
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """One enrolled photo."""

    number: int
    person: str
    source: str
    """file name"""
    added_s: int
    """UTC seconds since 1970"""


class Gallery:
    """A gallery file; every change is one transaction, so a crash leaves the old state or the new.

    Raises `PluginError` with a sentence for files that aren't galleries, names that aren't there, embeddings of another
    net.
    """

    def __init__(self, path: Path) -> None:
        """Touches nothing."""
        self.path = path

    def known(self) -> Known:
        """All people in it."""
        with self._read() as db:
            names = tuple(name for (name,) in db.execute("SELECT name FROM people ORDER BY name"))
            rows = db.execute(
                "SELECT people.name, looks.vector FROM looks JOIN photos ON photos.id = looks.photo"
                " JOIN people ON people.id = photos.person ORDER BY people.name, looks.rowid"
            ).fetchall()
            model, dim = db.execute("SELECT model, dim FROM gallery").fetchone()
        vectors = np.array([np.frombuffer(blob, "<f4") for _, blob in rows], np.float32).reshape(-1, dim)
        places = {name: place for place, name in enumerate(names)}
        owner = np.array([places[name] for name, _ in rows], np.int64)
        return Known(names=names, vectors=vectors, owner=owner, model=model)

    def photos(self, name: str | None = None) -> list[Photo]:
        """All photos, or those of one person, by name and number."""
        with self._read() as db:
            if name is not None:
                self._person(db, name)
            rows = db.execute(
                "SELECT photos.id, people.name, source, added_s FROM photos JOIN people ON people.id = person"
                " ORDER BY people.name, photos.id"
            ).fetchall()
        photos = [Photo(number=n, person=person, source=source, added_s=at) for n, person, source, at in rows]
        return [photo for photo in photos if name is None or photo.person == name]

    def add(self, name: str, source: str, vectors: F32, model: str) -> int:
        """Enrol a photo: its embeddings (V, D) of this net under a name, a new one or one that is there; its number."""
        _check_name(name)
        with self._write(model, vectors.shape[1]) as db:
            db.execute("INSERT OR IGNORE INTO people (name) VALUES (?)", (name,))
            person = self._person(db, name)
            photo = db.execute(
                "INSERT INTO photos (person, source, added_s) VALUES (?, ?, ?)", (person, source, int(time.time()))
            ).lastrowid
            blobs = [(photo, np.ascontiguousarray(vector, "<f4").tobytes()) for vector in vectors]
            db.executemany("INSERT INTO looks (photo, vector) VALUES (?, ?)", blobs)
            assert photo is not None
            return photo

    def remove(self, name: str) -> int:
        """Forget a person; how many photos there were."""
        with self._write() as db:
            person = self._person(db, name)
            db.execute("DELETE FROM looks WHERE photo IN (SELECT id FROM photos WHERE person = ?)", (person,))
            count = db.execute("DELETE FROM photos WHERE person = ?", (person,)).rowcount
            db.execute("DELETE FROM people WHERE id = ?", (person,))
            return count

    def merge(self, name: str, other: str) -> None:
        """Two names were one person: all photos of `other` go to `name`."""
        if name == other:
            raise PluginError(f"{name!r} can't be merged with itself; give two names")
        with self._write() as db:
            remaining, gone = self._person(db, name), self._person(db, other)
            db.execute("UPDATE photos SET person = ? WHERE person = ?", (remaining, gone))
            db.execute("DELETE FROM people WHERE id = ?", (gone,))

    def split(self, name: str, new: str, numbers: Sequence[int]) -> None:
        """One name was two people: the photos with these numbers go to a new name."""
        _check_name(new)
        with self._write() as db:
            person = self._person(db, name)
            own = {n for (n,) in db.execute("SELECT id FROM photos WHERE person = ?", (person,))}
            if strange := sorted(set(numbers) - own):
                raise PluginError(
                    f"photo {strange[0]} isn't one of {name!r}; it has {', '.join(map(str, sorted(own)))}"
                )
            if not numbers or set(numbers) == own:
                raise PluginError(f"a part of the photos of {name!r} has to go, got {len(set(numbers))} of {len(own)}")
            if db.execute("SELECT 1 FROM people WHERE name = ?", (new,)).fetchone():
                raise PluginError(f"{new!r} is there already; split into a new name, then merge")
            other = db.execute("INSERT INTO people (name) VALUES (?)", (new,)).lastrowid
            db.executemany("UPDATE photos SET person = ? WHERE id = ?", [(other, number) for number in numbers])

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        if not self.path.is_file():
            raise PluginError(
                f"there is no gallery {self.path}; `streamproc faces add NAME PHOTO --gallery {self.path}` begins one"
            )
        with self._opened() as db:
            yield db

    @contextmanager
    def _write(self, model: str | None = None, dim: int = 0) -> Iterator[sqlite3.Connection]:
        """One transaction; with `model` the file may be new."""
        if model is None:
            with self._read() as db, db:
                yield db
            return
        if not self.path.is_file():
            with writing(self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self.path.touch(mode=0o600)
        with self._opened(begin=(model, dim)) as db:
            stored, width = db.execute("SELECT model, dim FROM gallery").fetchone()
            if (stored, width) != (model, dim):
                raise PluginError(
                    f"{self.path} holds embeddings of {stored} ({width} values), got {model} ({dim}); "
                    "embeddings of two nets can't be compared: begin another gallery"
                )
            with db:
                yield db

    @contextmanager
    def _opened(self, begin: tuple[str, int] | None = None) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=10)) as db:
                db.execute("PRAGMA secure_delete = ON")
                if begin is not None and not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    db.executescript(f"BEGIN IMMEDIATE; {_TABLES}")
                    db.execute("INSERT INTO gallery (version, model, dim) VALUES (?, ?, ?)", (VERSION, *begin))
                    db.commit()
                (version,) = db.execute("SELECT version FROM gallery").fetchone()
                if version != VERSION:
                    raise PluginError(f"{self.path} is a gallery of version {version}, expected {VERSION}")
                yield db
        except (sqlite3.Error, TypeError) as error:
            raise PluginError(f"{self.path} can't be used as a gallery: {error}") from None

    @staticmethod
    def _person(db: sqlite3.Connection, name: str) -> int:
        found = db.execute("SELECT id FROM people WHERE name = ?", (name,)).fetchone()
        if found is None:
            names = [other for (other,) in db.execute("SELECT name FROM people ORDER BY name")]
            listed = ", ".join(names[:10]) or "nobody"
            raise PluginError(f"there is no {name!r} in the gallery{nearest(name, names)}; it holds {listed}")
        return int(found[0])


def _check_name(name: str) -> None:
    if not name.strip() or any(letter in name for letter in "\r\n\t"):
        raise PluginError(f"{name!r} is no name for a person; give one line of text")


__all__ = ["Gallery", "Known", "Photo"]
