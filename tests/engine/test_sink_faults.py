"""What sinks may do wrong: nothing found is lost in silence, nobody else waits, and the run ends with a code."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from streamproc import Event
from streamproc.config.plan import Plan, RuntimePlan, SinkPlan
from streamproc.delivery import guarded
from streamproc.delivery.outbox import Outbox, outbox_key
from streamproc.engine import Engine, RunReport
from streamproc.engine.exporter import EngineCollector
from streamproc.errors import SinkBusy, SinkError
from streamproc.exits import OUTBOX_FAILED, UNDELIVERED
from streamproc.report.troubles import troubles
from streamproc.sinks.appending import LinesOptions
from streamproc.sinks.jsonl import JsonlSink
from streamproc.testing import make_frames, make_plan, plugin_plan
from tests.engine.plugins import HANG, Tell
from tests.engine.running import closed, run_engine
from tests.engine.sinks import FrameRecorder, Recorder, notes, sink

FRAMES = 20
EVENTS = FRAMES + 1
"""one a frame and one at the end"""

LIMITS = {"call_limit_ns": 200_000_000, "drain_ns": 500_000_000}
PATIENT = {"drain_ns": 60 * 10**9}
"""for sinks that recover: a loaded machine must not run out of time"""


@pytest.fixture(autouse=True)
def let_go() -> Iterator[None]:
    """Let the sinks that hang on purpose go, so that their threads end with the test."""
    HANG.clear()
    yield
    HANG.set()


def run(
    state: Path, *sinks: SinkPlan, frames: int = FRAMES, limits: dict[str, Any] | None = None, meanwhile: Any = None
) -> RunReport:
    plan = make_plan([plugin_plan(Tell)], make_frames(frames), state=state)
    stream = replace(plan.streams[0], sinks=tuple(sink.name for sink in sinks))
    runtime = RuntimePlan(workers=2, state=state, **(LIMITS if limits is None else limits))
    return run_engine(Engine(Plan(streams=(stream,), sinks=sinks, runtime=runtime)), meanwhile)


def waiting(state: Path, name: str) -> int:
    box = Outbox(state / "outbox.sqlite")
    try:
        return box.count(name)
    finally:
        box.close()


def odd(error: BaseException) -> Any:
    def wrong(self: Any) -> None:
        raise error

    return wrong


def hang(self: Any) -> None:
    HANG.wait()


@pytest.mark.parametrize("at", ["open", "write", "flush"])
@pytest.mark.parametrize("error", [SinkError("no"), RuntimeError("odd"), SystemExit(1), KeyError("x")], ids=repr)
def test_unflushed_events_of_a_local_sink_are_stored(tmp_path: Path, at: str, error: BaseException) -> None:
    report = run(tmp_path, sink("bad", at=at, wrong=odd(error)), good := sink("good"))
    undelivered = {sink.name: sink.undelivered for sink in report.sinks}
    assert undelivered == {"bad": EVENTS, "good": 0}
    assert {sink.name: sink.delivered for sink in report.sinks} == {"bad": 0, "good": EVENTS}
    assert waiting(tmp_path, "bad") == EVENTS
    assert len(notes(good).got) == EVENTS
    assert report.exit_code == UNDELIVERED
    assert closed(report)


@pytest.mark.parametrize("frames", [3, 600])
def test_busy_local_sink_is_tried_like_network_sink(
    tmp_path: Path, frames: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its disk comes back after more failures than a moment's trouble gives."""
    monkeypatch.setattr(guarded, "_FIRST_WAIT_S", 0.01)
    late = sink("late", at="open", times=7)
    report = run(tmp_path, late, good := sink("good"), limits=PATIENT, frames=frames)
    assert notes(late).got == notes(good).got
    assert len(notes(late).got) == frames + 1
    assert (report.sinks[0].undelivered, report.sinks[0].trouble) == (0, "")
    assert report.sinks[0].retries == 7
    assert waiting(tmp_path, "late") == 0
    assert report.exit_code == 0
    assert caplog.text.count("sink late failed: on purpose") == 1
    assert caplog.text.count("sink late is back after") == 1


def test_metrics_show_a_sink_that_is_down(tmp_path: Path) -> None:
    down = sink("down", at="write")
    values: list[dict[str, float]] = []

    def look(engine: Engine) -> None:
        while len(notes(down).calls) < 3:
            threading.Event().wait(0.01)
        families = list(EngineCollector(engine).collect())
        values.append(
            {f"{s.name} {s.labels['sink']}": s.value for f in families for s in f.samples if "sink" in s.labels}
        )

    run(tmp_path, down, sink("good"), meanwhile=look)
    assert (values[0]["streamproc_sink_up down"], values[0]["streamproc_sink_up good"]) == (0, 1)


def test_run_reports_existing_lines_in_its_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    log = SinkPlan(name="log", cls=JsonlSink, options=LinesOptions(path=tmp_path / "events.jsonl"))
    first, second = (run(tmp_path, log) for _ in range(2))
    assert first.sinks[0].notes == ()
    (note,) = second.sinks[0].notes
    assert "events.jsonl holds lines of an earlier run; new ones are added" in note
    assert f"sink log: {note}" in troubles(second)
    assert note in caplog.text
    assert second.exit_code == 0
    replaced = replace(log, options=LinesOptions(path=tmp_path / "events.jsonl", mode="replace"))
    assert run(tmp_path, replaced).sinks[0].notes == ()


def test_missing_folder_is_made_once_possible(tmp_path: Path) -> None:
    """A disk that is mounted late: a file stands where the folder will be."""
    (tmp_path / "disk").write_text("not mounted yet")
    log = SinkPlan(name="log", cls=JsonlSink, options=LinesOptions(path=tmp_path / "disk/today/events.jsonl"))

    def mount(engine: Engine) -> None:
        while not engine.report().sinks[0].retries:
            threading.Event().wait(0.01)
        (tmp_path / "disk").unlink()

    report = run(tmp_path / "state", log, meanwhile=mount, limits=PATIENT)
    assert len((tmp_path / "disk/today/events.jsonl").read_text().splitlines()) == EVENTS
    assert report.exit_code == 0


def test_failing_close_of_a_sink_is_trouble(tmp_path: Path) -> None:
    report = run(tmp_path, sink("bad", at="close", wrong=odd(RuntimeError("no trailer"))))
    assert "no trailer" in report.sinks[0].trouble
    assert report.sinks[0].undelivered == 0
    assert report.exit_code == UNDELIVERED


@pytest.mark.parametrize("at", ["open", "write", "flush"])
@pytest.mark.parametrize("network", [False, True])
def test_a_busy_sink_gets_everything_in_order_later(tmp_path: Path, at: str, network: bool) -> None:
    busy = sink("busy", at=at, times=3, wrong=odd(SinkBusy("wait", retry_after_s=0.01)), network=network)
    report = run(tmp_path, busy, other := sink("other"))
    unique = list(dict.fromkeys(notes(busy).got))
    assert unique == notes(other).got
    assert report.exit_code == 0
    assert report.sinks[0].retries == 3


def test_failed_open_is_closed_before_retry(tmp_path: Path) -> None:
    plan = sink("late", at="open", times=2)
    run(tmp_path, plan)
    assert notes(plan).calls[:5] == ["open", "close", "open", "close", "open"]
    assert notes(plan).calls[-1] == "close"


@pytest.mark.logs_errors
@pytest.mark.parametrize("network", [False, True])
@pytest.mark.parametrize("at", ["open", "write", "flush", "close"])
def test_a_hanging_sink_is_disabled_its_events_stored(tmp_path: Path, at: str, network: bool) -> None:
    report = run(tmp_path, sink("stuck", at=at, wrong=hang, network=network), good := sink("good"))
    assert report.abandoned == ("sink stuck",)
    assert re.fullmatch(rf"{at}\(\) timed out after \d\.\d s", report.sinks[0].trouble)
    assert report.sinks[0].undelivered == (0 if at == "close" else EVENTS)
    assert len(notes(good).got) == EVENTS
    assert report.exit_code == UNDELIVERED
    if at != "close":
        assert waiting(tmp_path, "stuck") == EVENTS


@pytest.mark.logs_errors
def test_stopped_run_does_not_wait_for_hanging_sink(tmp_path: Path) -> None:
    stuck = sink("stuck", at="write", wrong=hang)

    def stop(engine: Engine) -> None:
        while "write" not in notes(stuck).calls:
            threading.Event().wait(0.01)
        engine.interrupt()

    report = run(tmp_path, stuck, frames=5000, limits={"drain_ns": 100_000_000}, meanwhile=stop)
    assert report.interrupted
    assert report.abandoned == ("sink stuck",)
    assert report.sinks[0].undelivered == report.streams[0].ledger.total("processed")
    assert report.exit_code == UNDELIVERED


@pytest.mark.logs_errors
@pytest.mark.parametrize("wrong", [hang, Recorder.wrong], ids=["hangs", "fails"])
def test_a_disabled_frame_sink_releases_the_frames(tmp_path: Path, wrong: Any) -> None:
    report = run(tmp_path, sink("film", FrameRecorder, at="write", wrong=wrong), good := sink("good"), frames=60)
    assert report.sinks[0].undelivered == 60
    assert len(notes(good).got) == 61
    assert report.exit_code == UNDELIVERED
    assert closed(report)


class Picky(Recorder):
    """Refuses a batch that holds one of these events, as a file format that can't express them would."""

    refuses: ClassVar[frozenset[int]] = frozenset()

    def write(self, events: Sequence[Event]) -> None:
        self.note("write")
        if any(event.data.get("seen") in self.refuses for event in events):
            raise ValueError("no column for this")
        self.got.extend(event.data.get("seen") for event in events)


class PickyLater(Picky):
    """The same over a network: it hears of the refusal when it waits for what it wrote."""

    network: ClassVar[bool] = True

    def write(self, events: Sequence[Event]) -> None:
        self.waiting = [*getattr(self, "waiting", []), *events]

    def flush(self) -> None:
        written, self.waiting = self.waiting, []
        super().write(written)


def dead_letters(state: Path) -> list[dict[str, Any]]:
    path = state / "dead_letters.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize(("base", "network"), [(Picky, False), (Picky, True), (PickyLater, True)])
@pytest.mark.parametrize("refuses", [{1}, {7}, {3, 4, 9}, {FRAMES}, {1, FRAMES}], ids=str)
def test_refused_event_is_set_aside_others_are_delivered(
    tmp_path: Path, base: type[Any], network: bool, refuses: set[int]
) -> None:
    picky = sink("picky", base, refuses=frozenset(refuses), network=network)
    report = run(tmp_path, picky, good := sink("good"), limits=PATIENT)
    # the event of `flush` has the count of all frames, so it is refused together with that of the last one
    aside = {event["record"]["data"]["seen"] for event in dead_letters(tmp_path)}
    assert aside == refuses
    assert set(notes(picky).got) == set(range(1, FRAMES + 1)) - refuses
    (found, _) = report.sinks
    assert found.refused == len(dead_letters(tmp_path))
    assert found.delivered + found.refused == EVENTS
    assert (found.undelivered, found.trouble) == (0, "")
    assert waiting(tmp_path, "picky") == 0
    assert len(notes(good).got) == EVENTS
    assert report.exit_code == UNDELIVERED
    assert "refused" in troubles(report)[0]
    assert "no column for this" in dead_letters(tmp_path)[0]["reason"]


def test_a_sink_that_breaks_for_good_refuses_nothing(tmp_path: Path) -> None:
    """What comes after the moment at which a disk breaks isn't the events' fault: it waits for a later run."""

    def write(self: Any, events: Sequence[Event]) -> None:
        if len(self.got) + len(events) > 5:
            raise SinkError("the disk is broken")
        self.got.extend(event.id for event in events)

    report = run(tmp_path, sink("log", write=write))
    assert dead_letters(tmp_path) == []
    assert report.sinks[0].refused == 0
    assert report.sinks[0].undelivered == EVENTS - report.sinks[0].delivered
    assert waiting(tmp_path, "log") == report.sinks[0].undelivered


def test_refused_old_event_is_set_aside(tmp_path: Path) -> None:
    run(tmp_path, sink("log", at="write"))
    picky = sink("log", Picky, refuses=frozenset({2}))
    report = run(tmp_path, picky, limits=PATIENT)
    assert [event["record"]["data"]["seen"] for event in dead_letters(tmp_path)] == [2, 2]
    assert report.sinks[0].undelivered == waiting(tmp_path, "log") == 0
    assert set(notes(picky).got) == set(range(1, FRAMES + 1)) - {2}


def test_invalid_event_of_an_older_version_leaves_outbox(tmp_path: Path) -> None:
    (frame,) = make_frames(1)
    absurd = replace(Event.instant(frame, "zone.entered"), start_ns=10**400, end_ns=None, phase="start")
    log = SinkPlan(name="log", cls=JsonlSink, options=LinesOptions(path=tmp_path / "events.jsonl"))
    box = Outbox(tmp_path / "outbox.sqlite")
    box.add(outbox_key(log), [(1, absurd), (2, Event.instant(frame, "zone.left"))])
    box.close()
    report = run(tmp_path, log)
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert {line["type"] for line in lines} == {"zone.left", "tell.seen", "tell.end"}
    assert [event["record"]["type"] for event in dead_letters(tmp_path)] == ["zone.entered"]
    assert (report.sinks[0].refused, report.sinks[0].undelivered) == (1, 0)
    assert waiting(tmp_path, "log") == 0


def test_network_sink_reports_an_outbox_without_folder(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    report = run(tmp_path / "state", sink("away", network=True), good := sink("good"))
    assert report.exit_code == OUTBOX_FAILED
    assert report.sinks[0].undelivered == len(notes(good).got)


class Away(Recorder):
    """A network sink whose other side is away."""

    network: ClassVar[bool] = True
    at = "write"


def test_network_sink_gets_old_events_first(tmp_path: Path) -> None:
    report = run(tmp_path, sink("net", Away), frames=4)
    assert report.sinks[0].undelivered == 5
    back = sink("net", network=True)
    report = run(tmp_path, back, other := sink("other"), frames=4)
    assert report.sinks[0].undelivered == 0
    assert notes(back).got == [*notes(other).got, *notes(other).got]


def test_old_events_are_delivered_without_new_ones(tmp_path: Path) -> None:
    run(tmp_path, sink("log", at="write"), frames=4)
    quiet = sink("log")
    plan = make_plan([], make_frames(4), state=tmp_path)
    stream = replace(plan.streams[0], sinks=("log",))
    report = run_engine(Engine(Plan(streams=(stream,), sinks=(quiet,), runtime=RuntimePlan(state=tmp_path))))
    assert len(notes(quiet).got) == 5
    assert report.sinks[0].undelivered == 0
    assert waiting(tmp_path, "log") == 0


def test_an_interrupted_delivery_of_old_events_goes_on(tmp_path: Path) -> None:
    run(tmp_path, sink("log", at="write"), frames=400)
    # the first batch goes through, the second fails once
    shaky = sink("log")

    def write(self: Any, events: Sequence[Event]) -> None:
        self.calls.append("write")
        if self.calls.count("write") == 2:
            raise SinkError("just this once")
        self.got.extend(event.id for event in events)

    notes(shaky).write = write
    report = run(tmp_path, shaky, other := sink("other"), frames=400)
    assert report.sinks[0].undelivered == 0
    assert waiting(tmp_path, "log") == 0
    assert list(dict.fromkeys(notes(shaky).got)) == notes(other).got
    assert len(notes(shaky).got) == 2 * len(notes(other).got)


def test_good_sink_gets_every_event_once_in_order(tmp_path: Path) -> None:
    one, two = sink("one"), sink("two", network=True)
    report = run(tmp_path, one, two, frames=1500)
    assert len(notes(one).got) == len(set(notes(one).got)) == 1501
    assert notes(two).got == notes(one).got
    assert json.dumps([sink.delivered for sink in report.sinks]) == "[1501, 1501]"


def test_stranded_events_are_reported_in_every_run(tmp_path: Path) -> None:
    """Whoever follows the advice and names another path must hear of what the first one left."""
    box = Outbox(tmp_path / "outbox.sqlite")
    (frame,) = make_frames(1)
    box.add("log@elsewhere", [(1, Event.instant(frame, "image.dark"))])
    box.close()
    plan = make_plan([plugin_plan(Tell)], make_frames(3), state=tmp_path)
    for _ in range(2):
        report = Engine(plan).run()
        assert report.stranded == {"log": 1}
        (line,) = troubles(report)
        assert line.startswith("1 event of earlier runs waits in the outbox for another sink 'log'")
