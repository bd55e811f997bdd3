"""The `class_areas` plugin: a stream of `Segmentation` to areas, a foreground mask, and events of large areas."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
from streamproc_plugins.labels.episodes import Episodes, Notice
from streamproc_plugins.segmentation.options import AreasOptions
from streamproc_plugins.segmentation.people import boxes_of
from streamproc_plugins.segmentation.results import ClassAreas, Foreground
from streamproc_plugins.segmentation.rle import encode

VERSION = 1
AREA = "segment.area"


class Areas(StreamPlugin[AreasOptions]):
    """Measures how much of the picture each label covers, and tells with start and end where it is more than a limit.

    Gives `ClassAreas`, and `Foreground` where the option asks for it; emits `segment.area`. Areas are smoothed over
    media time and have two limits (hysteresis), as in `labels`.
    """

    needs: ClassVar[tuple[type[Result | Flow], ...]] = (Segmentation,)
    gives: ClassVar[tuple[type[Result], ...]] = (ClassAreas, Foreground)

    def open(self, context: PluginContext) -> None:
        """Begin with nothing told."""
        options = self.options
        # a state machine for each label, as each has limits of its own
        self._told = {label: Episodes(options.settings(limit)) for label, limit in sorted(options.limits.items())}
        self._known: tuple[str, ...] = ()
        self._utc_offset_ns: int | None = None

    def process(self, frame: Frame, past: Results) -> Output:
        """One `ClassAreas`, the foreground, and what there is to tell.

        Raises `PluginError` for a label of the options that the segmentation doesn't have.
        """
        found = past[Segmentation]
        self._check(found.labels)
        self._utc_offset_ns = None if frame.captured_ns is None else frame.captured_ns - frame.pts_ns
        areas = ClassAreas(label=found.labels, area=areas_of(found))
        out: list[Result | Event] = [areas]
        if self.options.foreground is not None:
            out.append(foreground_of(found, self.options.foreground))
        for label, episodes in self._told.items():
            notices = episodes.see(frame.pts_ns, {label: areas.of(label)}, frame.index)
            out += self._events(notices, Moment.of(frame), (frame, found))
        return out

    def on_time(self, moment: Moment, reason: TimeReason) -> Output:
        """What wasn't seen for too long ends where it was last seen; at a cut everything does."""
        return [event for one in self._told.values() for event in self._events(self._late(one, moment, reason), moment)]

    def flush(self, moment: Moment) -> Output:
        """What goes on ends with the stream, where it was last seen."""
        return [event for one in self._told.values() for event in self._events(one.finish(), moment)]

    def state(self) -> dict[str, Any]:
        """What is open and the clock, as JSON values."""
        told = {label: episodes.state() for label, episodes in self._told.items()}
        return {"version": VERSION, "told": told, "utc_offset_ns": self._utc_offset_ns}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`; labels that have no limit any more are forgotten."""
        if state.get("version") != VERSION:
            raise ValueError(
                f"the state of class_areas has version {state.get('version')!r}, expected {VERSION}; start without the "
                "stored state"
            )
        for label, episodes in self._told.items():
            if label in state["told"]:
                episodes.restore(state["told"][label])
        self._utc_offset_ns = state["utc_offset_ns"]

    def _late(self, episodes: Episodes, moment: Moment, reason: TimeReason) -> list[Notice]:
        return episodes.finish() if reason == "cut" else episodes.lose(moment.pts_ns)

    def _check(self, known: tuple[str, ...]) -> None:
        if known == self._known:
            return
        for label in (*self.options.limits, *(self.options.foreground or ())):
            if label not in known:
                raise PluginError(
                    f"the segmentation has no label {label!r}{nearest(label, known)}; it has {', '.join(known)}"
                )
        self._known = known

    def _events(
        self, notices: Iterable[Notice], moment: Moment, seen: tuple[Frame, Segmentation] | None = None
    ) -> Iterator[Event]:
        offset = self._utc_offset_ns
        for notice in notices:
            ended = notice.phase == "end"
            data: dict[str, Any] = {"label": notice.label, "limit": self.options.limits[notice.label]}
            if ended:
                data |= {"most_area": notice.score, "duration_s": (notice.seen_ns - notice.start_ns) / 1e9}
            else:
                data |= {"area": notice.score, **({} if seen is None else self._shown(*seen, notice.label))}
            yield Event(
                type=AREA,
                phase=notice.phase,
                start_ns=notice.start_ns,
                end_ns=notice.seen_ns if ended else None,
                frame_index=moment.frame_index,
                pts_ns=moment.pts_ns,
                captured_ns=None if offset is None else notice.start_ns + offset,
                episode=notice.key,
                data=data,
            )

    def _shown(self, frame: Frame, found: Segmentation, label: str) -> dict[str, Any]:
        """Where the label is in this frame."""
        mask = found.class_map == found.labels.index(label)
        if not mask.any():
            return {}
        height, width = mask.shape
        box = boxes_of(mask[None])[0] * np.array([frame.width / width, frame.height / height] * 2, np.float32)
        said: dict[str, Any] = {"box": box.tolist()}
        if self.options.mask != "none":
            said["mask"] = encode(mask, compressed=self.options.mask == "rle")
        return said


def areas_of(found: Segmentation) -> NDArray[np.float32]:
    """Part of the picture that each label covers, float32 (N,)."""
    counts = np.bincount(found.class_map.ravel(), minlength=len(found.labels))
    return np.asarray(counts / max(found.class_map.size, 1), np.float32)


def foreground_of(found: Segmentation, labels: tuple[str, ...]) -> Foreground:
    """The pixels of these labels, or of all but the first, the background, where none is named."""
    kept = labels or found.labels[1:]
    table = np.array([label in kept for label in found.labels], np.bool_)
    return Foreground(mask=table[found.class_map], label=tuple(kept))


__all__ = ["AREA", "Areas", "areas_of", "foreground_of"]
