"""Hands records from ordered workers to one loop that iterates over them, with back-pressure from the loop."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from streamproc.chain.item import Failure
from streamproc.errors import StreamprocError
from streamproc.frames import PixelCache
from streamproc.record import Record


class RecordQueue:
    """Records on their way to a loop; a worker that brings one too many waits. most: records that may lie in it."""

    def __init__(self, most: int = 8) -> None:
        self._most = most
        self._changed = threading.Condition()
        self._records: deque[Record] = deque()
        self._closed = False

    def record(self, record: Record) -> None:
        """Let a record wait for the loop; moments without a frame only where they have events."""
        with self._changed:
            while len(self._records) >= self._most and not self._closed:
                self._changed.wait()
            if not self._closed and (record.is_frame or record.events):
                self._records.append(record)
                self._changed.notify_all()

    def failure(self, failure: Failure) -> None:
        """A failure is logged, and stands among the verdicts of its record."""

    def finish(self) -> None:
        """Nothing more comes: the loop ends behind the last record."""
        with self._changed:
            self._most = 0
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody takes any more: let workers go on."""
        with self._changed:
            self._closed = True
            self._records.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Record]:
        while True:
            with self._changed:
                while not self._records and self._most:
                    self._changed.wait()
                taken = list(self._records)
                self._records.clear()
                self._changed.notify_all()
            if not taken:
                return
            yield from taken


class Lent:
    """Pixels of a frame for as long as the loop is at its record; then they are freed."""

    def __init__(self, pixels: PixelCache) -> None:
        self._pixels: PixelCache | None = pixels

    def end(self) -> None:
        """Free the pixels."""
        self._pixels = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self._pixels is None:
            raise StreamprocError(
                "the pixels of this frame are freed, as the loop went on to the next record; copy what you need inside "
                "the loop, or keep all frames in memory with run(..., keep_frames=True)"
            )
        return getattr(self._pixels, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return PixelCache, (self.carried(),)  # what is stored owns its pixels


def lending(records: Iterator[Record]) -> Iterator[Record]:
    """The same records, each with its frame's pixels until the next one is asked for."""
    for record in records:
        if record.frame is None:
            yield record
            continue
        lent: Any = Lent(record.frame.pixels)
        try:
            yield replace(record, frame=replace(record.frame, pixels=lent))
        finally:
            lent.end()


__all__ = ["Lent", "RecordQueue", "lending"]
