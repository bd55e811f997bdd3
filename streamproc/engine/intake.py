"""Pictures in, tickets out: each picture gets its time, is sampled and admitted; in the reader's thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from streamproc.engine.checkpoint import CheckpointStore, Cut
from streamproc.engine.sampling import Beat
from streamproc.engine.stream import Services, StreamRun, end_ticket
from streamproc.engine.ticket import Ticket
from streamproc.events import Moment
from streamproc.frames import Frame, PixelCache
from streamproc.media.timeline import Timeline
from streamproc.models import ModelStore
from streamproc.plugin import TimeReason
from streamproc.source import Shot

_BYTES_PER_PIXEL = 6
"""what a frame is reckoned to hold: the decoder's picture (1.5), RGB (3) and some smaller forms"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hall:
    """What a reader needs of the run."""

    services: Services
    models: ModelStore
    stopping: threading.Event
    dispatched: Callable[[], int]
    flushed_upto: Callable[[tuple[str, ...], int], bool]
    crowded: Callable[[str, tuple[str, ...]], bool]
    ended: Callable[[str], None]
    """nothing (more) comes from the stream of this name"""
    store: Callable[[], CheckpointStore]
    commit_s: float


class Intake:
    """Turns the pictures of one stream into tickets."""

    def __init__(self, run: StreamRun, timeline: Timeline) -> None:
        self.run = run
        self.timeline = timeline
        self.index = 0
        self._rate = Beat.of(run.plan.rate, run.info.nominal_ns)
        self._before: Frame | None = None
        self._lost_at: float | None = None
        self._last = Moment(pts_ns=0, frame_index=0)

    def feed(self, shot: Shot, hall: Hall, following_ns: int | None = None) -> None:
        """Take a decoded picture: settle it in the ledger at once, or send it on its way.

        following_ns: the time stamp of the picture after it, where it is known.
        """
        back = self._lost_at is not None
        self._reconnect(shot)
        placed = self.timeline.place(shot.pts_ns, following_ns)
        frame = self._frame(shot, placed.pts_ns)
        if back or placed.gap:
            self.tell("back" if back else "gap", replace(self._last, pts_ns=frame.pts_ns))
        before, self._before = self._before, frame if self.run.chain.wants_flow else None
        self._last = Moment.of(frame)
        due = self.run.chain.due(frame, self._rate is None or self._rate.takes(frame.pts_ns))
        if not due.steps and self.run.chain.steps:
            self.run.ledger.book("sampled_out", "rate")
            return
        wanted = before is not None and any(s.wants_flow and s.index in due.steps for s in self.run.chain.steps)
        cost = self.run.info.width * self.run.info.height * _BYTES_PER_PIXEL
        self._admit(Ticket(moment=self._last, frame=frame, before=before if wanted else None, due=due, cost=cost), hall)

    def lost(self) -> None:
        """The source was lost after the last picture."""
        if self._lost_at is None:
            self._lost_at = time.monotonic()
            self.tell("lost")

    def _reconnect(self, shot: Shot) -> None:
        """The first picture after a loss: time went on since the last one before it, by capture time if known."""
        if self._lost_at is None:
            return
        elapsed_ns = round((time.monotonic() - self._lost_at) * 1e9)
        if shot.captured_ns is not None and self._last.captured_ns is not None:
            elapsed_ns = shot.captured_ns - self._last.captured_ns
        self.timeline.reconnected(elapsed_ns)
        self._lost_at = None

    def tell(self, reason: TimeReason, moment: Moment | None = None) -> None:
        """Let the ordered plugins know that time goes on without a frame."""
        self.run.put(Ticket(moment=moment or self._last, mark=reason))

    def snapshot(self, cut: Cut) -> None:
        """Send a mark that brings the plugins' states at exactly this place home."""
        name = self.run.info.name
        body = {
            "timeline": self.timeline.state(),
            "index": self.index,
            "rate_due_ns": self._rate.due_ns if self._rate else None,
            "samplers": self.run.chain.sampler_state(),
            "last": [self._last.pts_ns, self._last.frame_index],
            "info": {"width": self.run.info.width, "height": self.run.info.height},
        }

        def arrived(states: Any) -> None:
            cut.arrived(name, {**body, "plugins": dict(states)})

        self.run.put(Ticket(moment=self._last, mark="snapshot", on_done=arrived))

    def restore(self, body: Any) -> None:
        """Go on from what a snapshot brought home, before the first picture."""
        self.timeline.restore(body["timeline"])
        self.index = body["index"]
        if self._rate is not None:
            self._rate.due_ns = body["rate_due_ns"]
        self.run.chain.restore_samplers(body["samplers"])
        self._last = Moment(pts_ns=body["last"][0], frame_index=body["last"][1])
        self.run.restore(body["plugins"])

    def end(self, flush: bool) -> None:
        """Nothing more comes."""
        self._before = None
        self.run.put(end_ticket(self._last, flush))

    def _frame(self, shot: Shot, pts_ns: int) -> Frame:
        info = self.run.info
        captured = shot.captured_ns
        if captured is None and info.started_ns is not None:
            captured = info.started_ns + pts_ns
        frame = Frame(
            stream=info,
            index=self.index,
            pts_ns=pts_ns,
            pixels=PixelCache(shot.picture),
            captured_ns=captured,
            keyframe=shot.keyframe,
        )
        self.index += 1
        return frame

    def _admit(self, ticket: Ticket, hall: Hall) -> None:
        run = self.run
        if run.info.live:
            while not run.credits.try_take(ticket.cost):
                oldest = hall.services.pool.drop_oldest(run.lane)
                if oldest is None:
                    run.ledger.book("dropped", "overload")
                    return
                run.drop(oldest, "overload")
        else:
            self._wait_for_sinks(hall)
            if not run.credits.take(ticket.cost, hall.stopping.is_set):
                run.ledger.book("dropped", "stopped")
                return
        run.ledger.admit()
        self.run.put(ticket)

    def _wait_for_sinks(self, hall: Hall) -> None:
        while hall.crowded(self.run.info.name, self.run.plan.sinks) and not hall.stopping.is_set():
            hall.stopping.wait(0.05)


__all__ = ["Hall", "Intake"]
