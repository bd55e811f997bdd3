"""The `labels` plugin: a stream of `Classification` to events with start and end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamproc import (
    Classification,
    Frame,
    Moment,
    Output,
    PluginContext,
    Results,
    StreamPlugin,
    TimeReason,
)
from streamproc_plugins.labels.episodes import Episodes
from streamproc_plugins.labels.options import LabelsOptions


class Labels(StreamPlugin[LabelsOptions]):
    """Makes one `label.seen` event with start and end of a label that a classifier gives for many frames or clips.

    Scores are smoothed over media time, and a label needs a higher score to appear than to stay (hysteresis), so that
    nothing flickers and the frame rate doesn't matter.
    """

    state_version = 2
    needs = (Classification,)

    def open(self, context: PluginContext) -> None:
        """Begin with no label."""
        self._episodes = Episodes(self.options.settings(), "label.seen")
        self._wanted, self._ignored = frozenset(self.options.labels), frozenset(self.options.ignore)

    def process(self, frame: Frame, past: Results) -> Output:
        """Events that begin, go on or end at this frame."""
        changes = self._episodes.observe(frame.pts_ns, self._scores(past[Classification]), frame.index)
        return [change.event(score=change.score) for change in changes]

    def on_time(self, moment: Moment, reason: TimeReason) -> Output:
        """End labels without a result for too long, at their last observation; they go on over cuts."""
        return [change.event(score=change.score) for change in self._episodes.lose(moment.pts_ns)]

    def flush(self, moment: Moment) -> Output:
        """End all open labels with the stream, at their last observation."""
        return [change.event(score=change.score) for change in self._episodes.finish()]

    def state(self) -> dict[str, Any]:
        """The window and the open labels, as JSON values."""
        return {"episodes": self._episodes.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self._episodes.restore(state["episodes"])

    def _scores(self, found: Classification) -> dict[str, float]:
        """The best score of each label, as a label may occur twice."""
        out: dict[str, float] = {}
        said = list(zip(found.label, found.score.tolist(), strict=True))
        if self.options.method == "vote":
            said = said[:1]  # a label that gives no event takes its vote all the same
        for label, score in said:
            if label not in self._ignored and (not self._wanted or label in self._wanted):
                out[label] = max(score, out.get(label, 0.0))
        return out
