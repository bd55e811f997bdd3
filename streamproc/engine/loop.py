"""Hands records from ordered workers to one loop that iterates over them, with back-pressure from the loop."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from streamproc.chain.item import Failure
from streamproc.errors import StreamprocError
from streamproc.frames import PixelCache
from streamproc.record import Record


class RecordQueue:
    """Records on their way to a loop. A worker that brings one too many waits.

    most: records in the queue, those included that the loop has taken and not yet come to.
    on_change: called, on the worker's thread, when there is something to take.
    """

    def __init__(self, most: int = 8, on_change: Callable[[], None] = lambda: None) -> None:
        self.on_change = on_change
        self._most = most
        self._changed = threading.Condition()
        self._records: deque[Record] = deque()
        self._finished = False
        self._closed = False

    def record(self, record: Record) -> None:
        """Queue a record of a frame; one of a moment without a frame only where it has events."""
        if not record.is_frame and not record.events:
            return
        with self._changed:
            while len(self._records) >= self._most and not self._closed:
                self._changed.wait()
            if self._closed:
                return
            self._records.append(record)
            self._changed.notify_all()
        self.on_change()

    def failure(self, failure: Failure) -> None:
        """A failure is logged, and stands among the verdicts of its record."""

    def finish(self) -> None:
        """End the loop behind the last record: nothing more comes."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()
        self.on_change()

    def close(self) -> None:
        """Let workers go on: nobody takes any more."""
        with self._changed:
            self._closed = True
            self._records.clear()
            self._changed.notify_all()
        self.on_change()

    def take(self) -> Record | None:
        """The next record, or None where none is there right now."""
        with self._changed:
            return self._taken()

    @property
    def over(self) -> bool:
        """Whether nothing is left to take and nothing more comes."""
        with self._changed:
            return not self._records and (self._finished or self._closed)

    def __iter__(self) -> Iterator[Record]:
        while True:
            with self._changed:
                while not self._records and not self._finished and not self._closed:
                    self._changed.wait()
                record = self._taken()
            if record is None:
                return
            yield record

    def _taken(self) -> Record | None:
        if not self._records:
            return None
        full = len(self._records) == self._most
        record = self._records.popleft()
        if full:
            self._changed.notify_all()
        return record


class Lent:
    """Pixels of a frame for as long as the loop is at its record; then they are freed."""

    __slots__ = ("_pixels",)

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


def lend(record: Record) -> tuple[Record, Callable[[], None]]:
    """The same record with pixels on loan, and what frees them."""
    if record.frame is None:
        return record, _nothing
    lent: Any = Lent(record.frame.pixels)
    return replace(record, frame=replace(record.frame, pixels=lent)), lent.end


def _nothing() -> None:
    pass


__all__ = ["Lent", "RecordQueue", "lend"]
