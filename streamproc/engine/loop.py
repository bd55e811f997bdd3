"""Hands records from ordered workers to one loop that iterates over them, with back-pressure from the loop."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from streamproc.chain.item import Failure
from streamproc.errors import StreamprocError
from streamproc.frames import PixelCache, StreamInfo
from streamproc.record import Record

MOST_RECORDS = 32
"""of one recorded stream in the queue"""
MOST_LIVE = 4
"""of one live stream: those that wait for longer are of no use"""
MOST_BYTES = 64 * 2**20
"""most that the pictures of one stream's waiting records hold; two records may wait in any case"""
_BYTES_PER_PIXEL = 6
"""what a frame is reckoned to hold, as in admission"""


def most_records(stream: StreamInfo) -> int:
    """Return the number of records of a stream that may wait for the loop."""
    if stream.live:
        return MOST_LIVE
    return max(2, min(MOST_RECORDS, MOST_BYTES // max(1, stream.width * stream.height * _BYTES_PER_PIXEL)))


class Progress:
    """Progress of the loop through the records of each stream; guarded by the queue's lock."""

    def __init__(self) -> None:
        self._given: Counter[str] = Counter()
        self._done: Counter[str] = Counter()
        self._at: str | None = None  # the stream of the record that the loop is at
        self._marks: list[tuple[str, int, Callable[[bool], None]]] = []

    def given(self, stream: str) -> None:
        """Count a record that was queued."""
        self._given[stream] += 1

    def mark(self, stream: str, then: Callable[[bool], None]) -> None:
        """Let `then` be called once the loop has gone on behind everything of this stream so far."""
        self._marks.append((stream, self._given[stream], then))

    def at(self, stream: str) -> None:
        """Count a record of this stream that the loop works on."""
        self._at = stream

    def goes_on(self) -> list[Callable[[bool], None]]:
        """Finish the loop's record and return the marks that it has passed."""
        if self._at is not None:
            self._done[self._at] += 1
            self._at = None
        return self.passed()

    def passed(self) -> list[Callable[[bool], None]]:
        """The marks that the loop has passed; each comes once."""
        passed = [mark for mark in self._marks if self._done[mark[0]] >= mark[1]]
        self._marks = [mark for mark in self._marks if mark not in passed]
        return [then for _, _, then in passed]

    def give_up(self) -> list[Callable[[bool], None]]:
        """End the loop and return the marks that it never passes."""
        left, self._marks = self._marks, []
        return [then for _, _, then in left]


class RecordQueue:
    """Records on their way to a loop. The worker of a stream that has too many waits until half of them are gone.

    on_change: called, on the worker's thread, when there is something to take.
    """

    def __init__(self, on_change: Callable[[], None] = lambda: None) -> None:
        self.on_change = on_change
        self._lock = threading.Lock()
        self._some = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._records: deque[Record] = deque()
        self._counts: Counter[str] = Counter()  # of waiting records, by stream
        self._progress = Progress()
        self._finished = False
        self._closed = False

    def record(self, record: Record) -> None:
        """Queue a record of a frame; one of a moment without a frame only where it has events."""
        if not record.is_frame and not record.events:
            return
        name = record.stream.name
        with self._lock:
            if self._counts[name] >= (most := most_records(record.stream)):
                self._room.wait_for(lambda: self._closed or self._counts[name] <= most // 2)
            if self._closed:
                return
            self._records.append(record)
            self._counts[name] += 1
            self._progress.given(name)
            self._some.notify()
        self.on_change()

    def mark(self, stream: str, then: Callable[[bool], None]) -> None:
        """Call `then` once the loop is done with the records of this stream; with False where it is left before."""
        with self._lock:
            if not self._closed:
                self._progress.mark(stream, then)
            passed = [] if self._closed else self._progress.passed()
        if self._closed:
            then(False)
        for each in passed:
            each(True)

    def failure(self, failure: Failure) -> None:
        """Log a failure and add it to the verdicts of its record."""

    def finish(self) -> None:
        """End the loop behind the last record: nothing more comes."""
        with self._lock:
            self._finished = True
            self._some.notify()
        self.on_change()

    def close(self) -> None:
        """Let workers go on: no more records are taken."""
        with self._lock:
            self._closed = True
            self._records.clear()
            self._some.notify()
            self._room.notify_all()
            left = self._progress.give_up()
        for then in left:
            then(False)
        self.on_change()

    def take(self) -> Record | None:
        """The next record, or None where none is there right now."""
        self._go_on()
        with self._lock:
            return self._taken()

    @property
    def over(self) -> bool:
        """True if nothing is left to take and nothing more comes."""
        with self._lock:
            return not self._records and (self._finished or self._closed)

    def __iter__(self) -> Iterator[Record]:
        while True:
            self._go_on()
            with self._lock:
                while not self._records and not self._finished and not self._closed:
                    self._some.wait()
                record = self._taken()
            if record is None:
                return
            yield record

    def _go_on(self) -> None:
        """Finish the record that the loop took last."""
        with self._lock:
            passed = self._progress.goes_on()
        for then in passed:
            then(True)

    def _taken(self) -> Record | None:
        if not self._records:
            return None
        record = self._records.popleft()
        name = record.stream.name
        self._progress.at(name)
        self._counts[name] -= 1
        if self._counts[name] == most_records(record.stream) // 2:
            self._room.notify_all()
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
                "the loop, or hold all frames in memory with run(..., keep_frames=True)"
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


__all__ = ["MOST_LIVE", "MOST_RECORDS", "Lent", "RecordQueue", "lend", "most_records"]
