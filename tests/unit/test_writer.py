"""How a writer moves between its states, and what a checkpoint may pass over in each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streamproc import Event
from streamproc.config.plan import SinkPlan
from streamproc.delivery import guarded
from streamproc.delivery.deadletters import DeadLetters
from streamproc.delivery.outbox import Outbox, OutboxError
from streamproc.delivery.writer import Writer
from streamproc.errors import SinkBusy
from streamproc.testing import make_frame, make_frames
from streamproc.watch import Call, Watch
from tests.engine.sinks import FrameRecorder, Recorder, notes, sink


class Run:
    """A run that consists of its outbox and its watch."""

    def __init__(self, state: Path) -> None:
        self.watch = Watch()
        self.dead_letters = DeadLetters(state / "dead_letters.jsonl")
        self.failed: list[str] = []
        self._path = state / "outbox.sqlite"
        self._outbox: Outbox | None = None

    def guarded(self, what: str, abandon: Callable[[], None]) -> Call:
        return Call(what, 60, abandon, hurry_s=60)

    def outbox(self) -> Outbox:
        self._outbox = self._outbox or Outbox(self._path)
        return self._outbox

    def outbox_exists(self) -> bool:
        return self._path.exists()

    def outbox_failed(self, error: OutboxError) -> None:
        self.failed.append(str(error))

    def close(self) -> None:
        if self._outbox is not None:
            self._outbox.close()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setattr(guarded, "_FIRST_WAIT_S", 0.01)
    made = Run(tmp_path)
    yield made
    made.close()


def started(plan: SinkPlan, run: Run) -> Writer:
    writer = Writer(plan, plan.cls(plan.options), run)
    writer.start()
    return writer


def ended(writer: Writer, drain_s: float = 60) -> Writer:
    writer.close(drain_s)
    writer.join()
    return writer


def until(true: Callable[[], bool]) -> None:
    while not true():
        threading.Event().wait(0.005)


EVENTS = [
    Event.instant(frame, "test.found", n=frame.index).stamped(frame.stream, "test", frame.index)
    for frame in make_frames(5)
]
IDS = [event.id for event in EVENTS]


def test_a_sink_fed_from_memory_stores_nothing(run: Run) -> None:
    plan = sink("log")
    writer = started(plan, run)
    writer.inbox.put(1, EVENTS)
    until(lambda: writer.inbox.is_flushed(1))
    ended(writer)
    assert notes(plan).got == IDS
    assert (writer.status.counts["events"], writer.status.undelivered) == (5, 0)
    assert not run.outbox_exists()


def test_repeated_failures_move_events_to_the_outbox(run: Run) -> None:
    plan = sink("log", at="write")
    writer = started(plan, run)
    writer.inbox.put(1, EVENTS[:3])
    until(lambda: writer.status.stored == 3)
    assert not writer.inbox.is_flushed(1)
    assert (writer.up, writer.status.trouble) == (False, "on purpose")
    notes(plan).times = 0
    writer.inbox.put(2, EVENTS[3:])
    until(lambda: writer.inbox.is_flushed(2))
    assert (writer.up, writer.status.trouble) == (True, "")
    assert ended(writer).status.undelivered == 0
    assert notes(plan).got == IDS
    assert run.outbox().count("log") == 0


def test_a_busy_sink_stays_fed_from_memory(run: Run) -> None:
    def busy(self: Any) -> None:
        raise SinkBusy("wait", retry_after_s=0.01)

    plan = sink("log", at="write", times=20, wrong=busy)
    writer = started(plan, run)
    writer.inbox.put(1, EVENTS)
    until(lambda: writer.inbox.is_flushed(1))
    assert ended(writer).status.counts["retries"] == 20
    assert notes(plan).got == IDS
    assert not run.outbox_exists()


def test_a_checkpoint_stops_before_lost_frames(run: Run) -> None:
    released: list[int] = []
    plan = sink("film", FrameRecorder, at="write")
    writer = started(plan, run)
    writer.inbox.put(1, (make_frame(),), lambda: released.append(1))
    until(lambda: writer.status.disabled)
    writer.inbox.put(2, (make_frame(index=1),), lambda: released.append(2))
    until(lambda: released == [1, 2])
    ended(writer)
    assert writer.status.undelivered == 2
    assert not writer.inbox.is_flushed(1)


@pytest.mark.logs_errors
def test_a_checkpoint_passes_over_stored_events(run: Run) -> None:
    """A sink that hangs is disabled, but the outbox has its events."""
    release = threading.Event()
    plan = sink("log", at="write", wrong=lambda self: release.wait())
    writer = started(plan, run)
    writer.inbox.put(1, EVENTS[:2])
    until(lambda: "write" in notes(plan).calls)
    run.watch.check(time.monotonic() + 100)
    writer.inbox.put(2, EVENTS[2:])
    until(lambda: writer.inbox.is_flushed(2))
    release.set()
    ended(writer)
    assert writer.status.trouble.startswith("write() timed out after")
    assert writer.status.undelivered == run.outbox().count("log") == 5
    assert notes(plan).calls.count("write") == 1
    assert "close" not in notes(plan).calls


def test_a_broken_outbox_ends_the_run(run: Run, tmp_path: Path) -> None:
    (tmp_path / "outbox.sqlite").mkdir()
    plan = sink("net", network=True)
    writer = started(plan, run)
    writer.inbox.put(1, EVENTS)
    until(lambda: bool(run.failed))
    ended(writer)
    assert "the outbox can't be opened" in run.failed[0]
    assert "set runtime.state" in run.failed[0]
    assert len(run.failed) == 1
    assert not writer.inbox.is_flushed(1)
    assert (writer.status.undelivered, notes(plan).got) == (5, [])


def test_the_drain_limit_ends_a_failing_network_sink(run: Run) -> None:
    plan = sink("net", Recorder, network=True, at="write")
    writer = started(plan, run)
    writer.inbox.put(1, EVENTS)
    assert ended(writer, drain_s=0).status.undelivered == 5
    assert run.outbox().count("net") == 5
    assert notes(plan).calls[-1] in ("close", "write") or notes(plan).calls == []


@pytest.mark.parametrize("network", [False, True])
def test_a_sink_opens_once_though_nothing_comes(run: Run, network: bool) -> None:
    plan = sink("log", network=network)
    ended(started(plan, run))
    assert notes(plan).calls == ([] if network else ["open", "close"])
