"""Restarts of a resumable source: whatever the moment at which a run breaks off, nothing is lost and ids stay."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import ConfigDict

from streamproc import Event, Flow, Frame, Moment, Options, Output, Results, SourceLost, StreamPlugin
from streamproc.chain.ordered import restore_state
from streamproc.config.plan import Plan, PluginPlan, RuntimePlan, SinkPlan, StreamPlan
from streamproc.config.wiring import wire
from streamproc.engine import Engine, RunReport
from streamproc.engine.checkpoint import CheckpointStore
from streamproc.errors import SinkError, SourceError
from streamproc.frames import ArrayPicture
from streamproc.options import Field
from streamproc.sink import EventSink, FrameSink, SinkContext
from streamproc.sinks.jsonl import json_line
from streamproc.source import DecodedFrame, InputInfo, PictureSource, Position, SourceContext
from streamproc.testing import make_frames, make_plan, plugin_plan
from tests.engine.plugins import ClipMean, Fail, Measure, Tell
from tests.engine.running import closed, run_engine

COUNT = 24


class TapeOptions(Options):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)
    tape: Any = Field(description="what is on it and what happens")


class Tape:
    """Pictures with offsets, of streams a and b in turn, and a note of what was committed: a topic in memory."""

    def __init__(self, count: int = COUNT, streams: Sequence[str] = ("a", "b")) -> None:
        self.streams = streams
        self.count = count
        self.committed: list[dict[str, int]] = []
        self.breaks_at: int | None = None
        """offset at which the run is cut off, once everything before is committed or `patience` Nones were given"""
        self.lost_at: int | None = None
        self.idle_first = 0
        self.commit_each = True
        self.given: list[int] = []

    def decoded(self, offset: int) -> DecodedFrame:
        rng = np.random.default_rng(offset // len(self.streams))
        block = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        return DecodedFrame(
            picture=ArrayPicture(np.ascontiguousarray(block)),
            pts_ns=100_000_000 * (offset // len(self.streams)),
            captured_ns=1_700_000_000_000_000_000 + 100_000_000 * offset,
            stream=self.streams[offset % len(self.streams)],
            position=Position(partition="0", offset=offset),
        )


class TapeSource(PictureSource[TapeOptions]):
    """Plays a tape; breaks off, is lost or waits where the tape says so."""

    resumable: ClassVar[bool] = True

    def open(self, context: SourceContext) -> InputInfo:
        self._next = 0
        self._stopping = context.stopping
        return InputInfo(identity="tape", live=False)

    def seek(self, positions: Mapping[str, int]) -> None:
        self._next = positions["0"]

    def commit(self, positions: Mapping[str, int]) -> None:
        self.options.tape.committed.append(dict(positions))

    def frames(self) -> Iterator[DecodedFrame | None]:
        tape = self.options.tape
        for _ in range(tape.idle_first):
            yield None
        while self._next < tape.count:
            if self._next == tape.breaks_at:
                yield from self._await_commit()
                raise SourceError("the tape is torn")
            if self._next == tape.lost_at:
                tape.lost_at = None
                raise SourceLost("the tape slipped")
            self._next += 1
            tape.given.append(self._next - 1)
            yield tape.decoded(self._next - 1)
            if tape.commit_each:
                yield from self._await_commit()

    def _await_commit(self) -> Iterator[None]:
        """Stand still until what was given is committed, for as long as that may take."""
        tape = self.options.tape
        for _ in range(300):
            if self._next == 0 or (tape.committed and tape.committed[-1]["0"] >= self._next) or self._stopping():
                return
            threading.Event().wait(0.01)
            yield None


class Scene(StreamPlugin[Options]):
    """Holds an episode open for three frames at a time; counts marks; its state is its own live dictionary."""

    def open(self, context: Any) -> None:
        self.saved: dict[str, Any] = {"seen": 0, "marks": 0}

    def process(self, frame: Frame, past: Results) -> Output:
        self.saved["seen"] += 1
        begun = Event.begin(frame, "scene", f"e{self.saved['seen'] // 3}")
        yield begun if self.saved["seen"] % 3 == 0 else begun.later("update")
        yield Event.instant(frame, "scene.level", level=float(frame.pts_ns), n=self.saved["seen"])

    def flush(self, moment: Moment) -> Output:
        now_ns = moment.pts_ns
        yield Event(type="scene.end", phase="instant", start_ns=now_ns, end_ns=now_ns, data=dict(self.saved))

    def state(self) -> Mapping[str, Any]:
        return self.saved

    def restore(self, state: Mapping[str, Any]) -> None:
        self.saved = dict(state)


class FlowTell(StreamPlugin[Options]):
    """Emits the flow of each frame."""

    needs = (Flow,)

    def process(self, frame: Frame, past: Results) -> Output:
        yield Event.instant(frame, "flow", mean=float(np.abs(past[Flow].uv).mean()), dt=past[Flow].dt_ns)


class KeepOptions(Options):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)
    into: Any = Field(description="list that gets what was flushed")


class Keeping:
    """Gives what was flushed, and only that, to a list."""

    options: Any

    def open(self, context: SinkContext) -> None:
        self.written: list[Any] = []

    def write(self, items: Sequence[Any]) -> None:
        self.written += items

    def flush(self) -> None:
        self.options.into.extend(self.written)
        self.written = []


class Keep(Keeping, EventSink[KeepOptions]):
    """For events."""


class KeepFrames(Keeping, FrameSink[KeepOptions]):
    """For frames."""


CHAIN = [
    plugin_plan(Measure, settings={"rate": 5.0}),
    plugin_plan(Scene),
    plugin_plan(ClipMean, name="clips"),
    plugin_plan(FlowTell),
    plugin_plan(Fail, name="fail", from_index=8, settings={"max_failures": 9}),
]


def plan_of(tape: Tape, state: Path, chain: Sequence[PluginPlan], *sinks: SinkPlan, **runtime: Any) -> Plan:
    wired, issues = wire(chain)
    assert not issues
    stream = StreamPlan(
        name="tape", source=TapeSource, source_options=TapeOptions(tape=tape), chain=wired,
        sinks=tuple(sink.name for sink in sinks), reconnect_ns=1_000_000,
    )  # fmt: skip
    runtime = {"workers": 2, "state": state, "commit_ns": 1_000_000, "drain_ns": 3_000_000_000, **runtime}
    return Plan(streams=(stream,), sinks=sinks, runtime=RuntimePlan(**runtime))


def keep(into: list[Any], cls: type[Any] = Keep) -> SinkPlan:
    return SinkPlan(name=cls.__name__.lower(), cls=cls, options=KeepOptions(into=into))


def play(
    tape: Tape, state: Path, chain: Sequence[PluginPlan] = tuple(CHAIN), **runtime: Any
) -> tuple[RunReport, list[Event]]:
    got: list[Event] = []
    report = run_engine(Engine(plan_of(tape, state, chain, keep(got), **runtime)))
    return report, got


def by_stream(events: Sequence[Event]) -> dict[str, list[str]]:
    """The lines of each stream in order, repeats taken out by their ids."""
    out: dict[str, dict[str, str]] = {}
    for event in events:
        out.setdefault(event.stream, {}).setdefault(event.id, json_line(event))
    return {stream: list(lines.values()) for stream, lines in out.items()}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    tape = Tape()
    tape.commit_each = False
    report, events = play(tape, tmp_path_factory.mktemp("whole"))
    assert report.exit_code == 0, report
    assert {event.type for event in events} >= {"scene", "scene.level", "clip.seen", "flow", "scene.end"}
    return by_stream(events)


@pytest.mark.parametrize("offset", range(1, COUNT))
def test_interrupted_run_resumes_without_a_trace(
    tmp_path: Path, uninterrupted: dict[str, list[str]], offset: int
) -> None:
    tape = Tape()
    tape.commit_each = False
    tape.breaks_at = offset
    first, before = play(tape, tmp_path)
    assert first.streams[0].error
    assert not [event for event in before if event.type == "scene.end"]
    assert tape.committed[-1] == {"0": offset}
    tape.breaks_at = None
    second, after = play(tape, tmp_path)
    assert not second.streams[0].error
    assert by_stream([*before, *after]) == uninterrupted
    assert tape.given == list(range(COUNT))


@pytest.mark.parametrize("offset", [3, 10, 17])
def test_restart_from_an_older_commit_repeats_known_ids(
    tmp_path: Path, uninterrupted: dict[str, list[str]], offset: int
) -> None:
    """As after `kill -9`: the state folder is that of some time ago, the sinks have got more."""
    tape = Tape()
    tape.commit_each = False
    tape.breaks_at = offset
    play(tape, tmp_path)
    saved = (tmp_path / "checkpoints.sqlite").read_bytes()
    tape.breaks_at = None
    _, all_of_it = play(tape, tmp_path)
    (tmp_path / "checkpoints.sqlite").write_bytes(saved)
    _, again = play(tape, tmp_path)
    known = {event.id for event in all_of_it}
    assert {event.id for event in again} <= known
    assert len(again) == len(all_of_it)


def test_a_lost_source_goes_on_where_it_was(tmp_path: Path) -> None:
    class Live(TapeSource):
        def open(self, context: SourceContext) -> InputInfo:
            return replace(super().open(context), live=True)

    tape = Tape(streams=("tape",))
    tape.lost_at = 9
    got: list[Event] = []
    plan = plan_of(tape, tmp_path, [plugin_plan(Tell)], keep(got))
    plan = replace(plan, streams=(replace(plan.streams[0], source=Live),))
    report = run_engine(Engine(plan))
    assert report.streams[0].reconnects == 1
    assert tape.given == list(range(COUNT))


def test_commits_go_on_after_a_quiet_start(tmp_path: Path) -> None:
    tape = Tape()
    tape.breaks_at = 6
    play(tape, tmp_path)
    tape.breaks_at, tape.idle_first = None, 5
    play(tape, tmp_path)
    assert tape.committed[-1] == {"0": COUNT}


def test_stop_loses_no_frame_and_commits(tmp_path: Path, uninterrupted: dict[str, list[str]]) -> None:
    tape = Tape()
    tape.commit_each = False
    got: list[Event] = []
    for _ in range(100):
        engine = Engine(plan_of(tape, tmp_path, CHAIN, keep(got), workers=1))
        already = len(tape.given)

        def stop(engine: Engine, already: int = already) -> None:
            while len(tape.given) < min(COUNT, already + 3) and not engine.finished:
                threading.Event().wait(0.001)
            engine.stop()

        report = run_engine(engine, stop)
        assert closed(report)
        if any(event.type == "scene.end" for event in got):
            break
        # a picture that came after the stop was not taken: the next run asks for it again
        tape.given = list(range(tape.committed[-1]["0"]))
        if len(tape.given) == COUNT:
            break
    lines = by_stream([event for event in got if event.type != "scene.end"])
    expected = {s: [line for line in v if '"scene.end"' not in line] for s, v in uninterrupted.items()}
    assert lines == expected


def test_events_waiting_in_the_merge_block_the_commit(tmp_path: Path) -> None:
    """Recorded streams are merged: what is held for a slower one is on no disk yet."""
    go = threading.Event()

    class Slow(Tell):
        def process(self, frame: Frame, past: Results) -> Output:
            go.wait(30)
            return super().process(frame, past)

    tape = Tape(streams=("tape",))
    tape.breaks_at = COUNT
    got: list[Event] = []
    fast = plan_of(tape, tmp_path, [plugin_plan(Tell)], keep(got))
    slow = make_plan([plugin_plan(Slow)], make_frames(50), state=tmp_path, name="slow").streams[0]
    plan = replace(fast, streams=(*fast.streams, replace(slow, sinks=("keep",))))

    def look(engine: Engine) -> None:
        while len(tape.given) < 5:
            threading.Event().wait(0.01)
        assert not got
        assert tape.committed == []
        go.set()

    run_engine(Engine(plan), look)
    assert sum(event.stream == "tape" for event in got) >= COUNT


class TornFrames(KeepFrames):
    """Takes everything, makes nothing durable."""

    def flush(self) -> None:
        raise SinkError("can't make it durable")


def test_frames_are_committed_after_their_sink_flushed(tmp_path: Path) -> None:
    tape = Tape()
    tape.breaks_at = COUNT - 1
    frames: list[Frame] = []
    run_engine(Engine(plan_of(tape, tmp_path, [], keep(frames, KeepFrames))))
    assert tape.committed
    assert len(frames) == COUNT - 1
    torn = Tape()
    torn.commit_each = False
    run_engine(Engine(plan_of(torn, tmp_path / "torn", [], keep([], TornFrames))))
    assert torn.committed == []


def test_unwritable_state_folder_fails_the_stream(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    report, _ = play(Tape(), tmp_path / "state")
    assert "checkpoints can't be stored" in report.streams[0].error
    assert closed(report)


def test_full_store_fails_the_stream(tmp_path: Path) -> None:
    import sqlite3

    CheckpointStore(tmp_path / "checkpoints.sqlite").close()
    with sqlite3.connect(tmp_path / "checkpoints.sqlite") as db:
        db.execute("CREATE TRIGGER full BEFORE INSERT ON checkpoints BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    db.close()
    report, events = play(Tape(), tmp_path)
    assert "disk is full" in report.streams[0].error
    assert not [event for event in events if event.type == "scene.end"]


class BadState(Scene):
    """Its state can't be stored."""

    def state(self) -> Mapping[str, Any]:
        return {"no": object()}


def test_unstorable_plugin_state_blocks_the_commit(tmp_path: Path) -> None:
    tape = Tape()
    tape.commit_each = False
    report, events = play(tape, tmp_path, [plugin_plan(BadState, settings={"max_failures": 1000})])
    assert tape.committed == [{"0": COUNT}]  # at the end, when no state is wanted any more
    assert report.streams[0].plugins[0].verdicts["failed"] >= 1
    assert {event.stream for event in events} == {"a", "b"}
    assert closed(report)


class Forgetful(Scene):
    def restore(self, state: Mapping[str, Any]) -> None:
        raise KeyError("seen")


def test_plugin_that_can_not_restore_says_the_remedy(tmp_path: Path) -> None:
    tape = Tape()
    tape.breaks_at = 6
    play(tape, tmp_path, [plugin_plan(Forgetful)])
    tape.breaks_at = None
    report, _ = play(tape, tmp_path, [plugin_plan(Forgetful)])
    assert "forgetful" in report.streams[0].error
    assert "checkpoints.sqlite" in report.streams[0].error


class Newer(Scene):
    state_version = 2


def test_a_state_of_another_version_is_refused(tmp_path: Path) -> None:
    tape = Tape()
    tape.breaks_at = 6
    play(tape, tmp_path, [plugin_plan(Scene, name="scene")])
    tape.breaks_at = None
    report, _ = play(tape, tmp_path, [plugin_plan(Newer, name="scene")])
    assert "it has version 1, this plugin expects 2" in report.streams[0].error
    assert "checkpoints.sqlite" in report.streams[0].error


def test_a_state_in_another_form_is_refused() -> None:
    for stored in ({"version": 1, "seen": 3}, {}):
        with pytest.raises(ValueError, match="another version of streamproc stored it"):
            restore_state(Scene(Options()), stored)


def test_changed_chain_continues_with_known_state(tmp_path: Path) -> None:
    tape = Tape()
    tape.breaks_at = 6
    play(tape, tmp_path, [plugin_plan(Scene)])
    tape.breaks_at = None
    report, events = play(tape, tmp_path, [plugin_plan(Measure), plugin_plan(Scene), plugin_plan(Tell)])
    assert not report.streams[0].error
    levels = [event.data["n"] for event in events if event.type == "scene.level" and event.stream == "a"]
    assert levels == list(range(4, COUNT // 2 + 1))


def test_a_checkpoint_is_plain_json_of_modest_size(tmp_path: Path) -> None:
    tape = Tape()
    tape.breaks_at = COUNT - 1
    play(tape, tmp_path)
    store = CheckpointStore(tmp_path / "checkpoints.sqlite")
    saved = store.read("tape")
    store.close()
    assert saved is not None
    assert set(saved.streams) == {"a", "b"}
    assert len(json.dumps(dict(saved.streams))) < 50_000
