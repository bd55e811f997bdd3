"""Small plugins that the engine's tests are made of."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from streamproc import (
    Clip,
    ClipPlugin,
    ClipSpec,
    Detections,
    Event,
    Field,
    Flow,
    Frame,
    FramePlugin,
    Moment,
    Options,
    Output,
    Result,
    Results,
    StreamPlugin,
    TimeReason,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Level(Result):
    """Mean grey level."""

    schema: ClassVar[str] = "tests.level/1"

    value: float


class Measure(FramePlugin[Options]):
    """Gives the mean grey level; takes a while that differs from frame to frame, so that workers overtake others."""

    gives = (Level,)

    def process(self, frame: Frame, past: Results) -> Output:
        for _ in range((frame.index * 7) % 5):
            np.sort(np.random.default_rng(frame.index).random(20_000))
        yield Level(value=float(frame.gray.mean()))


class TellOptions(Options):
    every: int = Field(1, ge=1, description="emit an event for every so many frames")


class Tell(StreamPlugin[TellOptions]):
    """Emits how many frames it has observed, and the level of an earlier result."""

    uses = (Level,)

    def open(self, context: Any) -> None:
        self.seen = 0
        self.marks: list[str] = []

    def process(self, frame: Frame, past: Results) -> Output:
        self.seen += 1
        level = past.get(Level)
        if self.seen % self.options.every == 0:
            yield Event.instant(frame, "tell.seen", seen=self.seen, level=None if level is None else level.value)

    def on_time(self, moment: Moment, reason: TimeReason) -> Output:
        return [Event(type=f"tell.{reason}", phase="instant", start_ns=moment.pts_ns, end_ns=moment.pts_ns)]

    def flush(self, moment: Moment) -> Output:
        now_ns = moment.pts_ns
        yield Event(type="tell.end", phase="instant", start_ns=now_ns, end_ns=now_ns, data={"seen": self.seen})

    def state(self) -> Mapping[str, Any]:
        return {"seen": self.seen}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.seen = state["seen"]


class FailOptions(Options):
    every: int = Field(50, ge=1, description="fail at every so many frames")
    from_index: int | None = Field(None, description="fail at every frame from this one on")


class Fail(FramePlugin[FailOptions]):
    """Fails now and then, or for good."""

    gives = (Level,)

    def process(self, frame: Frame, past: Results) -> Output:
        start = self.options.from_index
        if start is None and frame.index % self.options.every == self.options.every - 1:
            raise ValueError("on purpose, with rtsp://user:secret@camera/")
        if start is not None and frame.index >= start:
            raise ValueError("for good")
        yield Level(value=1.0)


class NanBoxes(FramePlugin[Options]):
    """Gives boxes that are not numbers."""

    gives = (Detections,)

    def process(self, frame: Frame, past: Results) -> Output:
        yield Detections.of(np.full((1, 4), np.nan), np.ones(1), ["x"])


HANG = threading.Event()
"""set by a test to let hanging plugins go"""


class HangOptions(Options):
    at: int = Field(5, ge=0, description="index of the frame at which it hangs")


class HangPure(FramePlugin[HangOptions]):
    """Hangs at one frame."""

    gives = (Level,)

    def process(self, frame: Frame, past: Results) -> Output:
        if frame.index == self.options.at:
            HANG.wait()
        yield Level(value=2.0)


class HangOrdered(StreamPlugin[HangOptions]):
    """Hangs at one frame, on the stream's own thread."""

    def process(self, frame: Frame, past: Results) -> Output:
        if frame.index == self.options.at:
            HANG.wait()
        return []


class Motion(FramePlugin[Options]):
    """Emits the median flow."""

    needs = (Flow,)

    def process(self, frame: Frame, past: Results) -> Output:
        flow = past[Flow]
        right, down = np.median(flow.uv[8:-8, 8:-8], axis=(0, 1)) / flow.scale
        yield Event.instant(frame, "flow.median", right=float(right), down=float(down), dt_ns=flow.dt_ns)


class ClipMean(ClipPlugin[Options]):
    """Emits the times and grey levels of a clip."""

    def clip(self) -> ClipSpec:
        return ClipSpec(frames=4, rate=5, stride_ns=400_000_000, size=(16, 12))

    def process(self, clip: Clip, past: Results) -> Output:
        levels = clip.rgb.mean(axis=(1, 2, 3))
        yield Event.instant(clip, "clip.seen", pts_ns=clip.pts_ns.tolist(), levels=levels.tolist())
