"""The `motion` plugin: boxes of moving regions, and one episode for each stretch of motion."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc import (
    Detections,
    Episode,
    Event,
    Frame,
    Moment,
    Output,
    PluginContext,
    Results,
    StreamPlugin,
    TimeReason,
)
from streamproc.geometry import clip_boxes, in_polygon
from streamproc.models import ModelStore
from streamproc_plugins.motion.background import Background
from streamproc_plugins.motion.options import MotionOptions
from streamproc_plugins.shots.following import ended_at_cut

_RUN_BREAK_NS = 500_000_000
"""motion without an event yet begins anew after so long without any"""
_SMALL_PIXELS = 100_000
_one_at_a_time = threading.Lock()
"""Small pictures are looked at in dozens of calls of some microseconds, each of which lets go of the interpreter: two
threads would wake each other at every call, which takes longer than the calls. Large pictures gain by several cores."""


class Motion(StreamPlugin[MotionOptions]):
    """Finds motion before a fixed camera: gives `Detections`, and `motion` events from start to end."""

    pixels = True
    gives = (Detections,)

    @classmethod
    def labels_given(
        cls, options: MotionOptions, models: ModelStore, before: Collection[str] | None
    ) -> Collection[str] | None:
        """The one label."""
        return (options.label,)

    def open(self, context: PluginContext) -> None:
        """Lay out the small picture and the masks."""
        width, height = context.stream.size
        self._width = min(self.options.width, width)
        self._height = max(round(height * self._width / width), 1)
        self._scale = np.array([width / self._width, height / self._height] * 2, np.float32)
        looked_at = looked_at_mask(self.options.masks, self._width, self._height)
        self._background = Background(looked_at, self.options.settings())
        small = self._width * self._height <= _SMALL_PIXELS
        self._turn: AbstractContextManager[Any] = _one_at_a_time if small else nullcontext()
        self._since_ns: int | None = None
        self._last_ns = 0
        self._open: Episode | None = None
        self._about: dict[str, Any] = {}

    def process(self, frame: Frame, past: Results) -> Output:
        """One `Detections`, largest box first, and the events of the frame."""
        gray = frame.pixels.small_gray(self._width, self._height)
        with self._turn:
            regions = self._background.look(frame.pts_ns, gray)
        boxes = clip_boxes(regions.boxes * self._scale, frame.width, frame.height)
        # surer than half in any case: it has been found on two ways, against the background and over time
        found = Detections.of(boxes, 0.5 + 0.5 * regions.strength, [self.options.label] * len(boxes))
        return [found, *(self._moves(frame, boxes) if len(boxes) else self._rests(frame.pts_ns))]

    def on_time(self, moment: Moment, reason: TimeReason) -> Output:
        """End motion while no frame arrives; behind a cut, learn another scene."""
        if reason == "cut":
            self._background.forget()
            return ended_at_cut(self._end(), moment.pts_ns)
        return self._rests(moment.pts_ns)

    def flush(self, moment: Moment) -> Output:
        """Motion ends with the stream."""
        return self._end()

    def state(self) -> dict[str, Any]:
        """The background and the open episode, as JSON values; some 0.4 MB for a picture 240 pixels wide."""
        return {
            "background": self._background.state(),
            "since_ns": self._since_ns,
            "last_ns": self._last_ns,
            "about": self._about,
            "open": None if self._open is None else self._open.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`; `ValueError` where it can't be read."""
        self._background.restore(state["background"])
        self._since_ns, self._last_ns = state["since_ns"], state["last_ns"]
        self._about, self._open = dict(state["about"]), Episode.restored(state["open"])

    def _moves(self, frame: Frame, boxes: NDArray[np.float32]) -> list[Event]:
        now_ns, options = frame.pts_ns, self.options
        if self._since_ns is None:
            self._since_ns = now_ns
        self._last_ns = now_ns
        low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
        self._about = {"label": options.label, "box": [*low.tolist(), *high.tolist()], "count": len(boxes)}
        if self._open is None:
            if now_ns - self._since_ns < options.start_after:
                return []
            self._open = Episode(type="motion", key=f"motion/{frame.index}", start_ns=self._since_ns)
            return [self._open.start(now_ns, **self._about)]
        if self._open.due(now_ns, options.update_every):
            return [self._open.update(now_ns, **self._about)]
        return []

    def _rests(self, now_ns: int) -> list[Event]:
        quiet_ns = now_ns - self._last_ns
        if self._open is None:
            if quiet_ns > _RUN_BREAK_NS:
                self._since_ns = None
            return []
        return self._end() if quiet_ns > self.options.linger else []

    def _end(self) -> list[Event]:
        ended, self._open, self._since_ns = self._open, None, None
        if ended is None:
            return []
        return [ended.end(self._last_ns, **self._about, duration_s=ended.lasted_s(self._last_ns))]


def looked_at_mask(masks: tuple[tuple[tuple[float, float], ...], ...], width: int, height: int) -> NDArray[np.bool_]:
    """Bool (height, width): where no mask covers the middle of the pixel."""
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    middles = np.stack([x.ravel(), y.ravel()], axis=1)
    covered = np.zeros(len(middles), np.bool_)
    for mask in masks:
        covered |= in_polygon(middles, np.array(mask, np.float64))
    return ~covered.reshape(height, width)
