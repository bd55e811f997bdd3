"""Intake of decoded frames: gives each its time, samples and admits it.

It runs on the reader's thread; `tick` runs on the watch's.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from streamproc.chain.item import FrameItem
from streamproc.chain.schedule import Schedule
from streamproc.engine.stream import StreamRun
from streamproc.errors import StreamprocError
from streamproc.source import DecodedFrame

log = logging.getLogger(__name__)

_IDLE_EVERY_S = 1.0
_LOOK_EVERY_S = 0.05


class Intake:
    """Admits the decoded frames of one stream.

    crowded: returns whether so much of this stream waits for sinks that no more may come. stopping: set to stop
    waiting. lossless: whether no frame may be dropped at a stop, as the position behind it will be committed.
    """

    def __init__(
        self, run: StreamRun, crowded: Callable[[], bool], stopping: threading.Event, lossless: bool = False
    ) -> None:
        self.run = run
        self.schedule = Schedule(run.plan, run.info, run.steps, partial(log.warning, "stream %s: %s", run.info.name))
        self._crowded = crowded
        self._stopping = stopping
        self._lossless = lossless
        self._lock = threading.Lock()  # over the schedule
        self._lost_at: float | None = None
        self._fed_at = time.monotonic()
        self._idle_at = 0.0

    def feed(self, decoded: DecodedFrame, following_ns: int | None = None) -> None:
        """Take a decoded frame: book it in the ledger at once, or send it into the chain.

        following_ns: time stamp of the picture after it, where it is known.
        """
        if self.run.error:
            raise StreamprocError(self.run.error)
        with self._lock:
            away_ns = None if self._lost_at is None else round((time.monotonic() - self._lost_at) * 1e9)
            scheduled = self.schedule.feed(decoded, following_ns, away_ns)
            self._lost_at, self._fed_at = None, time.monotonic()
            for mark in scheduled.marks:
                self.run.put(mark)
        if scheduled.item is not None:
            self._admit(scheduled.item)
        elif scheduled.bucket is not None:
            self.run.ledger.book(scheduled.bucket, scheduled.reason)

    def lost(self) -> None:
        """Send the mark of a source that was lost after the last frame."""
        with self._lock:
            if self._lost_at is None:
                self._lost_at = time.monotonic()
                self.run.put(self.schedule.lost())

    def tick(self, now: float) -> None:
        """Advance media time where no frame comes; called regularly with the monotonic clock."""
        if now - self._fed_at < _IDLE_EVERY_S or now - self._idle_at < _IDLE_EVERY_S:
            return
        with self._lock:
            self._idle_at = now
            mark = self.schedule.idle(round((now - self._fed_at) * 1e9))
            if mark is not None:
                self.run.put(mark)

    def barrier(self, number: int, then: Callable[[Mapping[str, Any] | None, dict[str, Any]], None]) -> None:
        """Send a barrier; `then` gets the plugins' states at its place, and this intake's own state."""
        own = {
            **self.schedule.state(),
            "info": {
                "width": self.run.info.width,
                "height": self.run.info.height,
                "start_offset_ns": self.run.info.start_offset_ns,
                "session": self.run.info.session,
            },
        }
        self.run.put_barrier(self.schedule.barrier(number), lambda states: then(states, own))

    def restore(self, body: Any) -> None:
        """Continue from the states of a barrier, before the first frame."""
        self.schedule.restore(body)
        self.run.driver.core.restore(body["plugins"])

    def end(self, flush: bool) -> None:
        """Send the end of the stream. flush: whether open episodes end."""
        with self._lock:
            self.run.put(self.schedule.end(flush))

    def _admit(self, item: FrameItem) -> None:
        run = self.run
        if self._has_room() if run.info.live else self._wait_for_room():
            run.admit(item)

    def _has_room(self) -> bool:
        """Make room for a live frame by dropping older ones; return False where the frame itself is dropped."""
        run = self.run
        if self._crowded():
            run.ledger.book("dropped", "sinks")
            return False
        while not run.has_credit():
            if not run.drop_oldest("overload"):
                run.ledger.book("dropped", "overload")
                return False
        return True

    def _wait_for_room(self) -> bool:
        """Wait until a recorded frame has room; return False where it is dropped at a stop."""
        run = self.run
        while self._crowded() and not self._stopping.is_set():
            self._stopping.wait(_LOOK_EVERY_S)
        if run.credits.take(run.cost, self._stopping.is_set):
            return True
        if self._lossless:
            run.credits.force(run.cost)
            return True
        run.ledger.book("dropped", "stopped")
        return False


__all__ = ["Intake"]
