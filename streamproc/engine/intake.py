"""Pictures in, tickets out: each picture gets its time, is sampled and admitted; in the reader's thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from streamproc.chain.flow import flow_grid
from streamproc.chain.packing import pack_image, unpack_image
from streamproc.chain.sampling import Beat
from streamproc.chain.steps import Due
from streamproc.engine.checkpoint import CheckpointStore, Cut
from streamproc.engine.names import Names
from streamproc.engine.services import Services
from streamproc.engine.stream import StreamRun
from streamproc.engine.ticket import Ticket, end_ticket
from streamproc.errors import StreamprocError, describe
from streamproc.events import Moment
from streamproc.frames import Frame, Image, Picture, PixelCache, resize
from streamproc.models import ModelStore
from streamproc.plugin import TimeReason
from streamproc.source import DecodedFrame
from streamproc.timeline import Timeline
from streamproc.watch import Call

log = logging.getLogger(__name__)

_BYTES_PER_PIXEL = 6
"""what a frame is reckoned to hold: the decoder's picture (1.5), RGB (3) and some smaller forms"""

_LAST_CAPTURE_NS = 253_402_300_799 * 10**9
"""the end of the year 9999: a capture time beyond it (or before 1970) is nonsense"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hall:
    """What a reader needs of the run."""

    services: Services
    models: ModelStore
    stopping: threading.Event
    guarded: Callable[[str, Callable[[], None]], Call]
    """a call into a source, with the run's limits"""
    opening: Callable[[str, Callable[[], None]], Call]
    """a call that opens a plugin, likewise"""
    when_sent: Callable[[str, Callable[[int], None]], None]
    flushed_upto: Callable[[tuple[str, ...], int], bool]
    crowded: Callable[[str, tuple[str, ...]], bool]
    ended: Callable[[str], None]
    """nothing (more) comes from the stream of this name"""
    names: Names
    """whose the names of streams are"""
    store: Callable[[], CheckpointStore]
    commit_s: float
    drain_s: float


class Intake:
    """Turns the pictures of one stream into tickets.

    keep_all: whether a frame must not be given up at a stop, as the position behind it will be committed.
    """

    def __init__(self, run: StreamRun, timeline: Timeline, keep_all: bool = False) -> None:
        self.run = run
        self.timeline = timeline
        self.index = 0
        self.gaps = 0
        """gaps in the time stamps, those while the source was lost aside"""
        self.longest_gap_ns = 0
        self._keep_all = keep_all
        self._rate = Beat.of(run.plan.rate, run.info.nominal_ns)
        self._before: Frame | None = None
        self._lost_at: float | None = None
        self._last = Moment(pts_ns=0, frame_index=0)
        self._told: set[str] = set()

    def feed(self, decoded: DecodedFrame, hall: Hall, following_ns: int | None = None) -> None:
        """Take a decoded picture: settle it in the ledger at once, or send it on its way.

        following_ns: the time stamp of the picture after it, where it is known.
        """
        if self.run.error:
            raise StreamprocError(self.run.error)
        back = self._lost_at is not None
        self._reconnect(decoded)
        placed = self.timeline.place(decoded.pts_ns, following_ns)
        frame = self._frame(decoded, placed.pts_ns)
        if placed.gap and not back:
            self.gaps += 1
            self.longest_gap_ns = max(self.longest_gap_ns, frame.pts_ns - self._last.pts_ns)
        if back or placed.gap:
            self.tell("back" if back else "gap", replace(self._last, pts_ns=frame.pts_ns))
        before, self._before = self._before, frame if self.run.chain.wants_flow else None
        self._last = Moment.of(frame)
        due = self._due(frame)
        if due is None:
            self.run.ledger.book("undecodable", "conversion")
            return
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

    def _reconnect(self, decoded: DecodedFrame) -> None:
        """The first picture after a loss: time went on since the last one before it, by capture time if known."""
        if self._lost_at is None:
            return
        elapsed_ns = round((time.monotonic() - self._lost_at) * 1e9)
        if decoded.captured_ns is not None and self._last.captured_ns is not None:
            elapsed_ns = decoded.captured_ns - self._last.captured_ns
        self.timeline.reconnected(elapsed_ns)
        self._lost_at = None

    def tell(self, reason: TimeReason, moment: Moment | None = None) -> None:
        """Let the ordered plugins know that time goes on without a frame."""
        self.run.put(Ticket(moment=moment or self._last, mark=reason))

    def snapshot(self, cut: Cut, hall: Hall) -> None:
        """Send a mark that brings the plugins' states at exactly this place home."""
        name = self.run.info.name
        body = {
            "timeline": self.timeline.state(),
            "index": self.index,
            "gaps": [self.gaps, self.longest_gap_ns],
            "rate_due_ns": self._rate.due_ns if self._rate else None,
            "samplers": self.run.chain.sampler_state(),
            "last": [self._last.pts_ns, self._last.frame_index, self._last.captured_ns],
            "before": self._kept_before(),
            "info": {
                "width": self.run.info.width,
                "height": self.run.info.height,
                "start_offset_ns": self.run.info.start_offset_ns,
                "session": self.run.info.session,
            },
        }

        def arrived(states: Any) -> None:
            cut.failed = cut.failed or states is None
            cut.arrived(name, {**body, "plugins": states})
            hall.when_sent(name, partial(cut.sent, name))

        self.run.put(Ticket(moment=self._last, mark="snapshot", on_done=arrived))

    def restore(self, body: Any) -> None:
        """Go on from what a snapshot brought home, before the first picture."""
        self.timeline.restore(body["timeline"])
        self.index = body["index"]
        self.gaps, self.longest_gap_ns = body.get("gaps", (0, 0))
        if self._rate is not None:
            self._rate.due_ns = body["rate_due_ns"]
        self.run.chain.restore_samplers(body["samplers"])
        pts_ns, index, captured_ns = body["last"]
        self._last = Moment(pts_ns=pts_ns, frame_index=index, captured_ns=captured_ns)
        if body["before"] is not None and self.run.chain.wants_flow:
            pixels = PixelCache(_Kept(unpack_image(body["before"])))
            self._before = Frame(stream=self.run.info, index=index, pts_ns=pts_ns, pixels=pixels)
        self.run.restore(body["plugins"])

    def end(self, flush: bool) -> None:
        """Nothing more comes."""
        self._before = None
        self.run.put(end_ticket(self._last, flush))

    def _kept_before(self) -> dict[str, Any] | None:
        """The picture that the next frame's flow starts from, at the flow's own size."""
        if self._before is None:
            return None
        try:
            return pack_image(self._before.pixels.small_gray(*flow_grid(self.run.plan.flow, *self.run.info.size)))
        except Exception:  # noqa: BLE001 - a picture that can't be converted gives no flow either
            return None

    def _due(self, frame: Frame) -> Due | None:
        """What is to run at this frame; None where its picture can't be converted for a clip."""
        try:
            return self.run.chain.due(frame, self._rate is None or self._rate.takes(frame.pts_ns))
        except Exception as error:  # noqa: BLE001 - whatever a decoder's picture raises
            self._say_once("conversion", f"picture {frame.index} can't be converted: {describe(error)}")
            return None

    def _say_once(self, topic: str, text: str) -> None:
        if topic not in self._told:
            self._told.add(topic)
            log.warning("stream %s: %s", self.run.info.name, text)

    def _frame(self, decoded: DecodedFrame, pts_ns: int) -> Frame:
        info = self.run.info
        captured = decoded.captured_ns
        if captured is None and info.started_ns is not None:
            captured = info.started_ns + pts_ns
        if captured is not None and not 0 <= captured <= _LAST_CAPTURE_NS:
            self._say_once("capture", f"capture time {captured} ns isn't between 1970 and 9999: taken as unknown")
            captured = None
        if decoded.position is not None:
            # numbers never come twice, and ids with them, even where no state was kept: another worker had it before
            self.index = max(self.index, decoded.position.offset)
        frame = Frame(
            stream=info,
            index=self.index,
            pts_ns=pts_ns,
            pixels=PixelCache(self._fitted(decoded.picture)),
            captured_ns=captured,
            keyframe=decoded.keyframe,
        )
        self.index += 1
        return frame

    def _fitted(self, picture: Picture) -> Picture:
        """The picture at the size of its stream, which boxes and zones are in: a source may change it on the way."""
        size = (picture.width, picture.height)
        if size == self.run.info.size:
            return picture
        self._say_once("size", f"a picture of {size} pixels is fitted to the stream's {self.run.info.size}")
        return _Fitted(picture, *self.run.info.size)

    def _admit(self, ticket: Ticket, hall: Hall) -> None:
        run = self.run
        if run.info.live:
            if hall.crowded(run.info.name, run.plan.sinks):
                run.ledger.book("dropped", "sinks")
                return
            while not run.credits.try_take(ticket.cost):
                oldest = hall.services.pool.drop_oldest(run.lane)
                if oldest is None:
                    run.ledger.book("dropped", "overload")
                    return
                run.drop(oldest, "overload")
        else:
            self._wait_for_sinks(hall)
            if not run.credits.take(ticket.cost, hall.stopping.is_set):
                if not self._keep_all:
                    run.ledger.book("dropped", "stopped")
                    return
                run.credits.force(ticket.cost)
        run.ledger.admit()
        self.run.put(ticket)

    def _wait_for_sinks(self, hall: Hall) -> None:
        while hall.crowded(self.run.info.name, self.run.plan.sinks) and not hall.stopping.is_set():
            hall.stopping.wait(0.05)


class _Kept:
    """The grey picture that a checkpoint kept, for flow alone."""

    def __init__(self, gray: Image) -> None:
        self._gray = gray
        self.height, self.width = gray.shape

    def to_gray(self) -> Image:
        return self._gray

    to_rgb = to_gray


class _Fitted:
    """A picture at another size than its own."""

    def __init__(self, picture: Picture, width: int, height: int) -> None:
        self._picture = picture
        self.width = width
        self.height = height

    def to_rgb(self) -> Image:
        return resize(self._picture.to_rgb(), self.width, self.height)

    def to_gray(self) -> Image:
        return resize(self._picture.to_gray(), self.width, self.height)


__all__ = ["Hall", "Intake"]
