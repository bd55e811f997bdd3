"""Plugins for the tests that kill a run: episodes that span many frames, and something to track."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from streamproc import Detections, Event, Frame, FramePlugin, Moment, Options, Output, Results, StreamPlugin

PERIOD = 15
"""frames from the start of one visit to the start of the next"""


class Visits(StreamPlugin[Options]):
    """Counts frames; every `PERIOD` of them a visit begins, which has a number and ends ten frames later."""

    def open(self, context: Any) -> None:
        self._frames = 0

    def process(self, frame: Frame, past: Results) -> Iterator[Event]:
        visit, step = divmod(self._frames, PERIOD)
        self._frames += 1
        begun = Event.begin(frame, "visit", f"v{visit}", number=visit)
        if step == 0:
            yield begun
        elif step == 10:
            yield begun.later("end", Moment.of(frame), frames=self._frames)

    def state(self) -> Mapping[str, Any]:
        return {"frames": self._frames}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._frames = int(state["frames"])


class Squares(FramePlugin[Options]):
    """Finds the bright square of a dark picture."""

    gives = (Detections,)

    def process(self, frame: Frame, past: Results) -> Output:
        rows, columns = np.nonzero(frame.gray > 128)
        if not len(rows):
            return [Detections.empty()]
        box = [[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]]
        return [Detections.of(np.array(box, np.float32), np.array([0.9], np.float32), ("square",))]
