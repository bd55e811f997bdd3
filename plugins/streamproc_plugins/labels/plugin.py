"""The `labels` plugin: a stream of `Classification` to events with start and end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from streamproc import (
    Classification,
    Event,
    Frame,
    Moment,
    Output,
    PluginContext,
    Results,
    StreamPlugin,
    TimeReason,
)
from streamproc_plugins.labels.episodes import Episodes, Notice
from streamproc_plugins.labels.options import LabelsOptions

VERSION = 1


class Labels(StreamPlugin[LabelsOptions]):
    """Makes one `label.seen` event with start and end of a label that a classifier gives for many frames or clips.

    Scores are smoothed over media time, and a label needs a higher score to appear than to stay (hysteresis), so that
    nothing flickers and the frame rate doesn't matter.
    """

    needs = (Classification,)

    def open(self, context: PluginContext) -> None:
        """Begin with no label."""
        self._episodes = Episodes(self.options.settings())
        self._utc_offset_ns: int | None = None
        self._wanted, self._ignored = frozenset(self.options.labels), frozenset(self.options.ignore)

    def process(self, frame: Frame, past: Results) -> Output:
        """What there is to tell at this frame."""
        self._utc_offset_ns = None if frame.captured_ns is None else frame.captured_ns - frame.pts_ns
        notices = self._episodes.see(frame.pts_ns, self._scores(past[Classification]), frame.index)
        return list(self._events(notices, Moment.of(frame)))

    def on_time(self, moment: Moment, reason: TimeReason) -> Output:
        """Labels of which nothing came for too long end where they were last seen; at a cut all do."""
        notices = self._episodes.finish() if reason == "cut" else self._episodes.lose(moment.pts_ns)
        return list(self._events(notices, moment))

    def flush(self, moment: Moment) -> Output:
        """What is there ends with the stream, where it was last seen."""
        return list(self._events(self._episodes.finish(), moment))

    def state(self) -> dict[str, Any]:
        """The window, what is open and the clock, as JSON values."""
        return {"version": VERSION, "episodes": self._episodes.state(), "utc_offset_ns": self._utc_offset_ns}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        if state.get("version") != VERSION:
            raise ValueError(
                f"the state of labels has version {state.get('version')!r}, expected {VERSION}; "
                "start without the stored state"
            )
        self._episodes.restore(state["episodes"])
        self._utc_offset_ns = state["utc_offset_ns"]

    def _scores(self, found: Classification) -> dict[str, float]:
        """By label, the best of those that occur twice."""
        out: dict[str, float] = {}
        said = list(zip(found.label, found.score.tolist(), strict=True))
        if self.options.method == "vote":
            said = said[:1]  # a label that isn't told of takes its vote all the same
        for label, score in said:
            if label not in self._ignored and (not self._wanted or label in self._wanted):
                out[label] = max(score, out.get(label, 0.0))
        return out

    def _events(self, notices: Iterable[Notice], moment: Moment) -> Iterator[Event]:
        for notice in notices:
            ended = notice.phase == "end"
            lasted = {"duration_s": (notice.seen_ns - notice.start_ns) / 1e9} if ended else {}
            offset = self._utc_offset_ns
            yield Event(
                type="label.seen",
                phase=notice.phase,
                start_ns=notice.start_ns,
                end_ns=notice.seen_ns if ended else None,
                frame_index=moment.frame_index,
                pts_ns=moment.pts_ns,
                captured_ns=None if offset is None else notice.start_ns + offset,
                episode=notice.key,
                score=notice.score,
                data={"label": notice.label, **lasted},
            )
