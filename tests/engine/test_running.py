"""The engine from the outside: order, repeatability, ledger, faults and limits, with small plugins and made frames."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamproc import FramePlugin, Moment, Options, Output, Registry, Results
from streamproc.config.plan import Plan, RuntimePlan, SinkPlan
from streamproc.delivery.outbox import Outbox
from streamproc.engine import Engine, RunReport, replay_bundle
from streamproc.events import Event
from streamproc.exits import OUTBOX_FAILED, PLUGIN_FAILED, STREAM_FAILED, UNDELIVERED
from streamproc.models import ModelStore
from streamproc.plugin import ClipPlugin
from streamproc.report.troubles import troubles
from streamproc.sinks.jsonl import JsonlSink
from streamproc.testing import (
    Fault,
    ListSink,
    PluginRun,
    make_frame,
    make_frames,
    make_info,
    make_plan,
    plugin_plan,
    run_chain,
    run_plugin,
)
from streamproc.testing.fakes import ListSinkOptions
from tests.engine.plugins import (
    HANG,
    ClipMean,
    Fail,
    HangOrdered,
    HangPure,
    Measure,
    Motion,
    NanBoxes,
    Tell,
)
from tests.engine.running import listed, run_engine, with_stream


@pytest.fixture(autouse=True)
def let_go() -> Iterator[None]:
    """Let the plugins that hang on purpose go, so that their threads end with the test."""
    HANG.clear()
    before = set(threading.enumerate())
    yield
    HANG.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)


def closed(report: RunReport) -> bool:
    return all(stream.ledger.closed and stream.ledger.in_flight == 0 for stream in report.streams)


def lines(run: PluginRun) -> list[str]:
    return [json.dumps(event.to_json()) for event in run.events]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_events_are_the_same_with_any_thread_count(workers: int) -> None:
    frames = [make_frame(fill=i % 256, index=i) for i in range(150)]
    chain = [plugin_plan(Measure), plugin_plan(Tell), plugin_plan(Fail, every=7)]
    assert lines(run_chain(chain, frames, workers=workers)) == lines(run_chain(chain, frames, workers=3))


def test_ordered_plugins_get_every_frame_and_pure_results() -> None:
    frames = [make_frame(fill=i, index=i) for i in range(60)]
    run = run_chain([plugin_plan(Measure), plugin_plan(Tell)], frames)
    emitted = [event.data for event in run.events if event.type == "tell.seen"]
    assert [data["seen"] for data in emitted] == list(range(1, 61))
    assert [data["level"] for data in emitted] == [float(i) for i in range(60)]
    assert run.types[-1] == "tell.end"
    assert closed(run.report)


def test_event_ids_are_unique_and_repeatable() -> None:
    frames = make_frames(40)
    first, second = (run_chain([plugin_plan(Tell)], frames) for _ in range(2))
    ids = [event.id for event in first.events]
    assert len(set(ids)) == len(ids) == 41
    assert ids == [event.id for event in second.events]


def test_occasional_failure_costs_only_its_own_results() -> None:
    run = run_chain([plugin_plan(Fail, every=50), plugin_plan(Tell)], make_frames(500))
    (stream,) = run.report.streams
    assert stream.plugins[0].verdicts == {"failed": 10, "ok": 490}
    assert stream.ledger.total("processed") == 500
    assert run.types.count("tell.seen") == 500
    assert run.report.exit_code == 0
    assert closed(run.report)


def test_frames_without_usable_plugin_count_as_failed() -> None:
    run = run_chain([plugin_plan(NanBoxes, settings={"max_failures": 1000})], make_frames(20))
    (stream,) = run.report.streams
    assert stream.ledger.total("failed") == 20
    assert closed(run.report)


@pytest.mark.parametrize("workers", [1, 4])
def test_breaker_opens_at_equal_frames_in_every_run(workers: int) -> None:
    chain = [plugin_plan(Fail, from_index=20, settings={"max_failures": 5}), plugin_plan(Tell)]
    run = run_chain(chain, make_frames(100), workers=workers)
    (stream,) = run.report.streams
    assert stream.plugins[0].verdicts == {"ok": 20, "failed": 5, "off": 75}
    assert "5 times in a row" in stream.plugins[0].off
    assert "for good" in stream.plugins[0].off
    levels = [event.data["level"] for event in run.events if event.type == "tell.seen"]
    assert levels == [1.0] * 20 + [None] * 80
    assert run.report.exit_code == PLUGIN_FAILED


def test_on_error_stop_ends_the_run_with_reason() -> None:
    chain = [plugin_plan(Fail, from_index=10, settings={"on_error": "stop"}), plugin_plan(Tell)]
    run = run_chain(chain, make_frames(10_000))
    assert "failed at frame 10" in run.report.stopped
    assert run.report.streams[0].ledger.observed < 10_000
    assert run.report.exit_code == PLUGIN_FAILED
    assert closed(run.report)


def test_secrets_in_a_plugins_error_are_masked() -> None:
    run = run_chain([plugin_plan(Fail, from_index=0, settings={"on_error": "disable"})], make_frames(3))
    assert "secret" not in run.report.streams[0].plugins[0].off


@pytest.mark.logs_errors
@pytest.mark.parametrize("plugin", [HangPure, HangOrdered])
def test_hanging_plugin_is_abandoned_and_the_rest_continues(plugin: type[Any]) -> None:
    chain = [plugin_plan(plugin, at=5, settings={"timeout_ns": 200_000_000}), plugin_plan(Tell)]
    run = run_chain(chain, make_frames(60))
    (stream,) = run.report.streams
    assert run.types.count("tell.seen") == 60
    assert stream.plugins[0].verdicts["hung"] == 1
    assert "did not come back" in stream.plugins[0].off
    assert not stream.repeatable
    assert run.report.abandoned_threads == 1
    assert run.report.exit_code == PLUGIN_FAILED
    assert closed(run.report)


def two_streams(tmp_path: Path, broken: list[Any], chain: list[Any]) -> tuple[RunReport, list[Event]]:
    good = make_plan([plugin_plan(Tell)], make_frames(80), state=tmp_path, name="good").streams[0]
    bad = make_plan(chain, broken, state=tmp_path, name="bad").streams[0]
    sink = ListSink()
    plan = Plan(streams=(bad, good), runtime=RuntimePlan(workers=2, state=tmp_path))
    report = Engine(plan, extra=[(SinkPlan(name="list", cls=ListSink, options=ListSinkOptions()), sink)]).run()
    return report, [event for event in sink.events if event.stream == "good"]


@pytest.mark.logs_errors
@pytest.mark.parametrize(
    ("broken", "chain"),
    [
        (make_frames(30), [plugin_plan(Fail, from_index=0, settings={"max_failures": 3})]),
        (make_frames(30), [plugin_plan(HangOrdered, settings={"timeout_ns": 100_000_000})]),
        (make_frames(30), [plugin_plan(NanBoxes)]),
        ([*make_frames(10), Fault("broken")], [plugin_plan(Tell)]),
        ([*make_frames(10), Fault("raise")], [plugin_plan(Tell)]),
        ([], [plugin_plan(Tell)]),
    ],
    ids=["plugin fails", "plugin hangs", "NaN boxes", "source breaks off", "source has a bug", "no frames"],
)
def test_fault_in_one_stream_leaves_others_complete(tmp_path: Path, broken: list[Any], chain: list[Any]) -> None:
    report, events = two_streams(tmp_path, broken, chain)
    assert [event.data["seen"] for event in events if event.type == "tell.seen"] == list(range(1, 81))
    assert events[-1].type == "tell.end"
    assert report.exit_code in (PLUGIN_FAILED, STREAM_FAILED)
    assert closed(report)


def test_truncated_source_gives_the_frames_before() -> None:
    run = run_chain([plugin_plan(Tell)], [*make_frames(25), Fault("broken"), *make_frames(3)])
    assert run.types.count("tell.seen") == 25
    assert run.types[-1] == "tell.end"
    assert "breaks off here" in run.report.streams[0].error
    assert run.report.exit_code == STREAM_FAILED


def test_undecodable_frames_are_in_the_ledger() -> None:
    frames = make_frames(10)
    run = run_chain([plugin_plan(Tell)], [*frames[:5], Fault("undecodable"), Fault("undecodable"), *frames[5:]])
    page = run.report.streams[0].ledger
    assert (page.observed, page.total("undecodable"), page.total("processed")) == (12, 2, 10)
    assert page.closed


def test_lost_live_source_is_reopened_and_time_continues() -> None:
    frames = make_frames(20)
    run = run_chain([plugin_plan(Tell)], [*frames[:10], Fault("lost"), *frames[:10]], live=True)
    assert run.report.streams[0].reconnects == 1
    assert [kind for kind in run.types if kind in ("tell.lost", "tell.back")] == ["tell.lost", "tell.back"]
    times = [event.pts_ns for event in run.events]
    assert times == sorted(times)
    assert run.report.streams[0].ledger.closed


def test_gap_mark_comes_before_the_next_frame() -> None:
    info = make_info(rate=10)
    frames = [make_frame(index=i, pts_s=t, info=info) for i, t in enumerate([0, 0.1, 0.2, 8.0, 8.1])]
    run = run_chain([plugin_plan(Tell)], frames)
    assert run.types == ["tell.seen"] * 3 + ["tell.gap"] + ["tell.seen"] * 2 + ["tell.end"]
    assert run.events[3].pts_ns == 8_000_000_000


def test_plugins_and_their_dependents_run_at_their_rate() -> None:
    info = make_info(rate=30)
    frames = make_frames(90, info=info)
    slow = plugin_plan(Measure, settings={"rate": 10})
    run = run_chain([slow, plugin_plan(Tell)], frames)
    emitted = [event for event in run.events if event.type == "tell.seen"]
    assert len(emitted) == 90
    assert sum(event.data["level"] is not None for event in emitted) == 30


def test_frames_that_nobody_wants_are_sampled_out() -> None:
    chain = [plugin_plan(Measure, settings={"rate": 5})]
    run = run_chain(chain, make_frames(100, info=make_info(rate=25)))
    page = run.report.streams[0].ledger
    assert (page.total("processed"), page.total("sampled_out")) == (20, 80)


def test_only_frames_between_clip_ends_are_sampled_out() -> None:
    frames = make_frames(40, info=make_info(rate=10))
    (stream,) = run_chain([plugin_plan(ClipMean)], frames).report.streams
    # no rate is set anywhere; the first clip ends at 0.6 s, the others every 0.4 s
    assert (stream.ledger.total("processed"), stream.ledger.total("sampled_out")) == (9, 31)


def test_flow_is_from_the_source_frame_before() -> None:
    noise = np.random.default_rng(3).random((24, 32)).repeat(5, 0).repeat(5, 1)[:96, :128]
    base = np.repeat((noise * 255).astype(np.uint8)[..., None], 3, axis=2)
    info = make_info(width=128, height=96, rate=10)
    frames = [make_frame(rgb=np.roll(base, 3 * i, axis=1), index=i, info=info) for i in range(6)]
    run = run_chain([plugin_plan(Motion, settings={"rate": 5})], frames)
    assert run.events
    for event in run.events:
        assert event.data["right"] == pytest.approx(3, abs=0.3)
        assert event.data["down"] == pytest.approx(0, abs=0.3)
        assert event.data["dt_ns"] == 100_000_000


def test_clip_plugins_get_clips_by_media_time() -> None:
    info = make_info(rate=10)
    frames = [make_frame(fill=i, index=i, info=info) for i in range(40)]
    run = run_chain([plugin_plan(ClipMean)], frames)
    assert run.events[0].data["pts_ns"] == [0, 200_000_000, 400_000_000, 600_000_000]
    assert run.events[0].data["levels"] == [0.0, 2.0, 4.0, 6.0]
    assert np.diff([event.end_ns for event in run.events]).tolist() == [400_000_000] * (len(run.events) - 1)
    assert issubclass(ClipMean, ClipPlugin)


def test_clip_off_the_rate_waits_for_a_frame(tmp_path: Path) -> None:
    frames = make_frames(150, info=make_info(rate=25))
    plan = make_plan([plugin_plan(ClipMean), plugin_plan(Tell)], frames, state=tmp_path)
    listing = listed()
    report = run_engine(Engine(with_stream(plan, rate=3.0), extra=[listing]))
    events = listing[1].events
    taken = {event.frame_index for event in events if event.type == "tell.seen"}
    clips = [event for event in events if event.type == "clip.seen"]
    assert report.streams[0].ledger.total("processed") == len(taken) == 18
    assert len(clips) >= 10
    assert {event.frame_index for event in clips} <= taken
    assert all(event.end_ns == event.data["pts_ns"][-1] <= event.pts_ns for event in clips)


def test_clips_of_a_slow_stream_are_reported() -> None:
    frames = make_frames(30, info=make_info(rate=3))
    run = run_chain([plugin_plan(ClipMean)], frames)
    assert len(run.events) == 22
    (line,) = troubles(run.report)
    assert line.startswith("plugin clipmean of test: 22 of 22 clips have pictures about 333 ms apart instead of 200 ms")


def test_stream_too_short_for_a_clip_is_reported() -> None:
    run = run_chain([plugin_plan(ClipMean)], make_frames(12, info=make_info(rate=25)))
    (line,) = troubles(run.report)
    assert "no clip was complete: one takes 4 pictures at 5 per second, 0.8 s without a gap" in line


def test_rate_of_a_clip_plugin_is_refused() -> None:
    with pytest.raises(ValueError, match="set `rate` and `stride` in its options"):
        run_chain([plugin_plan(ClipMean, settings={"rate": 2})], make_frames(2))


@pytest.mark.parametrize("wrong", [5, "text", {"a": 1}, [1, 2]], ids=["number", "text", "dict", "list of numbers"])
def test_output_of_a_wrong_type_is_named(wrong: Any) -> None:
    class Wrong(FramePlugin[Options]):
        def process(self, frame: Any, past: Results) -> Output:
            bad: Any = wrong
            return bad  # type: ignore[no-any-return]

    run = run_chain([plugin_plan(Wrong, settings={"on_error": "disable"})], make_frames(2))
    assert "expected results and events" in run.report.streams[0].plugins[0].off


def test_a_repro_bundle_shows_the_failure_again(tmp_path: Path) -> None:
    plan = make_plan([plugin_plan(Measure), plugin_plan(Fail, every=3)], make_frames(4), state=tmp_path)
    Engine(plan).run()
    (bundle,) = (tmp_path / "bundles").iterdir()
    assert "secret" not in bundle.read_bytes().decode("latin1")
    replay = replay_bundle(bundle, Registry(), ModelStore(), ["tests.engine.plugins"])
    assert replay.same
    assert "on purpose" in replay.now
    assert "in process" in replay.trace


def test_memory_in_flight_stays_within_the_streams_limit(tmp_path: Path) -> None:
    frames = make_frames(60, info=make_info(width=640, height=480))
    plan = make_plan([plugin_plan(Measure)], frames, state=tmp_path, workers=4)
    limit = 640 * 480 * 6 * 3
    plan = replace(plan, streams=(replace(plan.streams[0], buffer_bytes=limit),))
    engine = Engine(plan)
    assert engine.run().streams[0].ledger.total("processed") == 60
    assert engine.live_streams()[0].credits.peak_bytes <= limit


def test_overloaded_live_stream_drops_oldest_and_stays_ordered(tmp_path: Path) -> None:
    go = threading.Event()

    class Slow(FramePlugin[Options]):
        def process(self, frame: Any, past: Results) -> Output:
            go.wait(10)
            return []

    class Release(Tell):
        pass

    frames = make_frames(200)
    plan = make_plan([plugin_plan(Slow), plugin_plan(Release)], frames, state=tmp_path, workers=1, live=True)
    sink = ListSink()
    engine = Engine(plan, extra=[(SinkPlan(name="list", cls=ListSink, options=ListSinkOptions()), sink)])
    thread = threading.Thread(target=engine.run)
    thread.start()
    while not (streams := engine.report().streams) or streams[0].ledger.observed < 200:
        threading.Event().wait(0.01)
    go.set()
    thread.join()
    (stream,) = engine.report().streams
    assert stream.ledger.total("dropped") > 150
    assert stream.ledger.total("processed") <= 4  # one at work and the newest few: more would grow old while they wait
    assert stream.ledger.closed
    indices = [event.frame_index for event in sink.events if event.type == "tell.seen"]
    assert indices == sorted(indices)
    assert indices[-1] == 199


def engine_with_sink(tmp_path: Path, sink: Any, **runtime: Any) -> tuple[Engine, Any]:
    plan = make_plan([plugin_plan(Tell)], make_frames(50), state=tmp_path)
    plan = replace(plan, runtime=replace(plan.runtime, **runtime))
    return Engine(plan, extra=[(SinkPlan(name="list", cls=type(sink), options=sink.options), sink)]), sink


def test_a_busy_sink_gets_everything_later(tmp_path: Path) -> None:
    engine, sink = engine_with_sink(tmp_path, ListSink(ListSinkOptions(busy=3)))
    engine.run()
    assert len(sink.events) == 51
    assert sink.flushed == 51
    assert sink.closed


def run_with_sinks(tmp_path: Path, frames: int, *sinks: SinkPlan) -> RunReport:
    plan = make_plan([plugin_plan(Tell)], make_frames(frames), state=tmp_path / "state")
    stream = replace(plan.streams[0], sinks=tuple(sink.name for sink in sinks))
    return Engine(replace(plan, streams=(stream,), sinks=sinks)).run()


def jsonl(path: Path) -> SinkPlan:
    return SinkPlan(name="log", cls=JsonlSink, options=JsonlSink.options_type.model_validate({"path": str(path)}))


def test_undelivered_events_wait_in_outbox_for_next_run(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file where a folder should be")
    broken = jsonl(tmp_path / "out" / "log.jsonl")
    other = jsonl(tmp_path / "other.jsonl")
    report = run_with_sinks(tmp_path, 20, broken, replace(other, name="other"))
    assert report.exit_code == UNDELIVERED
    assert {sink.name: sink.undelivered for sink in report.sinks} == {"log": 21, "other": 0}
    assert len((tmp_path / "other.jsonl").read_text().splitlines()) == 21
    (tmp_path / "out").unlink()
    elsewhere = run_with_sinks(tmp_path, 20, jsonl(tmp_path / "another_jobs.jsonl"))
    assert elsewhere.exit_code == 0
    assert len((tmp_path / "another_jobs.jsonl").read_text().splitlines()) == 21
    again = run_with_sinks(tmp_path, 20, broken)
    assert again.exit_code == 0
    found = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert len(found) == 42
    assert len({record["id"] for record in found}) == 21


@pytest.mark.skipif(os.geteuid() != 0 and not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_reported_and_drops_nothing(tmp_path: Path) -> None:
    target = tmp_path / "full"
    target.symlink_to("/dev/full")
    report = run_with_sinks(tmp_path, 5, jsonl(target))
    assert report.exit_code == UNDELIVERED
    assert report.sinks[0].undelivered == 6
    assert "space" in report.sinks[0].trouble or "full" in report.sinks[0].trouble
    box = Outbox(tmp_path / "state" / "outbox.sqlite")
    assert box.count("log") == 6
    box.close()


def test_unwritable_outbox_ends_the_run_with_its_code(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    broken = SinkPlan(name="log", cls=ListSink, options=ListSinkOptions(broken_after=0))
    report = run_with_sinks(tmp_path, 5, broken)
    assert report.exit_code == OUTBOX_FAILED
    assert "outbox" in report.outbox_error


def test_stop_finishes_and_delivers_frames_in_flight(tmp_path: Path) -> None:
    plan = make_plan([plugin_plan(Tell)], make_frames(100_000), state=tmp_path)
    sink = ListSink()
    engine = Engine(plan, extra=[(SinkPlan(name="list", cls=ListSink, options=ListSinkOptions()), sink)])
    thread = threading.Thread(target=engine.run)
    thread.start()
    while not sink.events:
        threading.Event().wait(0.01)
    engine.interrupt()
    thread.join()
    report = engine.report()
    assert report.interrupted
    assert closed(report)
    assert 0 < report.streams[0].ledger.total("processed") < 100_000
    assert {event.type for event in sink.events} == {"tell.seen"}  # nothing ended: it was left in the middle
    assert len(sink.events) == report.streams[0].ledger.total("processed")


def test_recorded_streams_are_merged_by_media_time(tmp_path: Path) -> None:
    def once(workers: int) -> list[tuple[str, int]]:
        fast = make_plan([plugin_plan(Tell)], make_frames(60, info=make_info("a", rate=30)), state=tmp_path, name="a")
        slow = make_plan([plugin_plan(Measure), plugin_plan(Tell)], make_frames(20), state=tmp_path, name="b")
        sink = ListSink()
        plan = Plan(streams=(fast.streams[0], slow.streams[0]), runtime=RuntimePlan(workers=workers, state=tmp_path))
        Engine(plan, extra=[(SinkPlan(name="list", cls=ListSink, options=ListSinkOptions()), sink)]).run()
        return [(event.stream, event.pts_ns) for event in sink.events]

    first = once(1)
    assert first == once(4)
    assert [pts for _, pts in first] == sorted(pts for _, pts in first)


def test_run_plugin_raises_the_plugins_exception() -> None:
    with pytest.raises(ValueError, match="for good"):
        run_plugin(Fail, make_frames(3), from_index=0)


class FailsAtTheEnd(Tell):
    def flush(self, moment: Moment) -> Output:
        raise ValueError("on purpose")


def test_plugin_failing_at_the_end_fails_the_run() -> None:
    run = run_chain([plugin_plan(FailsAtTheEnd)], make_frames(5))
    assert "failed at the end" in run.report.streams[0].plugins[0].off
    assert run.report.exit_code == PLUGIN_FAILED
