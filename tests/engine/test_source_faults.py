"""What sources may do wrong: the other streams go on, and a stopped run ends whatever hangs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamproc import Event, Flow, Frame, FramePlugin, Options, Output, Results, SourceLost
from streamproc.config.plan import Plan, RuntimePlan, SinkPlan, StreamPlan
from streamproc.engine import Engine, RunReport
from streamproc.errors import StreamprocError
from streamproc.exits import STREAM_FAILED
from streamproc.frames import ArrayPicture
from streamproc.source import DecodedFrame, InputInfo, PictureSource, SourceContext
from streamproc.sources.file import FileOptions, FileSource
from streamproc.testing import ListSink, make_frames, make_plan, plugin_plan
from streamproc.testing.fakes import ListSinkOptions
from tests.engine.plugins import HANG, ClipMean, Tell
from tests.engine.running import closed, listed, run_engine
from tests.videos import Recipe, cut_off, encode, read

COUNT = 12


@pytest.fixture(autouse=True)
def let_go() -> Iterator[None]:
    """Let the sources that hang on purpose go, so that their threads end with the test."""
    HANG.clear()
    yield
    HANG.set()


class Odd(PictureSource[Options]):
    """Twelve pictures; a subclass goes wrong somewhere."""

    live = False
    size = (48, 64)

    def open(self, context: SourceContext) -> InputInfo:
        self.context = context
        self.at("open")
        return InputInfo(identity="odd", live=self.live)

    def frames(self) -> Iterator[DecodedFrame | None]:
        for index in range(COUNT):
            self.at(f"frame {index}")
            yield self.decoded(index)

    def decoded(self, index: int) -> DecodedFrame | None:
        picture = ArrayPicture(np.full((*self.size, 3), index, np.uint8))
        return DecodedFrame(picture=picture, pts_ns=100_000_000 * index)

    def close(self) -> None:
        self.at("close")

    def at(self, place: str) -> None:
        pass


def going_wrong(place: str, wrong: Any, **members: Any) -> type[Odd]:
    """A source that calls `wrong` at `place`."""

    def at(self: Any, here: str) -> None:
        if here == place:
            wrong()

    return type("Wrong", (Odd,), {"at": at, **members})


def raising(error: BaseException) -> Any:
    def wrong() -> None:
        raise error

    return wrong


def odd_stream(source: type[Any], chain: Any = None, name: str = "odd") -> StreamPlan:
    plans = (plugin_plan(Tell),) if chain is None else tuple(chain)
    return StreamPlan(
        name=name, source=source, source_options=Options(), chain=plans, sinks=(), reconnect_ns=1_000_000
    )  # fmt: skip


def run(
    state: Path, source: type[Any], meanwhile: Any = None, chain: Any = None, frames: int = 40, **runtime: Any
) -> tuple[RunReport, list[Event]]:
    """Run a source beside a good one."""
    good = make_plan([plugin_plan(Tell)], make_frames(frames), state=state, name="good").streams[0]
    streams = (odd_stream(source, chain), good)
    listing = listed()
    runtime = {"call_limit_ns": 300_000_000, "drain_ns": 200_000_000, **runtime}
    plan = Plan(streams=streams, runtime=RuntimePlan(workers=2, state=state, **runtime))
    return run_engine(Engine(plan, extra=[listing]), meanwhile), listing[1].events


def count(events: list[Event], stream: str) -> int:
    return sum(event.stream == stream and event.type == "tell.seen" for event in events)


ERRORS = [RuntimeError("odd"), SystemExit(0), KeyboardInterrupt(), StopIteration(), ValueError("rtsp://u:secret@cam/")]


@pytest.mark.parametrize("place", ["open", "frame 0", "frame 5"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_whatever_a_source_raises_fails_its_stream_alone(tmp_path: Path, place: str, error: BaseException) -> None:
    report, events = run(tmp_path, going_wrong(place, raising(error)))
    assert count(events, "good") == 40
    assert count(events, "odd") == (5 if place == "frame 5" else 0)
    assert report.streams[0].error
    assert "secret" not in report.streams[0].error
    assert report.exit_code == STREAM_FAILED
    assert closed(report)


Anything: Any = DecodedFrame
"""for decoded frames that no type checker would accept"""
RGB = np.zeros((48, 64, 3), np.uint8)
GIVEN = {
    "no InputInfo": ({"open": lambda self, context: None}, "open gave None, expected InputInfo"),
    "no generator": ({"frames": lambda self: None}, "gave None, expected pictures"),
    "an array": (
        {"decoded": lambda self, n: RGB},
        "an object of class ndarray in place of a picture, expected DecodedFrame",
    ),
    "an array in a decoded frame": (
        {"decoded": lambda self, n: Anything(picture=RGB, pts_ns=n)},
        "whose picture is an object of class ndarray, expected a picture",
    ),
    "seconds": (
        {"decoded": lambda self, n: Anything(picture=ArrayPicture(RGB), pts_ns=0.1 * n)},
        "pts_ns=0.0, expected a whole number of nanoseconds",
    ),
}


@pytest.mark.parametrize(("members", "words"), GIVEN.values(), ids=GIVEN.keys())
def test_wrong_source_output_is_named_with_its_class(tmp_path: Path, members: Any, words: str) -> None:
    report, events = run(tmp_path, type("Wrong", (Odd,), {**members, "at": lambda self, place: None}))
    assert words in report.streams[0].error
    assert "Wrong" in report.streams[0].error
    assert count(events, "good") == 40


def test_numpy_whole_numbers_are_times(tmp_path: Path) -> None:
    members = {"decoded": lambda self, n: Anything(picture=ArrayPicture(RGB), pts_ns=np.int64(10**8 * n))}
    report, events = run(tmp_path, type("Right", (Odd,), members))
    assert report.streams[0].error == ""
    assert count(events, "odd") == COUNT


def test_truncated_recording_fails_alone_and_loses_nothing(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", Recipe(frames=60, b_frames=2, container={"movflags": "faststart"}))
    left = read(FileSource(FileOptions(path=str(cut_off(path, at=0.6)))), breaks_off=True)
    cut = replace(odd_stream(FileSource), source_options=FileOptions(path=str(path)))
    good = make_plan([plugin_plan(Tell)], make_frames(40), state=tmp_path, name="good").streams[0]
    plan = Plan(streams=(cut, good), runtime=RuntimePlan(workers=2, state=tmp_path / "state"))
    listing = listed()
    report = run_engine(Engine(plan, extra=[listing]))
    assert count(listing[1].events, "good") == 40
    assert count(listing[1].events, "odd") == len(left.frames)
    ends = [event for event in listing[1].events if event.type == "tell.end"]
    assert {(event.stream, event.data["seen"]) for event in ends} == {("good", 40), ("odd", len(left.frames))}
    assert [stream.ledger.total("processed") for stream in report.streams] == [len(left.frames), 40]
    assert report.streams[0].ledger.observed == 60
    assert "of 60" in report.streams[0].error
    assert report.streams[1].error == ""
    assert report.exit_code == STREAM_FAILED
    assert closed(report)


def test_source_failing_in_close_is_still_complete(tmp_path: Path) -> None:
    report, events = run(tmp_path, going_wrong("close", raising(RuntimeError("odd"))))
    assert count(events, "odd") == COUNT
    assert report.exit_code == 0


def test_live_source_failing_in_close_is_reopened(tmp_path: Path) -> None:
    class Camera(Odd):
        live = True
        opened = 0

        def at(self, place: str) -> None:
            if place == "open":
                type(self).opened += 1
            if place == "frame 3" and self.opened == 1:
                raise SourceLost("gone")
            if place == "close" and self.opened == 1:
                raise RuntimeError("can't close")

    report, _ = run(tmp_path, Camera)
    assert report.streams[0].reconnects == 1
    assert report.streams[0].error == ""


@pytest.mark.logs_errors
@pytest.mark.parametrize("place", ["open", "frame 0", "frame 5", "close"])
def test_hanging_source_is_abandoned_and_others_are_complete(tmp_path: Path, place: str) -> None:
    report, events = run(tmp_path, going_wrong(place, HANG.wait))
    assert count(events, "good") == 40
    assert "did not come back" in report.streams[0].error
    assert report.abandoned == ("source of stream odd",)
    assert report.exit_code == STREAM_FAILED
    assert closed(report)


@pytest.mark.logs_errors
@pytest.mark.parametrize("place", ["open", "frame 5"])
def test_stopped_run_does_not_wait_for_hanging_source(tmp_path: Path, place: str) -> None:
    hanging = threading.Event()

    def hang() -> None:
        hanging.set()
        HANG.wait()

    def stop(engine: Engine) -> None:
        hanging.wait(30)
        engine.stop()
        engine.stop()

    report, _ = run(tmp_path, going_wrong(place, hang), stop, call_limit_ns=10**12)
    assert report.abandoned == ("source of stream odd",)
    assert closed(report)


def test_a_quiet_camera_holds_up_no_recording(tmp_path: Path) -> None:
    """The file's events are out while the camera has not shown a picture yet."""
    sink = ListSink()
    counts: list[int] = []

    class Camera(Odd):
        live = True

        def frames(self) -> Iterator[DecodedFrame | None]:
            for _ in range(500):
                if len([event for event in sink.events if event.stream == "good"]) == 41:
                    break
                threading.Event().wait(0.01)
                yield None
            counts.append(len(sink.events))
            yield from super().frames()

    good = make_plan([plugin_plan(Tell)], make_frames(40), state=tmp_path, name="good").streams[0]
    plan = Plan(streams=(odd_stream(Camera), good), runtime=RuntimePlan(workers=2, state=tmp_path))
    run_engine(Engine(plan, extra=[(SinkPlan(name="list", cls=ListSink, options=ListSinkOptions()), sink)]))
    assert counts == [41]


class Mean(FramePlugin[Options]):
    """Emits the shape and mean of each picture."""

    uses = (Flow,)

    def process(self, frame: Frame, past: Results) -> Output:
        yield Event.instant(frame, "mean", shape=list(frame.rgb.shape), gray=list(frame.gray.shape))


def test_pictures_of_changing_size_are_fitted(tmp_path: Path) -> None:
    class Changing(Odd):
        def decoded(self, index: int) -> DecodedFrame | None:
            self.size = (48, 64) if index % 3 else (60, 100)
            return super().decoded(index)

    report, events = run(tmp_path, Changing, chain=[plugin_plan(Mean), plugin_plan(ClipMean)])
    shapes = {str(event.data["shape"]) + str(event.data["gray"]) for event in events if event.type == "mean"}
    assert shapes == {"[60, 100, 3][60, 100]"}
    assert report.exit_code == 0


def test_pictures_without_pixels_count_as_undecodable(tmp_path: Path) -> None:
    class Empty(Odd):
        def decoded(self, index: int) -> DecodedFrame | None:
            self.size = (48, 64) if index % 3 else (0, 64)
            return super().decoded(index)

    report, events = run(tmp_path, Empty)
    assert report.streams[0].ledger.total("undecodable") == 4
    assert count(events, "odd") == 8
    assert closed(report)


@pytest.mark.parametrize("chain", [[plugin_plan(ClipMean), plugin_plan(Tell)], [plugin_plan(Tell)]], ids=["clip", "no"])
def test_unconvertible_pictures_are_in_the_ledger(tmp_path: Path, chain: Any) -> None:
    class Unreadable(ArrayPicture):
        def to_rgb(self) -> Any:
            raise RuntimeError("can't be converted")

    class Bad(Odd):
        def decoded(self, index: int) -> DecodedFrame | None:
            decoded = super().decoded(index)
            assert decoded is not None
            return decoded if index % 3 else replace(decoded, picture=Unreadable(np.zeros((48, 64, 3), np.uint8)))

    report, _ = run(tmp_path, Bad, chain=chain)
    assert report.streams[0].ledger.observed == COUNT
    assert report.streams[0].error == ""
    assert closed(report)


@pytest.mark.parametrize("pts", [2**62, -(2**62), 10**30], ids=["late", "early", "beyond"])
@pytest.mark.parametrize("captured", [None, -5, 10**30])
def test_time_stamps_beyond_reason_lose_nothing(tmp_path: Path, pts: int, captured: int | None) -> None:
    class Wild(Odd):
        def decoded(self, index: int) -> DecodedFrame | None:
            decoded = super().decoded(index)
            assert decoded is not None
            return replace(decoded, captured_ns=captured, pts_ns=pts if index == 4 else decoded.pts_ns)

    report, events = run(tmp_path, Wild)
    assert count(events, "odd") == COUNT
    assert all(event.to_json() for event in events)
    assert report.exit_code == 0


def test_counting_from_other_threads_keeps_the_ledger_closed(tmp_path: Path) -> None:
    class Counting(Odd):
        def at(self, place: str) -> None:
            if place.startswith("frame"):
                threads = [threading.Thread(target=self.context.count, args=("corrupt",)) for _ in range(4)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()

    report, _ = run(tmp_path, Counting)
    assert report.streams[0].ledger.total("undecodable") == 4 * COUNT
    assert closed(report)


def test_unreadable_frames_of_many_streams_are_reported(tmp_path: Path) -> None:
    class Many(Odd):
        def decoded(self, index: int) -> DecodedFrame | None:
            self.context.count("not a picture")
            decoded = super().decoded(index)
            assert decoded is not None
            return replace(decoded, stream=f"cam{index % 2}")

    report, _ = run(tmp_path, Many)
    assert report.ledger.total("undecodable") == COUNT
    assert closed(report)


def test_an_engine_runs_once(tmp_path: Path) -> None:
    engine = Engine(make_plan([plugin_plan(Tell)], make_frames(3), state=tmp_path))
    run_engine(engine)
    with pytest.raises(StreamprocError, match="has run already"):
        engine.run()


def test_run_stopped_before_start_ends_at_once(tmp_path: Path) -> None:
    engine = Engine(make_plan([plugin_plan(Tell)], make_frames(3), state=tmp_path))
    engine.stop()
    report = run_engine(engine)
    assert report.ledger.observed == 0
    assert report.exit_code == 0


def test_engine_bug_fails_one_stream_and_settles_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL")
    from streamproc.engine.stats import StreamStats

    whole = StreamStats.count

    def counted(self: StreamStats, record: Any) -> None:
        if record.stream.name == "odd" and record.index == 5:
            raise AssertionError("a bug")
        whole(self, record)

    monkeypatch.setattr(StreamStats, "count", counted)
    report, events = run(tmp_path, Odd)
    assert count(events, "good") == 40
    assert "report it with this log" in report.streams[0].error
    assert report.exit_code == STREAM_FAILED
    assert closed(report)
