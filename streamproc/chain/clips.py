"""Clips sampled by media time: T pictures at a regular beat, one clip every stride."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streamproc.chain.flow import picture_flow
from streamproc.chain.packing import pack_image, unpack_image
from streamproc.chain.sampling import Beat
from streamproc.config.plan import FlowPlan
from streamproc.errors import counted
from streamproc.frames import SECOND_NS, Clip, Frame, Image, resize
from streamproc.geometry import window_of
from streamproc.plugin import ClipSpec


@dataclass(slots=True, eq=False)
class SampledPicture:
    """One sampled picture; its flow from the sample before is computed once, on first use."""

    rgb: Image
    pts_ns: int
    before: Image | None
    """grey picture of the sample before, where flow is wanted"""
    gray: Image | None
    _flow: NDArray[np.float32] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def flow(self, plan: FlowPlan) -> NDArray[np.float32]:
        """Return the flow, float32 (h, w, 2) in pixels of this picture; zeros for the very first sample."""
        with self._lock:
            if self._flow is None:
                if self.before is None or self.gray is None:
                    self._flow = np.zeros((*self.rgb.shape[:2], 2), np.float32)
                else:
                    self._flow, _ = picture_flow(plan, self.before, self.gray)
            return self._flow


@dataclass(frozen=True, slots=True, eq=False)
class CutClip:
    """Samples of one clip; the worker that runs the plugin puts the arrays together."""

    samples: tuple[SampledPicture, ...]
    spec: ClipSpec
    flow_plan: FlowPlan

    def build(self, last: Frame) -> Clip:
        """Return the clip as the plugin gets it."""
        return Clip(
            stream=last.stream,
            rgb=np.stack([sample.rgb for sample in self.samples]),
            pts_ns=np.array([sample.pts_ns for sample in self.samples], np.int64),
            last=last,
            flow=np.stack([sample.flow(self.flow_plan) for sample in self.samples]) if self.spec.flow else None,
        )


class Buildable(Protocol):
    """A clip that is due."""

    def build(self, last: Frame) -> Clip:
        """Return the clip as the plugin gets it."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ReadyClip:
    """A clip that is built already, as from a repro bundle or a test."""

    clip: Clip

    def build(self, last: Frame) -> Clip:
        """Return the clip."""
        del last
        return self.clip


class Pace:
    """Time between the sampled pictures of a stream, against the time that a clip's rate asks for."""

    def __init__(self, wanted_ns: int) -> None:
        self.wanted_ns = wanted_ns
        self.steps_ns: deque[int] = deque(maxlen=32)
        self.clips = 0
        self.slow = 0
        """clips taken while the steps were more than 15 % longer than the clip's rate asks for, on average"""
        self.slowest_ns = 0

    def gap(self, step_ns: int) -> bool:
        """Record a step; return whether it is a gap in time rather than a usual step of this stream."""
        usual_ns = median(self.steps_ns) if self.steps_ns else 0
        self.steps_ns.append(step_ns)
        return step_ns > 2.5 * max(self.wanted_ns, usual_ns)

    def count(self) -> None:
        """Count a clip."""
        self.clips += 1
        usual_ns = median(self.steps_ns) if self.steps_ns else 0
        steps = [step for step in self.steps_ns if step <= 2.5 * max(self.wanted_ns, usual_ns)]
        mean_ns = sum(steps) // max(1, len(steps))
        if len(steps) > 2 and mean_ns > 1.15 * self.wanted_ns:
            self.slow += 1
            self.slowest_ns = max(self.slowest_ns, mean_ns)

    @property
    def warning(self) -> str:
        """One sentence on what is wrong with the clips so far; empty where nothing is."""
        if not self.slow:
            return ""
        counts = f"{self.slow} of {counted(self.clips, 'clip')}"
        apart = f"about {self.slowest_ns / 1e6:.0f} ms apart instead of {self.wanted_ns / 1e6:.0f} ms"
        return (
            f"{counts} have pictures {apart}: the stream has fewer frames per second than the clip's rate of "
            f"{SECOND_NS / self.wanted_ns:g}, so the net gets motion that is too fast; "
            "give the plugin a `rate` that the stream has"
        )


class ClipCutter:
    """Samples the source frames of one stream for one plugin.

    A gap of more than two beats starts a new clip: a clip never spans a gap in time. Where the source itself is slower
    than the clip's rate, its usual step takes the place of the beat, and `slow` counts these clips.
    """

    def __init__(self, spec: ClipSpec, flow_plan: FlowPlan, nominal_ns: int | None) -> None:
        self.spec = spec
        self.pace = Pace(round(SECOND_NS / spec.rate))
        self._flow_plan = flow_plan
        beat = Beat.of(spec.rate, nominal_ns)
        assert beat is not None
        self._beat = beat
        self._samples: deque[SampledPicture] = deque(maxlen=spec.frames)
        self._due_ns: int | None = None
        self._ready = False
        self.sampled = 0

    def add(self, frame: Frame, on_rate: bool = True) -> CutClip | None:
        """Sample a source frame; return the clip that ends here, if one is due.

        on_rate: whether the stream's rate takes this frame. A clip that is due at a frame not taken ends at the next
            frame taken, so that every later plugin gets its result.
        """
        if self._beat.takes(frame.pts_ns):
            self._break_at_gap(frame.pts_ns)
            self._samples.append(self._sample(frame))
            self.sampled += 1
            due = self._due_ns is None or frame.pts_ns >= self._due_ns - self._beat.slack_ns
            self._ready = len(self._samples) == self.spec.frames and (self._ready or due)
        if not (self._ready and on_rate):
            return None
        self._ready = False
        self._due_ns = (frame.pts_ns if self._due_ns is None else self._next_due(frame.pts_ns)) + self.spec.stride_ns
        self.pace.count()
        return CutClip(tuple(self._samples), self.spec, self._flow_plan)

    @property
    def warning(self) -> str:
        """One sentence on why the clips of an ended stream differ from the request; empty where they don't."""
        if self.pace.clips or not self.sampled:
            return self.pace.warning
        return (
            f"no clip was complete: one takes {self.spec.frames} pictures at {self.spec.rate:g} per second, "
            f"{self.spec.frames / self.spec.rate:.1f} s without a gap, and the stream has no such stretch; "
            "take a net with shorter clips, or a higher `rate`"
        )

    def state(self) -> dict[str, Any]:
        """Return plain JSON values, sampled pictures included, from which `restore` continues exactly."""
        samples = list(self._samples)
        before = samples[0].before if samples else None
        return {
            "beat_due_ns": self._beat.due_ns,
            "due_ns": self._due_ns,
            "ready": self._ready,
            "steps_ns": list(self.pace.steps_ns),
            "clips": self.pace.clips,
            "pts_ns": [sample.pts_ns for sample in samples],
            "rgb": [pack_image(sample.rgb) for sample in samples],
            "gray": [pack_image(sample.gray) for sample in samples if sample.gray is not None],
            "before": None if before is None else pack_image(before),
            "region": list(self.spec.region) if self.spec.region else None,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a stored `state`, unless the plugin asks for other clips now."""
        rgb = [unpack_image(packed) for packed in state["rgb"]]
        grays: list[Image | None] = [unpack_image(packed) for packed in state["gray"]] or [None] * len(rgb)
        width, height = self.spec.size
        fits = len(rgb) <= self.spec.frames and all(image.shape[:2] == (height, width) for image in rgb)
        region = list(self.spec.region) if self.spec.region else None
        if not fits or self.spec.flow is not bool(state["gray"]) or state.get("region") != region:
            return
        self._beat.due_ns, self._due_ns = state["beat_due_ns"], state["due_ns"]
        self._ready = state.get("ready", False)
        self.pace.steps_ns.extend(state.get("steps_ns", ()))
        self.pace.clips = state.get("clips", 0)
        before = None if state["before"] is None else unpack_image(state["before"])
        self._samples.clear()
        for image, gray, pts_ns in zip(rgb, grays, state["pts_ns"], strict=True):
            self._samples.append(SampledPicture(rgb=image, pts_ns=pts_ns, before=before, gray=gray))
            before = gray

    def _next_due(self, pts_ns: int) -> int:
        assert self._due_ns is not None
        late = pts_ns - self._due_ns
        return self._due_ns if late < self.spec.stride_ns else pts_ns

    def _break_at_gap(self, pts_ns: int) -> None:
        if self._samples and self.pace.gap(pts_ns - self._samples[-1].pts_ns):
            self._samples.clear()
            self._due_ns, self._ready = None, False

    def _sample(self, frame: Frame) -> SampledPicture:
        width, height = self.spec.size
        before = self._samples[-1].gray if self._samples else None
        if self.spec.region is None:
            gray = frame.pixels.small_gray(width, height) if self.spec.flow else None
            return SampledPicture(rgb=frame.resized(width, height), pts_ns=frame.pts_ns, before=before, gray=gray)
        left, top, right, bottom = window_of(self.spec.region, frame.width, frame.height)
        inside = np.s_[top:bottom, left:right]
        # copied first: a view would hold the whole frame's pixels for as long as the clip
        gray = resize(frame.gray[inside].copy(), width, height) if self.spec.flow else None
        rgb = resize(frame.rgb[inside].copy(), width, height)
        return SampledPicture(rgb=rgb, pts_ns=frame.pts_ns, before=before, gray=gray)
