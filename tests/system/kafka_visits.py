"""Plugins for the tests that kill a run: episodes that span many frames, and something to track."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streamproc import Detections, Event, Frame, FramePlugin, Options, Output, Results, StreamPlugin
from streamproc.sink import EventSink, SinkContext
from streamproc.sinks.jsonl import json_line

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
            yield begun.later("end", frames=self._frames)

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


class LateLog(EventSink[Options]):
    """Writes `late.jsonl`, all of it in `flush`, which takes its time: what isn't flushed is gone with the process."""

    def open(self, context: SinkContext) -> None:
        self._held: list[str] = []

    def write(self, events: Sequence[Event]) -> None:
        self._held += [json_line(event) for event in events]

    def flush(self) -> None:
        time.sleep(0.3)
        with Path("late.jsonl").open("a") as file:
            file.write("".join(line.rstrip("\n") + "\n" for line in self._held))
        self._held = []
