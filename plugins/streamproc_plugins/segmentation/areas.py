"""The `class_areas` plugin: a stream of `Segmentation` to areas, a foreground mask, and events of large areas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streamproc import (
    Event,
    Flow,
    Frame,
    Moment,
    Output,
    PluginContext,
    PluginError,
    Result,
    Results,
    Segmentation,
    StreamPlugin,
    TimeReason,
)
from streamproc.errors import nearest
from streamproc_plugins.labels.episodes import Episodes, LabelChange
from streamproc_plugins.segmentation.options import AreasOptions
from streamproc_plugins.segmentation.people import boxes_of
from streamproc_plugins.segmentation.results import ClassAreas, Foreground
from streamproc_plugins.segmentation.rle import encode

AREA = "segment.area"


class ClassAreasPlugin(StreamPlugin[AreasOptions]):
    """Measures the part of the picture that each label covers, and emits an event while it is above a limit.

    Gives `ClassAreas`, and `Foreground` where the option asks for it; emits `segment.area`. Areas are smoothed over
    media time and have two limits (hysteresis), as in `labels`.
    """

    state_version = 2
    needs: ClassVar[tuple[type[Result | Flow], ...]] = (Segmentation,)
    gives: ClassVar[tuple[type[Result], ...]] = (ClassAreas, Foreground)

    def open(self, context: PluginContext) -> None:
        """Begin without open events."""
        options = self.options
        # a state machine for each label, as each has limits of its own
        self._episodes = {
            label: Episodes(options.settings(limit), AREA, limit=limit)
            for label, limit in sorted(options.limits.items())
        }
        self._known: tuple[str, ...] = ()

    def process(self, frame: Frame, past: Results) -> Output:
        """One `ClassAreas`, the foreground, and the events of the frame.

        Raises `PluginError` for a label of the options that the segmentation doesn't have.
        """
        found = past[Segmentation]
        self._check(found.labels)
        areas = ClassAreas(label=found.labels, area=areas_of(found))
        out: list[Result | Event] = [areas]
        if self.options.foreground is not None:
            out.append(foreground_of(found, self.options.foreground))
        for label, episodes in self._episodes.items():
            for change in episodes.observe(frame.pts_ns, {label: areas.of(label)}, frame.index):
                out.append(_event(change, {} if change.phase == "end" else self._shown(frame, found, label)))
        return out

    def on_time(self, moment: Moment, reason: TimeReason) -> Output:
        """End events without a result for too long, at their last observation; they go on over cuts."""
        return [_event(change, {}) for one in self._episodes.values() for change in one.lose(moment.pts_ns)]

    def flush(self, moment: Moment) -> Output:
        """End all open events with the stream, at their last observation."""
        return [_event(change, {}) for one in self._episodes.values() for change in one.finish()]

    def state(self) -> dict[str, Any]:
        """The open events, as JSON values."""
        return {label: episodes.state() for label, episodes in self._episodes.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`; labels that have no limit any more are forgotten."""
        for label, episodes in self._episodes.items():
            if label in state:
                episodes.restore(state[label])

    def _check(self, known: tuple[str, ...]) -> None:
        if known == self._known:
            return
        for label in (*self.options.limits, *(self.options.foreground or ())):
            if label not in known:
                raise PluginError(
                    f"the segmentation has no label {label!r}{nearest(label, known)}; it has {', '.join(known)}"
                )
        self._known = known

    def _shown(self, frame: Frame, found: Segmentation, label: str) -> dict[str, Any]:
        """Box and mask of the label in this frame."""
        mask = found.class_map == found.labels.index(label)
        if not mask.any():
            return {}
        height, width = mask.shape
        box = boxes_of(mask[None])[0] * np.array([frame.width / width, frame.height / height] * 2, np.float32)
        said: dict[str, Any] = {"box": box.tolist()}
        if self.options.mask != "none":
            said["mask"] = encode(mask, compressed=self.options.mask == "rle")
        return said


def _event(change: LabelChange, shown: Mapping[str, Any]) -> Event:
    if change.phase == "end":
        return change.event(most_area=change.score)
    return change.event(area=change.score, **shown)


def areas_of(found: Segmentation) -> NDArray[np.float32]:
    """Part of the picture that each label covers, float32 (N,)."""
    counts = np.bincount(found.class_map.ravel(), minlength=len(found.labels))
    return np.asarray(counts / max(found.class_map.size, 1), np.float32)


def foreground_of(found: Segmentation, labels: tuple[str, ...]) -> Foreground:
    """The pixels of these labels, or of all but the first, the background, where none is named."""
    chosen = labels or found.labels[1:]
    table = np.array([label in chosen for label in found.labels], np.bool_)
    return Foreground(mask=table[found.class_map], label=tuple(chosen))


__all__ = ["AREA", "ClassAreasPlugin", "areas_of", "foreground_of"]
