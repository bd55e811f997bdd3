"""The `segmentation_smoothing` plugin: a stream of `Segmentation` to one that earlier frames have a say in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streamproc import (
    Flow,
    Frame,
    MissingInput,
    Moment,
    Output,
    PluginContext,
    Result,
    Results,
    Segmentation,
    StreamPlugin,
    TimeReason,
)
from streamproc_plugins.packing import pack, unpack
from streamproc_plugins.segmentation.options import SmoothingOptions
from streamproc_plugins.segmentation.running import Running, begun, blended, carried, shown, small_grid, weight_of


class SegmentationSmoothing(StreamPlugin[SmoothingOptions]):
    """Steadies a segmentation: the last one is carried along optical flow to this frame and blended with the new one.

    After Gadde et al., ICCV 2017. Gives `Segmentation` with the labels and the size of the input; also at frames
    without one, as its plugin has a lower rate: then the last one, carried on.

    `Flow` leads from the source frame before to this one. If more time has passed since the last call, it assumes even
    motion over that time. Without flow nothing is carried, and the new result stands for itself. Where
    `shots` stands before, it begins anew at a cut.
    """

    state_version = 2
    uses: ClassVar[tuple[type[Result | Flow], ...]] = (Segmentation, Flow)
    gives: ClassVar[tuple[type[Result], ...]] = (Segmentation,)

    _running: Running | None
    _hw: tuple[int, int]
    _labels: tuple[str, ...]
    _before_ns: int
    """media time of the call before"""
    _measured_ns: int
    """media time of the last input"""

    def open(self, context: PluginContext) -> None:
        """Begin with nothing remembered."""
        self._ever = False
        self._forget()

    def process(self, frame: Frame, past: Results) -> Output:
        """One `Segmentation`; nothing after too long without an input.

        Raises `MissingInput` before the first input.
        """
        found = past.get(Segmentation)
        if found is None and not self._ever:
            raise MissingInput(
                "segmentation_smoothing needs the result of an earlier plugin, but none gave Segmentation so far; put "
                "`segmentation` in front"
            )
        self._ever = True
        now_ns = frame.pts_ns
        moved = self._carried(now_ns, past.get(Flow))
        if found is not None:
            self._take(now_ns, found, moved)
        elif moved is not None and now_ns - self._measured_ns <= self.options.lost_after:
            self._running = moved[0]
        else:
            self._running = None
        self._before_ns = now_ns
        if self._running is None:
            return []
        class_map = shown(self._running, self._hw, self.options.hysteresis)
        return [Segmentation(class_map=class_map, labels=self._labels)]

    def on_time(self, moment: Moment, reason: TimeReason) -> Output | None:
        """Forget the last result at a cut."""
        if reason == "cut":
            self._forget()
        return None

    def state(self) -> dict[str, Any]:
        """The memory as JSON values."""
        running = self._running
        stored = None if running is None else {
            "classes": list(running.classes), "scores": pack(running.scores), "chosen": pack(running.chosen),
        }  # fmt: skip
        return {
            "running": stored,
            "hw": list(self._hw),
            "labels": list(self._labels),
            "before_ns": self._before_ns,
            "measured_ns": self._measured_ns,
            "ever": self._ever,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        stored = state["running"]
        self._hw, self._labels = (state["hw"][0], state["hw"][1]), tuple(state["labels"])
        self._before_ns, self._measured_ns, self._ever = state["before_ns"], state["measured_ns"], state["ever"]
        self._running = None
        if stored is not None:
            self._running = Running(
                classes=tuple(stored["classes"]),
                scores=unpack(stored["scores"]),
                chosen=unpack(stored["chosen"]),
            )

    def _forget(self) -> None:
        self._running = None
        self._hw = (0, 0)
        self._labels = ()
        self._before_ns = self._measured_ns = 0

    def _carried(self, now_ns: int, flow: Flow | None) -> tuple[Running, NDArray[np.bool_]] | None:
        """The memory brought to this frame; None where there is none or it can't be brought."""
        if self._running is None or flow is None:
            return None
        times = (now_ns - self._before_ns) / flow.dt_ns
        return carried(self._running, np.asarray(flow.uv * np.float32(times), np.float32), flow.valid)

    def _take(self, now_ns: int, found: Segmentation, moved: tuple[Running, NDArray[np.bool_]] | None) -> None:
        """Blend in a new result."""
        options = self.options
        hw = (found.class_map.shape[0], found.class_map.shape[1])
        fits = moved is not None and hw == self._hw and found.labels == self._labels
        elapsed_ns = now_ns - self._measured_ns
        if moved is None or not fits or elapsed_ns > options.lost_after:
            self._running = begun(found.class_map, small_grid(hw, options.grid))
        else:
            weight = weight_of(elapsed_ns, options.time_constant)
            self._running = blended(moved[0], found.class_map, weight, moved[1], options.hysteresis)
        self._hw, self._labels, self._measured_ns = hw, found.labels, now_ns


__all__ = ["SegmentationSmoothing"]
