"""The `segments` plugin: a list of the actions in a long video."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from streamproc import (
    Classification,
    Duration,
    Event,
    Field,
    Frame,
    Moment,
    Options,
    Output,
    PluginContext,
    Results,
    StreamPlugin,
    TimeReason,
    seconds,
)
from streamproc.shots import Shot
from streamproc_plugins.action.segmenting import ActionSegment, Segmenter, SegmenterSettings


class SegmentsOptions(Options):
    """Options of `segments`; all times are media time."""

    covers: Duration = Field(
        seconds(2), ge=0, description="media time that one label looks back over: the length of its clip; 0s: one frame"
    )
    min_score: float = Field(0.3, ge=0, le=1, description="a best label below this counts as none")
    min_duration: Duration = Field(0, ge=0, description="a shorter segment joins its neighbour, within one shot")
    lost_after: Duration = Field(seconds(5), gt=0, description="a segment ends after so long without a label")
    hold: Duration = Field(
        seconds(3), ge=0, description="labels wait so long for cuts, which are known late; only where shots are found"
    )
    ignore: tuple[str, ...] = Field((), description="labels that count as none, such as background or 'No gesture'")


class Segments(StreamPlugin[SegmentsOptions]):
    """Divides a long video into segments of one label: one `segment.found` event each, with start, end, label, score.

    Snippets are the inputs of the classifier before it; a segment ends where the label changes and, with `shots` in
    the chain, at every cut.
    """

    needs = (Classification,)
    uses = (Shot,)

    def open(self, context: PluginContext) -> None:
        """Begin with nothing."""
        self._segmenter: Segmenter | None = None
        self._shot = 0
        self._number = 0

    def process(self, frame: Frame, past: Results) -> Output:
        """Segments that ended and can't change any more."""
        shot = past.get(Shot)
        segmenter = self._ready(shot is not None)
        if shot is not None and shot.number != self._shot:
            self._shot = shot.number
            segmenter.cut(shot.start_ns, shot.number)
        segmenter.add(frame.pts_ns, *self._best(past[Classification]))
        return list(self._events(segmenter.pass_to(frame.pts_ns)))

    def on_time(self, moment: Moment, reason: TimeReason) -> Output:
        """End all segments at a gap, at their last label; `process` handles cuts, by shot."""
        if self._segmenter is None or reason == "cut":
            return []
        pass_to = self._segmenter.finish if reason == "gap" else self._segmenter.pass_to
        return list(self._events(pass_to(moment.pts_ns)))

    def flush(self, moment: Moment) -> Output:
        """The last segments end with the stream."""
        ended = self._segmenter.finish(moment.pts_ns) if self._segmenter is not None else ()
        return list(self._events(ended))

    def state(self) -> Mapping[str, Any]:
        """The open segment, as JSON values."""
        stored = None if self._segmenter is None else self._segmenter.state()
        return {"segmenter": stored, "shot": self._shot, "number": self._number}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on exactly."""
        self._shot, self._number = state["shot"], state["number"]
        if state["segmenter"] is not None:
            self._ready(self._shot > 0).restore(state["segmenter"])

    def _ready(self, with_shots: bool) -> Segmenter:
        if self._segmenter is None:
            options = self.options
            self._segmenter = Segmenter(
                SegmenterSettings(
                    covers_ns=options.covers,
                    hold_ns=options.hold if with_shots else 0,
                    least_ns=options.min_duration,
                    lost_ns=options.lost_after,
                )
            )
        return self._segmenter

    def _best(self, found: Classification) -> tuple[str, float]:
        """The best label that isn't ignored, or none where another one is better or it isn't sure."""
        if not found.label or found.label[0] in self.options.ignore or found.score[0] < self.options.min_score:
            return "", 0.0
        return found.label[0], float(found.score[0])

    def _events(self, segments: Iterable[ActionSegment]) -> Iterator[Event]:
        for segment in segments:
            self._number += 1
            shot = {"shot": segment.shot} if segment.shot else {}
            yield Event(
                type="segment.found",
                phase="instant",
                start_ns=segment.start_ns,
                end_ns=segment.end_ns,
                episode=f"{self._number}",
                score=segment.score,
                data={
                    "label": segment.label,
                    "duration_s": (segment.end_ns - segment.start_ns) / 1e9,
                    "snippets": segment.snippets,
                    **shot,
                },
            )


__all__ = ["Segments", "SegmentsOptions"]
