"""Scheduling: gives each decoded frame its media time, index and due steps, and makes it an item of the chain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from streamproc.chain.flow import flow_grid
from streamproc.chain.framing import FrameMaker
from streamproc.chain.item import Barrier, End, FrameItem, TimeMark
from streamproc.chain.ledger import Bucket
from streamproc.chain.packing import pack_image, unpack_image
from streamproc.chain.sampler import Sampler
from streamproc.chain.sampling import Beat
from streamproc.chain.step import Due, Step
from streamproc.config.plan import ChainPlan
from streamproc.errors import describe
from streamproc.events import Moment
from streamproc.frames import SECOND_NS, Frame, Image, PixelCache, StreamInfo
from streamproc.source import DecodedFrame
from streamproc.timeline import Timeline

IDLE_SLACK_NS = 2 * SECOND_NS
"""allowance for frames of a live stream that are still under way: `idle` advances media time by this much less"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """Consequence of one decoded frame: marks before it, then its item or the bucket that it ends in."""

    marks: tuple[TimeMark, ...] = ()
    item: FrameItem | None = None
    bucket: Bucket | None = None
    reason: str = ""


@dataclass(slots=True)
class Gaps:
    """Gaps in the time stamps of a stream, without those during which its source was lost."""

    count: int = 0
    longest_ns: int = 0


class Schedule:
    """Schedules the decoded frames of one stream, in the order in which they are shown."""

    def __init__(self, plan: ChainPlan, info: StreamInfo, steps: Sequence[Step], warn: Callable[[str], None]) -> None:
        self.timeline = Timeline(info.rate)
        self.gaps = Gaps()
        self._plan = plan
        self._info = info
        self._flow_steps = frozenset(step.index for step in steps if step.wants_flow)
        self._takes_all = not steps
        self._frames = FrameMaker(info, warn)
        self._sampler = Sampler(steps, Beat.of(plan.rate, info.nominal_ns), warn)
        self._before: Frame | None = None
        self._last = Moment(pts_ns=0, frame_index=0)

    def feed(self, decoded: DecodedFrame, following_ns: int | None = None, away_ns: int | None = None) -> Scheduled:
        """Schedule a decoded frame.

        following_ns: time stamp of the picture after it, where it is known.
        away_ns: how long the source was lost before it, by the clock; None: it wasn't.
        """
        if away_ns is not None:
            self.timeline.reconnected(self._away_ns(decoded, away_ns))
        placed = self.timeline.place(decoded.pts_ns, following_ns)
        frame = self._frames.make(decoded, placed.pts_ns)
        marks = self._marks(frame, placed.gap, away_ns is not None)
        before, self._before = self._before, frame if self._flow_steps else None
        self._last = Moment.of(frame)
        due = self._due(frame)
        if due is None:
            return Scheduled(marks=marks, bucket="undecodable", reason="conversion")
        if not due.steps and not self._takes_all:
            return Scheduled(marks=marks, bucket="sampled_out", reason="rate")
        wanted = before if due.steps & self._flow_steps else None
        return Scheduled(marks=marks, item=FrameItem(moment=self._last, frame=frame, before=wanted, due=due))

    def lost(self) -> TimeMark:
        """Return the mark of a source that is lost after the last frame."""
        return TimeMark(moment=self._last, reason="lost")

    def idle(self, silent_ns: int) -> TimeMark | None:
        """Advance media time after so long without a frame, by the clock; None while one may still be under way."""
        on_ns = silent_ns - IDLE_SLACK_NS
        if on_ns <= 0 or self.timeline.last_ns is None:
            return None
        self.timeline.advance(self._last.pts_ns + on_ns)
        captured_ns = None if self._last.captured_ns is None else self._last.captured_ns + on_ns
        return TimeMark(
            moment=replace(self._last, pts_ns=self._last.pts_ns + on_ns, captured_ns=captured_ns), reason="idle"
        )

    def barrier(self, number: int) -> Barrier:
        """Return a barrier behind the last frame."""
        return Barrier(moment=self._last, number=number)

    def end(self, flush: bool) -> End:
        """Return the end of the stream."""
        self._before = None
        return End(moment=self._last, flush=flush)

    def state(self) -> dict[str, Any]:
        """Return plain JSON values from which `restore` continues exactly."""
        return {
            "timeline": self.timeline.state(),
            "index": self._frames.index,
            "gaps": [self.gaps.count, self.gaps.longest_ns],
            "sampler": self._sampler.state(),
            "last": [self._last.pts_ns, self._last.frame_index, self._last.captured_ns],
            "before": self._packed_before(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a stored `state`, before the first decoded frame."""
        self.timeline.restore(state["timeline"])
        self._frames.index = state["index"]
        self.gaps = Gaps(*state["gaps"])
        self._sampler.restore(state["sampler"])
        pts_ns, index, captured_ns = state["last"]
        self._last = Moment(pts_ns=pts_ns, frame_index=index, captured_ns=captured_ns)
        if state["before"] is not None and self._flow_steps:
            pixels = PixelCache(_Gray(unpack_image(state["before"])))
            self._before = Frame(stream=self._info, index=index, pts_ns=pts_ns, pixels=pixels)

    def _away_ns(self, decoded: DecodedFrame, away_ns: int) -> int:
        """Return how long the source was lost, by capture time if known, minus the time that `idle` has passed."""
        passed_ns = (self.timeline.last_ns or 0) - self._last.pts_ns
        if decoded.captured_ns is not None and self._last.captured_ns is not None:
            away_ns = decoded.captured_ns - self._last.captured_ns
        return away_ns - passed_ns

    def _marks(self, frame: Frame, gap: bool, back: bool) -> tuple[TimeMark, ...]:
        if gap and not back:
            self.gaps.count += 1
            self.gaps.longest_ns = max(self.gaps.longest_ns, frame.pts_ns - self._last.pts_ns)
        if not (gap or back):
            return ()
        moment = replace(self._last, pts_ns=frame.pts_ns, captured_ns=frame.captured_ns)
        return (TimeMark(moment=moment, reason="back" if back else "gap"),)

    def _due(self, frame: Frame) -> Due | None:
        """Return what runs at this frame; None where its picture can't be converted for a clip."""
        try:
            return self._sampler.due(frame)
        except Exception as error:  # noqa: BLE001 - whatever a decoder's picture raises
            self._frames.warn_once("conversion", f"picture {frame.index} can't be converted: {describe(error)}")
            return None

    def _packed_before(self) -> dict[str, Any] | None:
        """Return the picture from which the next frame's flow starts, at the flow's own size."""
        if self._before is None:
            return None
        try:
            return pack_image(self._before.pixels.small_gray(*flow_grid(self._plan.flow, *self._info.size)))
        except Exception:  # noqa: BLE001 - a picture that can't be converted gives no flow either
            return None


class _Gray:
    """The grey picture that a checkpoint stored, for flow alone."""

    def __init__(self, gray: Image) -> None:
        self._gray = gray
        self.height, self.width = gray.shape

    def to_gray(self) -> Image:
        return self._gray

    to_rgb = to_gray


__all__ = ["IDLE_SLACK_NS", "Gaps", "Schedule", "Scheduled"]
