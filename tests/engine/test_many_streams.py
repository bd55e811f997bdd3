"""Sources that carry many streams: bounded in number, distinguished by name and over restarts, ended once."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from streamproc import Episode, Event, Frame, Moment, Options, Output, Results, SourceLost, StreamPlugin
from streamproc.config.plan import Plan, RuntimePlan
from streamproc.engine import Engine, RunReport
from streamproc.engine.exporter import EngineCollector
from streamproc.testing import make_frames, make_plan, plugin_plan
from tests.engine.plugins import Tell
from tests.engine.running import closed, listed, run_engine
from tests.engine.test_restart import Keep, KeepOptions, Tape, TapeOptions, TapeSource, keep, plan_of
from tests.engine.test_source_faults import Odd, odd_stream


class Stay(StreamPlugin[Options]):
    """Holds one episode open from the first frame to the end, numbered within a stream."""

    def open(self, context: Any) -> None:
        self.number = 0
        self.stay: Episode | None = None

    def process(self, frame: Frame, past: Results) -> Output:
        if self.stay is None:
            self.number += 1
            self.stay = Episode(type="stay", key=f"stay/{self.number}", start_ns=frame.pts_ns)
            yield self.stay.start(frame.pts_ns)

    def flush(self, moment: Moment) -> Output:
        if self.stay is not None:
            yield self.stay.end(moment.pts_ns)

    def state(self) -> Mapping[str, Any]:
        return {"number": self.number, "stay": None if self.stay is None else self.stay.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.number = state["number"]
        self.stay = Episode.restored(state["stay"])


class Keys(TapeSource):
    """A tape whose pictures name any number of streams, of which two may be open."""

    several: ClassVar[bool] = True
    most: ClassVar[int] = 2

    @property
    def most_streams(self) -> int:
        return self.most


def play(
    tape: Tape, state: Path, source: type[TapeSource] = Keys, meanwhile: Any = None
) -> tuple[RunReport, list[Event]]:
    got: list[Event] = []
    plan = plan_of(tape, state, [plugin_plan(Stay)], keep(got))
    plan = replace(plan, streams=(replace(plan.streams[0], source=source),))
    return run_engine(Engine(plan), meanwhile), got


def phases(events: Sequence[Event]) -> dict[tuple[str, str], list[str]]:
    """By (stream, episode): the phases that were emitted, repeats by id left out."""
    found: dict[tuple[str, str], list[str]] = {}
    for event in {event.id: event for event in events}.values():
        found.setdefault((event.stream, event.episode), []).append(event.phase)
    return found


def test_longest_silent_stream_ends_above_the_limit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tape = Tape(count=60, streams=[f"k{n}" for n in range(60)])
    tape.commit_each = False
    report, events = play(tape, tmp_path)
    assert set(map(tuple, phases(events).values())) == {("start", "end")}
    assert len(phases(events)) == 60
    assert closed(report)
    assert report.ledger.total("processed") == 60
    assert len(report.streams) <= 3
    assert [stream.ended_streams for stream in report.streams if stream.name == "tape"] == [58]
    assert sum(report.events.values()) == 120
    assert not [thread.name for thread in threading.enumerate() if "-k" in thread.name]
    assert caplog.text.count("more than 2 streams at a time") == 2  # the 1st and the 10th time
    assert tape.committed[-1] == {"0": 60}


def test_ended_stream_may_come_back_and_begins_again(tmp_path: Path) -> None:
    tape = Tape(count=12, streams=["a", "b", "c"])
    tape.commit_each = False
    report, events = play(tape, tmp_path)
    assert report.exit_code == 0
    assert set(map(tuple, phases(events).values())) == {("start", "end")}
    assert len(phases(events)) == 12  # each of the 12 pictures had to make room for the next
    assert closed(report)


def test_streams_of_an_earlier_run_end_first(tmp_path: Path) -> None:
    tape = Tape(count=4, streams=["a", "b", "c", "d"])
    tape.commit_each = False
    tape.breaks_at = 2
    _, before = play(tape, tmp_path)
    tape.breaks_at = None
    _, after = play(tape, tmp_path)
    # between streams no order is promised
    assert {(event.stream, event.phase) for event in before} == {("a", "start"), ("b", "start")}
    assert {("a", "end"), ("c", "start")} <= {(event.stream, event.phase) for event in after}
    assert all(found == ["start", "end"] for found in phases([*before, *after]).values())


def test_episodes_ending_with_the_input_are_committed_once(tmp_path: Path) -> None:
    tape = Tape(count=6, streams=["a"])
    tape.commit_each = False
    _, first = play(tape, tmp_path)
    assert tape.committed[-1] == {"0": 6}
    _, again = play(tape, tmp_path)
    assert again == []
    tape.count = 9
    _, more = play(tape, tmp_path)
    assert tape.given == list(range(9))
    assert phases([*first, *more]) == {("a", "stay/1"): ["start", "end"], ("a", "stay/1@6"): ["start", "end"]}


def test_stream_with_a_configured_name_gets_a_prefix(tmp_path: Path) -> None:
    tape = Tape(count=6, streams=["door", "yard"])
    tape.commit_each = False
    got: list[Event] = []
    plan = plan_of(tape, tmp_path, [plugin_plan(Tell)], keep(got))
    other = make_plan([plugin_plan(Tell)], make_frames(9), state=tmp_path, name="door").streams[0]
    report = run_engine(Engine(replace(plan, streams=(replace(plan.streams[0], source=Keys), other)), extra=[listed()]))
    assert {stream.name: stream.ledger.total("processed") for stream in report.streams} == {
        "tape/door": 3, "yard": 3, "door": 9,
    }  # fmt: skip
    # the other stream names no sink of the tape's
    assert {event.stream for event in got} == {"tape/door", "yard"}


def test_equal_stream_names_of_two_sources_are_distinguished(tmp_path: Path) -> None:
    got: list[Event] = []
    tapes = [Tape(count=4, streams=["cam"]), Tape(count=6, streams=["cam"])]
    first = plan_of(tapes[0], tmp_path, [plugin_plan(Tell)], keep(got))
    streams = [
        replace(first.streams[0], name=name, source=Keys, source_options=TapeOptions(tape=tape))
        for name, tape in zip(("one", "two"), tapes, strict=True)
    ]
    for tape in tapes:
        tape.commit_each = False
    report = run_engine(Engine(replace(first, streams=tuple(streams))))
    names = sorted(stream.name for stream in report.streams)
    assert names in (["cam", "one/cam"], ["cam", "two/cam"])
    assert sorted(stream.ledger.total("processed") for stream in report.streams) == [4, 6]


class Camera(Odd):
    """Live: each picture as soon as it is asked for."""

    live = True


def watch(state: Path, source: type[Any], meanwhile: Any = None, **settings: Any) -> tuple[RunReport, list[Event]]:
    listing = listed()
    stream = replace(odd_stream(source, [plugin_plan(Stay)]), **settings)
    plan = Plan(streams=(stream,), runtime=RuntimePlan(workers=2, state=state))
    return run_engine(Engine(plan, extra=[listing]), meanwhile), listing[1].events


@pytest.mark.parametrize("identity", [None, "door camera"])
def test_live_episodes_are_new_after_a_restart(tmp_path: Path, identity: str | None) -> None:
    (_, first), (_, second) = (watch(tmp_path, Camera, identity=identity) for _ in range(2))
    assert [event.phase for event in first] == [event.phase for event in second] == ["start", "end"]
    assert len({event.episode for event in first}) == 1
    assert not {event.episode for event in first} & {event.episode for event in second}
    assert not {event.id for event in first} & {event.id for event in second}
    assert first[0].episode.startswith("stay/1@20")


def test_the_same_recording_has_the_same_episodes(tmp_path: Path) -> None:
    (_, first), (_, second) = (watch(tmp_path, Odd) for _ in range(2))
    assert [(event.id, event.episode) for event in first] == [(event.id, event.episode) for event in second]
    assert first[0].episode == "stay/1"


def metrics(engine: Engine) -> dict[str, float]:
    """By name and label: what a scrape would read now."""
    return {
        f"{sample.name} {' '.join(sample.labels.values())}": sample.value
        for family in EngineCollector(engine).collect()
        for sample in family.samples
    }


def test_camera_away_at_start_is_awaited(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read: list[float] = []
    engines: list[Engine] = []

    class Late(Camera):
        tries = 0

        def at(self, place: str) -> None:
            if place == "open":
                read.append(metrics(engines[0])["streamproc_source_up odd"])
                type(self).tries += 1
                if type(self).tries in (1, 2, 4):
                    raise SourceLost("takes no connection")
            if place == "frame 3":
                read.append(metrics(engines[0])["streamproc_source_up odd"])
                if type(self).tries == 3:
                    raise SourceLost("gone")

    listing = listed()
    plan = Plan(streams=(odd_stream(Late),), runtime=RuntimePlan(workers=2, state=tmp_path))
    engines.append(Engine(plan, extra=[listing]))
    report = run_engine(engines[0])
    assert read == [0, 0, 0, 1, 0, 0, 1]
    assert report.exit_code == 0
    assert report.streams[0].reconnects == 4
    assert metrics(engines[0])["streamproc_source_up odd"] == 0
    assert caplog.text.count("source lost: takes no connection") == 1
    assert caplog.text.count("source is back after") == 1  # the outage behind it repeats, and is not logged


def test_camera_that_never_connects_is_named_at_end(tmp_path: Path) -> None:
    asked = threading.Event()

    class Never(Camera):
        def at(self, place: str) -> None:
            if place == "open":
                asked.set()
                raise SourceLost("takes no connection")

    def stop(engine: Engine) -> None:
        asked.wait(30)
        engine.interrupt()

    report, _ = watch(tmp_path, Never, stop, reconnect_ns=10**9)
    assert report.streams[0].away == "takes no connection"
    assert not report.streams[0].error


def test_camera_that_is_away_delays_no_recording(tmp_path: Path) -> None:
    done = threading.Event()

    class Never(Camera):
        def at(self, place: str) -> None:
            if place == "open":
                raise SourceLost("takes no connection")

    class Note(Keep):
        def flush(self) -> None:
            super().flush()
            if len(self.options.into) == 41:
                done.set()

    def stop(engine: Engine) -> None:
        assert done.wait(30), "the recording's events wait for the camera"
        engine.stop()

    got: list[Event] = []
    note = replace(keep(got), cls=Note, options=KeepOptions(into=got))
    good = make_plan([plugin_plan(Tell)], make_frames(40), state=tmp_path, name="good").streams[0]
    streams = (odd_stream(Never), replace(good, sinks=(note.name,)))
    run_engine(Engine(Plan(streams=streams, sinks=(note,), runtime=RuntimePlan(state=tmp_path))), stop)
