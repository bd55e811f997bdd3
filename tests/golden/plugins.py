"""Plugins of the golden runs. What they emit follows from integers, or is rounded far from where rounding turns."""

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
    PluginContext,
    Replacement,
    Result,
    Results,
    StreamPlugin,
    TimeReason,
    Tracks,
    seconds,
)
from tests.golden.pictures import PALETTE


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Level(Result):
    """Sum of the grey levels."""

    schema: ClassVar[str] = "tests.golden.level/1"

    value: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Number(Result):
    """Number of a frame among those that a plugin has processed."""

    schema: ClassVar[str] = "tests.golden.number/1"

    value: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Product(Result):
    """Number times level."""

    schema: ClassVar[str] = "tests.golden.product/1"

    value: int


class Measure(FramePlugin[Options]):
    """Gives the grey level; its work differs from frame to frame, so that workers overtake each other."""

    gives = (Level,)

    def process(self, frame: Frame, past: Results) -> Output:
        for _ in range(frame.index * 7 % 5):
            np.sort(np.arange(20_000) * 7919 % 20_011)
        yield Level(value=int(frame.gray.sum()))


class CountOptions(Options):
    every: int = Field(1, ge=1, description="emit at every so many frames")
    group: int = Field(5, ge=2, description="frames of an episode")


class Count(StreamPlugin[CountOptions]):
    """Numbers the frames, and emits an episode for each group of them, time marks and the end of the stream."""

    uses = (Level,)
    gives = (Number,)

    def open(self, context: PluginContext) -> None:
        self._count = 0

    def process(self, frame: Frame, past: Results) -> Output:
        group, step = divmod(self._count, self.options.group)
        self._count += 1
        level = past.get(Level)
        yield Number(value=self._count)
        if self._count % self.options.every == 0:
            yield Event.instant(frame, "count.frame", number=self._count, level=None if level is None else level.value)
        begun = Event.begin(frame, "count.group", f"g{group}", group=group)
        if step == 0:
            yield begun
        elif step == self.options.group - 1:
            yield begun.later("end", last=self._count)

    def on_time(self, moment: Moment, reason: TimeReason) -> Output:
        return [_at(moment, f"count.{reason}", number=self._count)]

    def flush(self, moment: Moment) -> Output:
        return [_at(moment, "count.end", number=self._count)]

    def state(self) -> Mapping[str, Any]:
        return {"count": self._count}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._count = int(state["count"])


class Multiply(FramePlugin[Options]):
    """Multiplies number and level; has nothing to do where there is no number."""

    needs = (Number,)
    uses = (Level,)
    gives = (Product,)

    def process(self, frame: Frame, past: Results) -> Output:
        level = past.get(Level)
        product = past[Number].value * (1 if level is None else level.value)
        yield Product(value=product)
        yield Event.instant(frame, "multiply.product", product=product)


class Total(StreamPlugin[Options]):
    """Adds up the products it finds, and emits the total."""

    uses = (Product,)

    def open(self, context: PluginContext) -> None:
        self._total = 0

    def process(self, frame: Frame, past: Results) -> Output:
        product = past.get(Product)
        self._total += 1 if product is None else product.value
        yield Event.instant(frame, "total", total=self._total, product=product is not None)

    def state(self) -> Mapping[str, Any]:
        return {"total": self._total}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._total = int(state["total"])


class Echo(FramePlugin[Options]):
    """Lists the events of the plugins before it, and the level of the picture that it gets."""

    def process(self, frame: Frame, past: Results) -> Output:
        before = [f"{event.plugin}:{event.type}:{event.phase}:{event.sequence}" for event in past.events]
        yield Event.instant(frame, "echo", before=before, level=int(frame.rgb.sum()))


class Veil(StreamPlugin[Options]):
    """Replaces the picture by its negative."""

    gives = (Replacement,)
    pixels: ClassVar[bool] = True

    def process(self, frame: Frame, past: Results) -> Output:
        yield Replacement(rgb=255 - frame.rgb)


class ClipLevelsOptions(Options):
    frames: int = Field(4, ge=1, description="pictures of a clip")
    rate: float = Field(5, gt=0, description="pictures per second")


class ClipLevels(ClipPlugin[ClipLevelsOptions]):
    """Emits the times and levels of a clip."""

    def clip(self) -> ClipSpec:
        return ClipSpec(frames=self.options.frames, rate=self.options.rate, stride_ns=seconds(0.4), size=(16, 12))

    def process(self, clip: Clip, past: Results) -> Output:
        levels = clip.rgb.astype(np.int64).sum(axis=(1, 2, 3))
        yield Event.instant(clip, "clip.levels", pts_ns=clip.pts_ns.tolist(), levels=levels.tolist())


class ClipFlow(ClipPlugin[Options]):
    """Emits the median flow before each picture of a clip, in whole pixels."""

    def clip(self) -> ClipSpec:
        return ClipSpec(frames=4, rate=5, stride_ns=seconds(0.6), size=(128, 96), flow=True)

    def process(self, clip: Clip, past: Results) -> Output:
        assert clip.flow is not None
        shifts = [_shift(uv) for uv in clip.flow]
        yield Event.instant(clip, "clip.flow", pts_ns=clip.pts_ns.tolist(), shifts=shifts)


class FrameFlow(FramePlugin[Options]):
    """Emits the median flow to a frame, in whole pixels."""

    needs = (Flow,)

    def process(self, frame: Frame, past: Results) -> Output:
        flow = past[Flow]
        yield Event.instant(frame, "frame.flow", shift=_shift(flow.uv / flow.scale), dt_ns=flow.dt_ns)


class FailOptions(Options):
    every: int = Field(0, ge=0, description="fail at every so many frames; 0: at none")
    start: int = Field(1_000_000, ge=0, description="fail at every frame from this one on")
    wrong: bool = Field(False, description="give what isn't a result instead of raising")


class Fail(FramePlugin[FailOptions]):
    """Fails now and then, or for good."""

    gives = (Product,)

    def process(self, frame: Frame, past: Results) -> Output:
        _fail(self.options, frame)
        yield Product(value=frame.index)
        yield Event.instant(frame, "fail.passed")
        if self.options.wrong and frame.index % 6 == 5:
            yield "no result"  # type: ignore[misc]


class FailInOrder(StreamPlugin[FailOptions]):
    """The same, in order."""

    def process(self, frame: Frame, past: Results) -> Output:
        yield Event.instant(frame, "fail.begun")
        _fail(self.options, frame)


class BadBoxes(FramePlugin[Options]):
    """Gives boxes that are no numbers at every third frame."""

    gives = (Detections,)

    def process(self, frame: Frame, past: Results) -> Output:
        edge = np.nan if frame.index % 3 == 2 else 4.0
        yield Event.instant(frame, "boxes.given")
        yield Detections.of([[0.0, 0.0, edge, 4.0]], [0.5], ["thing"])


class HangOptions(Options):
    at: int = Field(ge=0, description="index of the frame at which it hangs")


class Hang(FramePlugin[HangOptions]):
    """Never returns from one frame."""

    gives = (Product,)

    def process(self, frame: Frame, past: Results) -> Output:
        _hang(self.options, frame)
        yield Product(value=frame.index)
        yield Event.instant(frame, "hang.passed")


class HangInOrder(StreamPlugin[HangOptions]):
    """The same, in order."""

    def process(self, frame: Frame, past: Results) -> Output:
        _hang(self.options, frame)
        yield Event.instant(frame, "hang.passed")


class Boxes(FramePlugin[Options]):
    """Finds the things in the street by their colours; a thing scores by the part of it that isn't hidden."""

    gives = (Detections,)

    def process(self, frame: Frame, past: Results) -> Output:
        boxes, scores, labels = [], [], []
        for label, colour in PALETTE.values():
            rows, columns = np.nonzero((frame.rgb == colour).all(axis=2))
            if len(rows) < 24:
                continue
            boxes.append([int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1])
            scores.append(0.5 + min(len(rows), 640) / 1600)
            labels.append(label)
        yield Detections.of(boxes, scores, labels, [list("pbc").index(label[0]) for label in labels])


class Follow(StreamPlugin[Options]):
    """Emits ids, labels, states and boxes of the tracks."""

    needs = (Tracks,)

    def process(self, frame: Frame, past: Results) -> Output:
        tracks = past[Tracks]
        rows = zip(tracks.track_id.tolist(), tracks.label, tracks.state, tracks.xyxy.tolist(), strict=True)
        found = [f"{number} {label} {state} {[round(edge) for edge in box]}" for number, label, state, box in rows]
        yield Event.instant(frame, "tracks.followed", tracks=found)


def _at(moment: Moment, type_: str, **data: Any) -> Event:
    return Event(
        type=type_, phase="instant", start_ns=moment.pts_ns, end_ns=moment.pts_ns, frame_index=moment.frame_index,
        pts_ns=moment.pts_ns, data=data,
    )  # fmt: skip


def _shift(uv: Any) -> list[int]:
    """Median right and down in whole pixels, away from the borders, which come from outside the picture."""
    return [round(float(value)) for value in np.median(uv[12:-12, 24:-24], axis=(0, 1))]


def _fail(options: FailOptions, frame: Frame) -> None:
    if frame.index >= options.start or (options.every and frame.index % options.every == options.every - 1):
        raise ValueError(f"frame {frame.index} is one too many")


def _hang(options: HangOptions, frame: Frame) -> None:
    if frame.index == options.at:
        threading.Event().wait()
