"""A live source that gives nothing, or is lost: what is open ends while it is away, not when it returns."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from streamproc import (
    ArrayPicture,
    DecodedFrame,
    Episode,
    Frame,
    InputInfo,
    Moment,
    Options,
    Output,
    PictureSource,
    Results,
    SourceContext,
    SourceLost,
    StreamPlugin,
    TimeReason,
)
from streamproc.engine import Engine
from streamproc.testing import make_plan, plugin_plan
from tests.engine.running import listed, run_engine

PATIENCE_NS = 5_000_000_000
UTC_NS = 1_700_000_000_000_000_000


class Silent(PictureSource[Options]):
    """Gives three frames, then nothing until it is released; where it is to be lost, it stays away."""

    go_on: ClassVar[threading.Event]
    loses: ClassVar[bool]
    opened = 0

    def open(self, context: SourceContext) -> InputInfo:
        self.opened += 1
        if self.opened > 1 and not self.go_on.is_set():
            raise SourceLost("still away")
        return InputInfo(identity="silent", live=True)

    def frames(self) -> Iterator[DecodedFrame | None]:
        start = 0 if self.opened == 1 else 200
        for n in range(start, start + 3):
            picture = ArrayPicture(np.zeros((8, 8, 3), np.uint8))
            yield DecodedFrame(picture=picture, pts_ns=n * 100_000_000, captured_ns=UTC_NS + n * 100_000_000)
        if self.opened == 1 and self.loses:
            raise SourceLost("the cable is out")
        self.go_on.wait(60)


class Presence(StreamPlugin[Options]):
    """An episode that ends after five seconds without an observation."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.episode: Episode | None = None
        self.last_ns = 0

    def process(self, frame: Frame, past: Results) -> Output:
        self.last_ns = frame.pts_ns
        if self.episode is None:
            self.episode = Episode(type="gate.busy", key=f"busy/{frame.index}", start_ns=frame.pts_ns)
            yield self.episode.start(frame.pts_ns)

    def on_time(self, moment: Moment, reason: TimeReason) -> Output:
        if self.episode is not None and moment.pts_ns - self.last_ns > PATIENCE_NS:
            yield self.episode.end(self.last_ns)
            self.episode = None


@pytest.mark.parametrize("loses", [False, True])
def test_episodes_end_while_the_camera_gives_nothing(loses: bool, tmp_path: Path) -> None:
    Silent.go_on, Silent.loses = threading.Event(), loses
    plan = make_plan([plugin_plan(Presence)], [], state=tmp_path)
    stream = replace(plan.streams[0], source=Silent, source_options=Options())
    sink = listed()
    engine = Engine(replace(plan, streams=(stream,)), extra=[sink])
    ended_early: list[bool] = []

    def meanwhile(engine: Engine) -> None:
        pause, give_up = threading.Event(), time.monotonic() + 60
        while not any(event.phase == "end" for event in sink[1].events):
            assert time.monotonic() < give_up
            for source in engine.sources.all():
                source.tick(time.monotonic() + 20)  # as if twenty seconds had gone by
            pause.wait(0.02)
        ended_early.append(not Silent.go_on.is_set())
        Silent.go_on.set()
        if loses:
            engine.stop()

    report = run_engine(engine, meanwhile)
    assert ended_early == [True]
    start, end, *_ = sink[1].events
    assert (start.phase, end.phase) == ("start", "end")
    assert end.end_ns == 200_000_000
    assert report.exit_code == 0
