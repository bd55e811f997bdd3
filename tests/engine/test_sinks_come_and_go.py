"""Sinks attached and detached while a run works: nothing is lost, and no stream waits for a sink that left."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streamproc import Options
from streamproc.config.plan import Plan, SinkPlan
from streamproc.engine import Engine, RunReport
from streamproc.errors import SinkError, StreamprocError
from streamproc.exits import UNDELIVERED
from streamproc.testing import make_frames, make_plan, plugin_plan
from tests.engine.live import live_plan
from tests.engine.plugins import HANG, Tell
from tests.engine.running import closed, run_engine
from tests.engine.sinks import FrameRecorder, RecordRecorder, notes, sink
from tests.engine.test_sink_faults import hang, waiting

LONG_NS = 60 * 10**9


@pytest.fixture(autouse=True)
def let_go() -> Iterator[None]:
    """Let the sinks that hang on purpose go, so that their threads end with the test."""
    HANG.clear()
    yield
    HANG.set()


def until(true: Callable[[], bool]) -> None:
    while not true():
        threading.Event().wait(0.005)


class Live:
    """A live run, one picture after the other."""

    def __init__(self, state: Path, *sinks: SinkPlan, names: tuple[str, ...] = ("one", "two")) -> None:
        self.cues: queue.Queue[int | None] = queue.Queue()
        self.plan = live_plan(self.cues, state, names, sinks, drain_ns=LONG_NS)
        self.given = 0

    def run(self, meanwhile: Callable[[Engine], None]) -> RunReport:
        def work(engine: Engine) -> None:
            try:
                meanwhile(engine)
            finally:
                engine.stop()

        return run_engine(Engine(self.plan), work)

    def give(self, engine: Engine, count: int = 1) -> None:
        """Send pictures, each once the one before was processed."""
        for _ in range(count):
            self.cues.put(1)
            self.given += 1
            until(lambda: bool(engine.live_streams()))
            until(lambda: engine.live_streams()[0].ledger.page().total("processed") == self.given)


def attach(engine: Engine, plan: SinkPlan) -> None:
    engine.delivery.attach(plan, plan.cls(plan.options))


def test_an_attached_sink_gets_later_events(tmp_path: Path) -> None:
    one, two = sink("one"), sink("two")
    live = Live(tmp_path, one)

    def work(engine: Engine) -> None:
        live.give(engine, 3)
        attach(engine, two)
        live.give(engine, 2)

    report = live.run(work)
    assert len(notes(one).got) == 5
    assert notes(two).got == notes(one).got[3:]
    assert {found.name: found.delivered for found in report.sinks} == {"one": 5, "two": 2}
    assert not report.streams[0].error


@pytest.mark.parametrize("network", [False, True])
def test_a_detached_sink_gets_everything_before(tmp_path: Path, network: bool) -> None:
    one, two = sink("one"), sink("two", network=network)
    live = Live(tmp_path, one, two)

    def work(engine: Engine) -> None:
        live.give(engine, 3)
        engine.delivery.detach("two")
        assert notes(two).calls[-1] == "close"
        assert len(notes(two).got) == 3
        live.give(engine, 2)
        assert engine.delivery.backlog("two") == 0

    report = live.run(work)
    assert notes(two).got == notes(one).got[:3]
    assert {found.name: (found.delivered, found.undelivered) for found in report.sinks} == {
        "one": (5, 0),
        "two": (3, 0),
    }
    assert closed(report)
    assert not report.streams[0].error


def test_a_detached_sink_is_replaced_under_its_name(tmp_path: Path) -> None:
    first, second = sink("one"), sink("one")
    live = Live(tmp_path, first)

    def work(engine: Engine) -> None:
        live.give(engine, 2)
        engine.delivery.detach("one")
        live.give(engine)
        attach(engine, second)
        live.give(engine, 2)

    report = live.run(work)
    assert (len(notes(first).got), len(notes(second).got)) == (2, 2)
    (found,) = report.sinks
    assert found.delivered == 4


def test_successor_gets_items_a_detached_sink_refused(tmp_path: Path) -> None:
    broken, mended = sink("one", at="write"), sink("one")
    live = Live(tmp_path, broken)

    def work(engine: Engine) -> None:
        live.give(engine, 2)
        engine.delivery.detach("one", within_s=0)
        (found,) = engine.report().sinks
        assert (found.undelivered, found.stored) == (2, 2)
        attach(engine, mended)
        live.give(engine)

    report = live.run(work)
    assert len(notes(mended).got) == 3
    assert report.sinks[0].undelivered == 0
    assert report.exit_code == 0
    assert waiting(tmp_path, "one") == 0


@pytest.mark.logs_errors
def test_detaching_a_hanging_sink_stores_its_events(tmp_path: Path) -> None:
    stuck, good = sink("one", at="write", wrong=hang), sink("two")
    live = Live(tmp_path, stuck, good)

    def work(engine: Engine) -> None:
        live.give(engine, 2)
        engine.delivery.detach("one", within_s=0.2)
        live.give(engine, 2)

    report = live.run(work)
    assert len(notes(good).got) == 4
    assert report.abandoned == ("sink one",)
    assert report.sinks[-1].undelivered == waiting(tmp_path, "one") == 2


@pytest.mark.logs_errors
def test_detaching_a_hanging_frame_sink_frees_its_stream(tmp_path: Path) -> None:
    """The sink holds all frames that the stream may have in flight, until it is detached."""
    film, good = sink("film", FrameRecorder, at="write", wrong=hang), sink("good")
    plan = make_plan([plugin_plan(Tell)], make_frames(400), state=tmp_path)
    stream = replace(plan.streams[0], sinks=("film", "good"))

    def work(engine: Engine) -> None:
        until(lambda: "write" in notes(film).calls)
        engine.delivery.detach("film", within_s=0.1)

    report = run_engine(Engine(Plan(streams=(stream,), sinks=(film, good), runtime=plan.runtime)), work)
    assert len(notes(good).got) == 401
    assert 0 < report.sinks[-1].undelivered < 400
    assert closed(report)


def test_names_of_sinks_are_checked(tmp_path: Path) -> None:
    live = Live(tmp_path, sink("one"))

    def work(engine: Engine) -> None:
        with pytest.raises(StreamprocError, match="a sink 'one' is attached already; detach it first"):
            attach(engine, sink("one"))
        with pytest.raises(StreamprocError, match="no sink 'on' is attached; did you mean 'one'"):
            engine.delivery.detach("on")

    live.run(work)
    engine = Engine(live.plan)
    live.cues.put(None)
    run_engine(engine, lambda engine: engine.stop())
    with pytest.raises(StreamprocError, match="the run is ending"):
        attach(engine, sink("two"))


class SecretOptions(Options):
    password: str = "correct-horse-battery"


def test_secrets_of_an_attached_sink_are_masked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def wrong(self: Any) -> None:
        raise SinkError("no login with correct-horse-battery")

    leaky = replace(sink("two", at="write", wrong=wrong, options_type=SecretOptions), options=SecretOptions())
    live = Live(tmp_path)

    def work(engine: Engine) -> None:
        attach(engine, leaky)
        live.give(engine)
        engine.delivery.detach("two", within_s=0)

    report = live.run(work)
    assert "no login with" in report.sinks[0].trouble
    assert "correct-horse-battery" not in report.sinks[0].trouble + caplog.text


def test_a_detached_sink_gets_events_still_being_merged(tmp_path: Path) -> None:
    """The events of a recording wait for those of a slower one: they were delivered before the sink left."""
    cues: queue.Queue[int | None] = queue.Queue()
    late = live_plan(cues, tmp_path, ("one",), (), name="late").streams[0]
    quick = make_plan([plugin_plan(Tell)], make_frames(5), state=tmp_path)
    one = sink("one")
    streams = (replace(quick.streams[0], sinks=("one",)), late)
    engine = Engine(Plan(streams=streams, sinks=(one,), runtime=quick.runtime))
    engine.delivery.expect("slow")  # a recording that has given nothing yet

    def work(engine: Engine) -> None:
        until(lambda: engine.report().streams[0].ended)
        assert notes(one).got == []
        engine.delivery.detach("one")
        engine.stop()

    run_engine(engine, work)
    assert len(notes(one).got) == 6


def test_a_record_sink_gets_records_without_pixels(tmp_path: Path) -> None:
    records, other = sink("table", RecordRecorder), sink("other")
    plan = make_plan([plugin_plan(Tell)], make_frames(50), state=tmp_path)
    stream = replace(plan.streams[0], sinks=("table", "other"))
    report = run_engine(Engine(Plan(streams=(stream,), sinks=(records, other), runtime=plan.runtime)))
    got = [record for record in notes(records).got if not record.reason]
    assert [record.index for record in got] == list(range(50))
    assert all(record.frame is None for record in notes(records).got)
    assert [event.id for record in notes(records).got for event in record.events] == notes(other).got
    assert report.sinks[0].delivered == len(notes(records).got)


def test_a_record_sink_gets_pictures_on_demand(tmp_path: Path) -> None:
    """They count in the memory of the stream until the sink has taken them: many more than may be in flight."""
    records = sink("table", RecordRecorder, frames=True)
    plan = make_plan([plugin_plan(Tell)], make_frames(200), state=tmp_path)
    stream = replace(plan.streams[0], sinks=("table",))
    run_engine(Engine(Plan(streams=(stream,), sinks=(records,), runtime=plan.runtime)))
    got = [record for record in notes(records).got if not record.reason]
    assert [record.frame.index for record in got] == list(range(200))


def test_a_waiting_record_sink_holds_no_frame_up(tmp_path: Path) -> None:
    """It takes nothing until every frame was processed, many more than may be in flight."""
    slow = sink("table", RecordRecorder, at="open", wrong=hang)
    plan = make_plan([plugin_plan(Tell)], make_frames(400), state=tmp_path)
    stream = replace(plan.streams[0], sinks=("table",))

    def work(engine: Engine) -> None:
        until(lambda: bool(engine.report().ledger.total("processed") == 400))
        HANG.set()

    run_engine(Engine(Plan(streams=(stream,), sinks=(slow,), runtime=plan.runtime)), work)
    assert len([record for record in notes(slow).got if not record.reason]) == 400


def test_records_that_no_sink_takes_count_as_undelivered(tmp_path: Path) -> None:
    broken = sink("table", RecordRecorder, at="write")
    plan = make_plan([plugin_plan(Tell)], make_frames(20), state=tmp_path / "state")
    stream = replace(plan.streams[0], sinks=("table",))
    runtime: Any = replace(plan.runtime, drain_ns=0)
    report = run_engine(Engine(Plan(streams=(stream,), sinks=(broken,), runtime=runtime)))
    assert report.sinks[0].undelivered >= 20
    assert report.exit_code == UNDELIVERED
    assert not (tmp_path / "state" / "outbox.sqlite").exists()
