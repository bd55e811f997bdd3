"""Streams and sinks that come, go, pause and change while the run works."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from streamproc import (
    ArrayPicture,
    DecodedFrame,
    Event,
    Field,
    Frame,
    FramePlugin,
    InputInfo,
    Options,
    Output,
    PictureSource,
    PluginContext,
    Results,
    SourceContext,
    StreamprocError,
)
from streamproc.config import load_text
from streamproc.config.plan import Plan, RuntimePlan, SinkPlan, StreamPlan
from streamproc.engine import Engine
from streamproc.engine.changes import changes_between
from streamproc.testing import ListSink, make_frames, make_plan, plugin_plan
from streamproc.testing.fakes import ListSinkOptions
from tests.engine.running import PATIENCE_S, closed, listed, run_engine

PICTURE = ArrayPicture(np.zeros((8, 8, 3), np.uint8))


class Camera(PictureSource[Options]):
    """A live camera of a hundred frames a second that goes on until it is stopped."""

    opened: ClassVar[list[str]] = []
    closed: ClassVar[list[str]] = []

    def open(self, context: SourceContext) -> InputInfo:
        self.context = context
        self.opened.append(context.stream)
        return InputInfo(identity=f"camera {context.stream}", live=True)

    def frames(self) -> Iterator[DecodedFrame | None]:
        pause, start_ns = threading.Event(), time.monotonic_ns()
        while not self.context.stopping():
            pause.wait(0.01)
            yield DecodedFrame(picture=PICTURE, pts_ns=time.monotonic_ns() - start_ns)

    def close(self) -> None:
        self.closed.append(self.context.stream)


class CountOptions(Options):
    what: str = Field("frame", description="what the events are about")


class Count(FramePlugin[CountOptions]):
    def process(self, frame: Frame, past: Results) -> Output:
        yield Event.instant(frame, f"{self.options.what}.counted")


class SlowToOpen(Count):
    gate: ClassVar[threading.Event]

    def open(self, context: PluginContext) -> None:
        assert self.gate.wait(PATIENCE_S)


def camera(name: str, *, sinks: tuple[str, ...] = (), cls: type[Any] = Count, **options: Any) -> StreamPlan:
    return StreamPlan(
        name=name,
        source=Camera,
        source_options=Options(),
        chain=(plugin_plan(cls, name="count", **options),),
        sinks=sinks,
    )


def engine_of(tmp_path: Path, *streams: StreamPlan) -> tuple[Engine, ListSink]:
    Camera.opened.clear()
    Camera.closed.clear()
    sink = listed()
    return Engine(Plan(streams=streams, runtime=RuntimePlan(workers=2, state=tmp_path)), extra=[sink]), sink[1]


def until(condition: Callable[[], bool]) -> None:
    give_up, pause = time.monotonic() + PATIENCE_S, threading.Event()
    while not condition():
        assert time.monotonic() < give_up, "it never came"
        pause.wait(0.005)


def count(sink: ListSink, stream: str) -> int:
    return sum(event.stream == stream for event in list(sink.events))


def more(sink: ListSink, stream: str) -> None:
    """Until five more events of this stream have come."""
    before = count(sink, stream)
    until(lambda: count(sink, stream) >= before + 5)


def test_streams_come_and_go_while_others_run(tmp_path: Path) -> None:
    engine, sink = engine_of(tmp_path, camera("one"))

    def meanwhile(engine: Engine) -> None:
        more(sink, "one")
        engine.add(camera("two"))
        more(sink, "two")
        engine.remove("one")
        left = count(sink, "one")
        more(sink, "two")
        assert count(sink, "one") == left
        engine.add(camera("one"))
        more(sink, "one")
        engine.stop()

    report = run_engine(engine, meanwhile)
    assert [stream.name for stream in report.streams] == ["one", "two", "one"]
    assert closed(report)
    assert report.exit_code == 0
    assert Camera.opened == ["one", "two", "one"]
    assert sorted(Camera.closed) == ["one", "one", "two"]


def test_runs_until_stopped_although_no_stream_is_left(tmp_path: Path) -> None:
    engine, sink = engine_of(tmp_path, camera("one"))
    done = threading.Event()

    def meanwhile() -> None:
        more(sink, "one")
        engine.remove("one")
        engine.add(camera("two"))
        more(sink, "two")
        engine.stop()
        done.set()

    thread = threading.Thread(target=meanwhile)
    thread.start()
    engine.run(until_stopped=True)
    thread.join()
    assert done.is_set()


def test_paused_camera_is_closed_until_it_resumes(tmp_path: Path) -> None:
    engine, sink = engine_of(tmp_path, camera("one"), camera("two"))

    def meanwhile(engine: Engine) -> None:
        more(sink, "one")
        engine.pause("one")
        until(lambda: "one" in Camera.closed)
        until(lambda: engine.report().streams[0].ledger.in_flight == 0)
        frozen = engine.report().streams[0].ledger.observed
        more(sink, "two")
        assert engine.report().streams[0].ledger.observed == frozen
        assert engine.report().streams[0].away == "paused"
        engine.resume("one")
        more(sink, "one")
        engine.stop()

    report = run_engine(engine, meanwhile)
    assert closed(report)
    times = [event.pts_ns for event in sink.events if event.stream == "one"]
    assert times == sorted(times)


def test_paused_recording_goes_on_where_it_stood(tmp_path: Path) -> None:
    plan = make_plan([plugin_plan(Count)], make_frames(300), state=tmp_path)
    sink = listed()
    engine = Engine(plan, extra=[sink])
    engine.pause("test")  # before it starts

    def meanwhile(engine: Engine) -> None:
        until(lambda: engine.sources.all()[0].status.info is not None)
        engine.resume("test")
        until(lambda: bool(sink[1].events))
        engine.pause("test")
        engine.resume("test")

    report = run_engine(engine, meanwhile)
    assert report.ledger.total("processed") == 300
    assert [event.frame_index for event in sink[1].events] == list(range(300))


def test_paused_stream_can_be_removed_and_stopped(tmp_path: Path) -> None:
    engine, sink = engine_of(tmp_path, camera("one"), camera("two"))

    def meanwhile(engine: Engine) -> None:
        more(sink, "one")
        engine.pause("one")
        engine.pause("two")
        engine.remove("one")
        engine.stop()

    assert closed(run_engine(engine, meanwhile))


def test_chain_that_opens_slowly_delays_no_other_stream(tmp_path: Path) -> None:
    SlowToOpen.gate = threading.Event()
    engine, sink = engine_of(tmp_path, camera("slow", cls=SlowToOpen), camera("quick"))

    def meanwhile(engine: Engine) -> None:
        more(sink, "quick")
        assert count(sink, "slow") == 0
        SlowToOpen.gate.set()
        more(sink, "slow")
        engine.stop()

    assert run_engine(engine, meanwhile).exit_code == 0


def test_apply_touches_only_what_differs(tmp_path: Path) -> None:
    engine, sink = engine_of(tmp_path, camera("same"), camera("changed"), camera("gone"))

    def meanwhile(engine: Engine) -> None:
        for name in ("same", "changed", "gone"):
            more(sink, name)
        log = SinkPlan(name="log", cls=ListSink, options=ListSinkOptions())
        streams = (camera("same"), camera("changed", what="picture"), camera("new", sinks=("log",)))
        changes = engine.apply(Plan(streams=streams, sinks=(log,), runtime=engine.plan.runtime))
        assert (changes.added, changes.removed, changes.changed) == (("new",), ("gone",), ("changed",))
        assert changes.attached == ("log",)
        for name in ("same", "changed", "new"):
            more(sink, name)
        assert not engine.apply(Plan(streams=streams, sinks=(log,), runtime=engine.plan.runtime))
        engine.stop()

    report = run_engine(engine, meanwhile)
    assert Camera.opened.count("same") == 1
    assert sink.events[-1].stream != "gone"
    assert {event.type for event in sink.events if event.stream == "changed"} == {"frame.counted", "picture.counted"}
    assert [s.name for s in report.sinks] == ["log"]
    assert report.sinks[0].delivered > 0
    assert closed(report)


def test_mistakes_leave_the_run_as_it_is(tmp_path: Path) -> None:
    engine, sink = engine_of(tmp_path, camera("one"))

    def meanwhile(engine: Engine) -> None:
        more(sink, "one")
        with pytest.raises(StreamprocError, match="no stream 'ones'; did you mean 'one'"):
            engine.remove("ones")
        with pytest.raises(StreamprocError, match="is there already"):
            engine.add(camera("one"))
        with pytest.raises(StreamprocError, match="names the sink 'log', which isn't attached"):
            engine.add(camera("two", sinks=("log",)))
        more(sink, "one")
        engine.stop()

    run_engine(engine, meanwhile)
    with pytest.raises(StreamprocError, match="the run is ending"):
        engine.add(camera("late"))


def test_changes_between_two_configurations() -> None:
    def plan(text: str) -> Plan:
        return load_text(
            "version: 1\nstreams: {a: {source: {type: synthetic}, chain: [m], sinks: [log]}}\n"
            "sinks: {log: {type: stdout}}\n" + text
        )

    old, same = (plan("plugins: {m: {type: motion}}") for _ in range(2))
    new = plan("plugins: {m: {type: motion, options: {width: 100}}}\nruntime: {workers: 7}")
    streams = {stream.name: stream for stream in old.streams}
    sinks = {sink.name: sink for sink in old.sinks}
    assert not changes_between(streams, sinks, old.runtime, same)
    changes = changes_between(streams, sinks, old.runtime, new)
    assert (changes.changed, changes.ignored, changes.reattached) == (("a",), ("workers",), ())
    other = replace(new, sinks=(replace(new.sinks[0], name="other"),))
    assert changes_between(streams, sinks, old.runtime, other).detached == ("log",)
