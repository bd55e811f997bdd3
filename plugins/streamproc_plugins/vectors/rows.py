"""Rows of an index (id, time, unit vector) in files of a fixed number of rows each: appended, read, wiped.

A row is little-endian: int64 id, int64 time, float32 (D,) vector. A removed row has the id -1 and zeros. A
file whose last row is torn, or isn't a unit vector after a power failure, ends before that row.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc import PluginError

DEAD = -1
"""the id of a row that was removed"""
_UNIT = 1e-3
_PATTERN = "rows-*.bin"

F32 = NDArray[np.float32]


def row_type(dim: int) -> np.dtype[Any]:
    """Layout of a row in a file."""
    return np.dtype([("id", "<i8"), ("time", "<i8"), ("vector", "<f4", (dim,))])


def file_of(folder: Path, number: int) -> Path:
    """The file of segment `number`."""
    return folder / f"rows-{number:08d}.bin"


def numbers_in(folder: Path) -> list[int]:
    """Numbers of the segments with a file, rising."""
    return sorted(int(path.stem.partition("-")[2]) for path in folder.glob(_PATTERN))


@dataclass(slots=True, kw_only=True, eq=False)
class RowSegment:
    """Rows `number * size` to `(number + 1) * size` of an index; `count` of them are there."""

    number: int
    ids: NDArray[np.int64]
    """int64 (size,); DEAD where a row was removed"""
    times_ns: NDArray[np.int64]
    """int64 (size,)"""
    vectors: F32 | None
    """float32 (size, D) in memory; None once it is read from its file only"""
    count: int = 0

    @classmethod
    def empty(cls, number: int, size: int, dim: int) -> RowSegment:
        """Without a row."""
        return cls(
            number=number,
            ids=np.full(size, DEAD, np.int64),
            times_ns=np.zeros(size, np.int64),
            vectors=np.zeros((size, dim), np.float32),
        )

    @property
    def alive(self) -> int:
        """Number of rows that weren't removed."""
        return int((self.ids[: self.count] != DEAD).sum())


class RowFiles:
    """The files of one folder. Not thread-safe: the index holds a lock.

    An appended row is safe from a killed process at once, and from a power failure after `flush`.
    """

    def __init__(self, folder: Path, dim: int, size: int) -> None:
        self._folder, self._type, self._size = folder, row_type(dim), size
        self._dim = dim
        self._open: tuple[int, int] | None = None

    def load(self, number: int, *, mend: bool) -> RowSegment:
        """A segment from its file; with `mend` torn rows are cut off and half-wiped ones wiped."""
        path = file_of(self._folder, number)
        rows = np.fromfile(path, self._type, count=path.stat().st_size // self._type.itemsize)
        good, half_read = self._good(rows), np.zeros(0, np.int64)
        if not mend and good < len(rows):
            # the writer is at work on these: earlier segments are whole
            half_read, good = np.flatnonzero(self._bad(rows)), len(rows)
        segment = RowSegment.empty(number, self._size, self._dim)
        segment.count = good
        segment.ids[:good], segment.times_ns[:good] = rows["id"][:good], rows["time"][:good]
        assert segment.vectors is not None
        segment.vectors[:good] = rows["vector"][:good]
        segment.ids[half_read] = DEAD
        if mend:
            os.truncate(path, good * self._type.itemsize)
            half = np.flatnonzero((segment.ids[:good] == DEAD) & segment.vectors[:good].any(axis=1))
            self.wipe(number, half.tolist())
        segment.vectors[segment.ids == DEAD] = 0
        return segment

    def _good(self, rows: NDArray[Any]) -> int:
        """Number of whole rows from the first on."""
        if len(rows) > self._size:
            raise PluginError(f"{self._folder} holds files with more than {self._size} rows; it is another index's")
        bad = np.flatnonzero(self._bad(rows))
        return int(bad[0]) if len(bad) else len(rows)

    @staticmethod
    def _bad(rows: NDArray[Any]) -> NDArray[np.bool_]:
        length = np.linalg.norm(rows["vector"].astype(np.float64), axis=1)
        return np.asarray(~(np.abs(length - 1) <= _UNIT) & (rows["id"] != DEAD))

    def append(self, number: int, ids: NDArray[np.int64], times_ns: NDArray[np.int64], vectors: F32) -> None:
        """Rows behind those of the segment's file; all of them, or `PluginError` and none."""
        rows = np.empty(len(ids), self._type)
        rows["id"], rows["time"], rows["vector"] = ids, times_ns, vectors
        if self._open is None or self._open[0] != number:
            self.close()
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self._open = (number, os.open(file_of(self._folder, number), flags, 0o600))
        handle = self._open[1]
        before, data = os.fstat(handle).st_size, memoryview(rows.tobytes())
        try:
            while data:
                data = data[os.write(handle, data) :]
        except OSError as error:
            os.ftruncate(handle, before)  # half a row would put all that follow out of place
            raise PluginError(
                f"{file_of(self._folder, number)} can't be written ({error.strerror}); check the space left on the disk"
            ) from None

    def wipe(self, number: int, rows: Iterable[int]) -> None:
        """Overwrite rows with zeros, their ids first, so that a crash in between is detected and mended."""
        with file_of(self._folder, number).open("r+b", buffering=0) as file:
            places = [row * self._type.itemsize for row in rows]
            for place in places:
                os.pwrite(file.fileno(), np.int64(DEAD).astype("<i8").tobytes(), place)
            for place in places:
                os.pwrite(file.fileno(), bytes(self._type.itemsize - 8), place + 8)
            os.fsync(file.fileno())

    def truncate(self, number: int, count: int) -> None:
        """Drop all but the first `count` rows of a segment."""
        self.close()
        os.truncate(file_of(self._folder, number), count * self._type.itemsize)

    def delete(self, number: int) -> None:
        """Remove a segment's file."""
        if self._open is not None and self._open[0] == number:
            self.close()
        file_of(self._folder, number).unlink(missing_ok=True)

    def mapped(self, number: int) -> NDArray[Any]:
        """A sealed segment's rows, mapped into memory, read-only."""
        return np.memmap(file_of(self._folder, number), self._type, mode="r")

    def flush(self) -> None:
        """Write appended rows to the disk."""
        if self._open is not None:
            os.fsync(self._open[1])

    def close(self) -> None:
        """Flush and close; it opens again when something is appended."""
        if self._open is not None:
            self.flush()
            os.close(self._open[1])
            self._open = None
