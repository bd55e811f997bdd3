"""A live source that gives pictures when a test says so."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ConfigDict

from streamproc import (
    ArrayPicture,
    DecodedFrame,
    Field,
    InputInfo,
    Moment,
    Options,
    Output,
    PictureSource,
    SourceContext,
)
from streamproc.config.plan import Plan, RuntimePlan, SinkPlan, StreamPlan
from streamproc.testing import plugin_plan
from tests.engine.plugins import Tell

PICTURE_S = 0.1


class CueOptions(Options):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)
    cues: Any = Field(description="a queue of how many pictures come next; None ends the source")


class Cued(PictureSource[CueOptions]):
    """Gives as many pictures as each cue says, then waits for the next one."""

    def open(self, context: SourceContext) -> InputInfo:
        self._context = context
        return InputInfo(identity="cued", live=True)

    def frames(self) -> Iterator[DecodedFrame | None]:
        given = 0
        while not self._context.stopping():
            try:
                cue = self.options.cues.get(timeout=0.01)
            except queue.Empty:
                yield None
                continue
            if cue is None:
                return
            for _ in range(cue):
                yield picture(given)
                given += 1


class Each(Tell):
    """Emits an event a frame, and none at the end."""

    def flush(self, moment: Moment) -> Output:
        return ()


def picture(index: int) -> DecodedFrame:
    """A picture at its time."""
    return DecodedFrame(
        picture=ArrayPicture(np.full((16, 16, 3), index % 256, np.uint8)), pts_ns=int(index * PICTURE_S * 1e9)
    )


def live_plan(
    cues: Any, state: Path, names: tuple[str, ...], sinks: tuple[SinkPlan, ...], name: str = "live", **runtime: Any
) -> Plan:
    """One cued stream that emits an event a frame to the sinks of these names."""
    stream = StreamPlan(
        name=name, source=Cued, source_options=CueOptions(cues=cues), chain=(plugin_plan(Each),), sinks=names
    )
    return Plan(streams=(stream,), sinks=sinks, runtime=RuntimePlan(workers=2, state=state, **runtime))


__all__ = ["Cued", "live_plan", "picture"]
