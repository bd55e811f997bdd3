"""Clips cut by media time: T pictures at a regular beat, one clip every stride."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc.config.plan import FlowPlan
from streamproc.engine.checkpoint import pack_image, unpack_image
from streamproc.engine.flow import picture_flow
from streamproc.engine.sampling import Beat
from streamproc.frames import SECOND_NS, Clip, Frame, Image, resize
from streamproc.geometry import window_of
from streamproc.plugin import ClipSpec


@dataclass(slots=True, eq=False)
class Sample:
    """One sampled picture; its flow from the sample before is computed once, by whoever needs it first."""

    rgb: Image
    pts_ns: int
    before: Image | None
    """grey picture of the sample before, where flow is wanted"""
    gray: Image | None
    _flow: NDArray[np.float32] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def flow(self, plan: FlowPlan) -> NDArray[np.float32]:
        """float32 (h, w, 2) in pixels of this picture; zeros for the very first sample."""
        with self._lock:
            if self._flow is None:
                if self.before is None or self.gray is None:
                    self._flow = np.zeros((*self.rgb.shape[:2], 2), np.float32)
                else:
                    self._flow, _ = picture_flow(plan, self.before, self.gray)
            return self._flow


@dataclass(frozen=True, slots=True, eq=False)
class CutClip:
    """The samples of one clip; the arrays are put together by the worker that runs the plugin."""

    samples: tuple[Sample, ...]
    spec: ClipSpec
    flow_plan: FlowPlan

    def build(self, last: Frame) -> Clip:
        """The clip as the plugin gets it."""
        return Clip(
            stream=last.stream,
            rgb=np.stack([sample.rgb for sample in self.samples]),
            pts_ns=np.array([sample.pts_ns for sample in self.samples], np.int64),
            last=last,
            flow=np.stack([sample.flow(self.flow_plan) for sample in self.samples]) if self.spec.flow else None,
        )


class ClipCutter:
    """Samples the source frames of one stream for one plugin.

    A gap of more than two beats starts a new clip: a clip never spans a hole in time.
    """

    def __init__(self, spec: ClipSpec, flow_plan: FlowPlan, nominal_ns: int | None) -> None:
        self._spec = spec
        self._flow_plan = flow_plan
        beat = Beat.of(spec.rate, nominal_ns)
        assert beat is not None
        self._beat = beat
        self._samples: deque[Sample] = deque(maxlen=spec.frames)
        self._due_ns: int | None = None

    def add(self, frame: Frame) -> CutClip | None:
        """Take a source frame; the clip that it completes, if any."""
        if not self._beat.takes(frame.pts_ns):
            return None
        self._break_at_gap(frame.pts_ns)
        self._samples.append(self._sample(frame))
        if len(self._samples) < self._spec.frames:
            return None
        if self._due_ns is not None and frame.pts_ns < self._due_ns - self._beat.slack_ns:
            return None
        self._due_ns = (frame.pts_ns if self._due_ns is None else self._next_due(frame.pts_ns)) + self._spec.stride_ns
        return CutClip(tuple(self._samples), self._spec, self._flow_plan)

    def state(self) -> dict[str, Any]:
        """Plain JSON values from which `restore` goes on exactly, the sampled pictures among them."""
        samples = list(self._samples)
        before = samples[0].before if samples else None
        return {
            "beat_due_ns": self._beat.due_ns,
            "due_ns": self._due_ns,
            "pts_ns": [sample.pts_ns for sample in samples],
            "rgb": [pack_image(sample.rgb) for sample in samples],
            "gray": [pack_image(sample.gray) for sample in samples if sample.gray is not None],
            "before": None if before is None else pack_image(before),
            "region": list(self._spec.region) if self._spec.region else None,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave, unless the plugin orders other clips now."""
        rgb = [unpack_image(kept) for kept in state["rgb"]]
        grays: list[Image | None] = [unpack_image(kept) for kept in state["gray"]] or [None] * len(rgb)
        width, height = self._spec.size
        fits = len(rgb) <= self._spec.frames and all(image.shape[:2] == (height, width) for image in rgb)
        region = list(self._spec.region) if self._spec.region else None
        if not fits or self._spec.flow is not bool(state["gray"]) or state.get("region") != region:
            return
        self._beat.due_ns, self._due_ns = state["beat_due_ns"], state["due_ns"]
        before = None if state["before"] is None else unpack_image(state["before"])
        self._samples.clear()
        for image, gray, pts_ns in zip(rgb, grays, state["pts_ns"], strict=True):
            self._samples.append(Sample(rgb=image, pts_ns=pts_ns, before=before, gray=gray))
            before = gray

    def _next_due(self, pts_ns: int) -> int:
        assert self._due_ns is not None
        late = pts_ns - self._due_ns
        return self._due_ns if late < self._spec.stride_ns else pts_ns

    def _break_at_gap(self, pts_ns: int) -> None:
        if self._samples and pts_ns - self._samples[-1].pts_ns > round(2.5 * SECOND_NS / self._spec.rate):
            self._samples.clear()
            self._due_ns = None

    def _sample(self, frame: Frame) -> Sample:
        width, height = self._spec.size
        before = self._samples[-1].gray if self._samples else None
        if self._spec.region is None:
            gray = frame.pixels.small_gray(width, height) if self._spec.flow else None
            return Sample(rgb=frame.resized(width, height), pts_ns=frame.pts_ns, before=before, gray=gray)
        left, top, right, bottom = window_of(self._spec.region, frame.width, frame.height)
        inside = np.s_[top:bottom, left:right]
        gray = resize(frame.gray[inside], width, height) if self._spec.flow else None
        return Sample(rgb=resize(frame.rgb[inside], width, height), pts_ns=frame.pts_ns, before=before, gray=gray)
