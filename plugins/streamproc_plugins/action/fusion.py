"""The `fusion` plugin: several plugins' `Classification` to one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from streamproc import (
    Classification,
    Duration,
    Field,
    Frame,
    Moment,
    Options,
    Output,
    PluginContext,
    Results,
    StreamPlugin,
    TimeReason,
)
from streamproc_plugins.action.fusing import Method, fused, matrix, offsets
from streamproc_plugins.action.scores import best

Weight = Annotated[float, Field(ge=0, le=1000)]


class FusionOptions(Options):
    """Options of `fusion`."""

    plugins: tuple[str, ...] = Field(
        (), description="names of the plugins whose labels are combined; empty: all before"
    )
    method: Method = Field(
        "mean",
        description="mean, geometric (mean of the logarithms), max, vote (the best label of each), or logistic: "
        "learned weights and biases",
    )
    weights: dict[str, Weight] = Field({}, description="how much a plugin counts, by its name; 1 where it isn't named")
    bias: dict[str, float] = Field({}, description="for logistic: added to a label's logarithm, by label")
    max_age: Duration = Field(
        0, ge=0, description="so long the last answer of a plugin counts on where it gives none; 0s: only at its frame"
    )
    wait_for_all: bool = Field(False, description="no answer until every one of `plugins` has one that counts")
    top_k: int = Field(5, ge=1, le=1000, description="most labels given")


class Fusion(StreamPlugin[FusionOptions]):
    """Combines the `Classification` of several plugins: late fusion of models that look at different things.

    Gives a new answer at each frame at which one of them does. A label that a plugin doesn't name has the score 0
    there, so let plugins give enough labels (`top_k`). Where `shots` stands before, no answer lasts over a cut.
    """

    gives = (Classification,)

    def open(self, context: PluginContext) -> None:
        """Begin without an answer."""
        self._last: dict[str, tuple[int, Classification]] = {}

    def process(self, frame: Frame, past: Results) -> Output:
        """One `Classification` where there is something new."""
        options = self.options
        found = past.all(Classification)
        new = {name: found[name] for name in found if not options.plugins or name in options.plugins}
        self._last |= {name: (frame.pts_ns, one) for name, one in new.items() if one.label}
        oldest = frame.pts_ns - options.max_age
        self._last = {name: stored for name, stored in self._last.items() if stored[0] >= oldest}
        if not any(one.label for one in new.values()):
            return []
        if options.wait_for_all and not set(options.plugins) <= set(self._last):
            return []
        return [self._fused()]

    def on_time(self, moment: Moment, reason: TimeReason) -> Output:
        """Forget the answers at a cut: they say nothing of the next shot."""
        if reason == "cut":
            self._last.clear()
        return []

    def state(self) -> Mapping[str, Any]:
        """The last answers."""
        stored = {
            name: [at, list(one.label), one.score.tolist(), one.class_id.tolist()]
            for name, (at, one) in self._last.items()
        }
        return {"last": stored}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on exactly."""
        self._last = {
            name: (
                at,
                Classification(label=tuple(label), score=np.array(score, np.float32), class_id=np.array(ids, np.int64)),
            )
            for name, (at, label, score, ids) in state["last"].items()
        }

    def _fused(self) -> Classification:
        options = self.options
        names = sorted(self._last)
        labels, ids, scores = matrix([self._last[name][1] for name in names])
        weights = np.array([options.weights.get(name, 1.0) for name in names])
        one = fused(scores, weights, options.method, offsets(labels, options.bias)).astype(np.float32)
        order = best(one, options.top_k)
        return Classification(label=tuple(labels[i] for i in order), score=one[order], class_id=ids[order])


__all__ = ["Fusion", "FusionOptions"]
