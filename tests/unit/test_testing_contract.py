"""The contract check finds what the engine would trip over."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from streamproc import (
    ArrayPicture,
    DecodedFrame,
    Detections,
    Event,
    EventSink,
    Frame,
    FramePlugin,
    InputInfo,
    Mistake,
    Options,
    Output,
    PictureSource,
    PluginContext,
    PluginError,
    Result,
    Results,
    SinkContext,
    SourceContext,
    StreamPlugin,
)
from streamproc.errors import StreamprocError
from streamproc.models import ModelStore
from streamproc.sinks.jsonl import JsonlSink
from streamproc.sources.synthetic import SyntheticSource
from streamproc.testing import (
    check_plugin_contract,
    check_sink_contract,
    check_source_contract,
    frames_of,
    make_classification,
    make_clip,
    make_faces,
    make_flow,
    make_frame,
    make_poses,
    run_plugin,
)

FRAMES = [make_frame(fill=20 * i, index=i) for i in range(4)]


class Level(FramePlugin[Options]):
    """Pure."""

    def process(self, frame: Frame, past: Results) -> Output:
        yield Event.instant(frame, "image.level", level=int(frame.gray[0, 0]))


class Remembering(FramePlugin[Options]):
    """Emits the level of the frame before: right on one thread, in order."""

    def open(self, context: PluginContext) -> None:
        self._before = 0

    def process(self, frame: Frame, past: Results) -> Output:
        before, self._before = self._before, int(frame.gray[0, 0])
        yield Event.instant(frame, "image.level", level=before)


class Keeping(FramePlugin[Options]):
    """Right in any order, one by one, but it stores data of a call in the plugin."""

    def open(self, context: PluginContext) -> None:
        self._other = threading.Condition()
        self._calls = 0

    def process(self, frame: Frame, past: Results) -> Output:
        self._level = int(frame.gray[0, 0])
        self._met()
        yield Event.instant(frame, "image.level", level=self._level)

    def _met(self) -> None:
        """Let another call in, if there is one: stands for a net that leaves the lock of the interpreter."""
        with self._other:
            self._calls += 1
            self._other.notify_all()
            before = self._calls
            self._other.wait_for(lambda: self._calls > before, timeout=0.1)


def test_a_pure_plugin_passes() -> None:
    check_plugin_contract(Level, FRAMES)


def test_plugin_with_memory_fails_in_another_order() -> None:
    with pytest.raises(AssertionError, match="Remembering answers differently in another order"):
        check_plugin_contract(Remembering, FRAMES)


def test_plugin_mixing_concurrent_frames_fails_in_batches() -> None:
    with pytest.raises(AssertionError, match="Keeping answers differently when it works on 4 at once"):
        check_plugin_contract(Keeping, FRAMES)


class Picky(Level):
    """Refuses its own defaults."""

    @classmethod
    def check_options(cls, options: Options, models: ModelStore) -> list[Mistake]:
        return [Mistake((), "nothing is right")]


def test_plugin_refusing_its_own_options_is_reported() -> None:
    with pytest.raises(AssertionError, match="finds mistakes in these"):
        check_plugin_contract(Picky, FRAMES)


def output(given: Any, **members: Any) -> type[Any]:
    """A plugin class whose `process` gives this, or raises it."""

    def process(self: Any, frame: Frame, past: Results) -> Any:
        if isinstance(given, BaseException):
            raise given
        return given

    return type("Odd", (FramePlugin,), {"process": process, **members})


BOXES = Detections.of([[0, 0, 9, 9]], [0.5], ["person"])
REFUSED = [
    pytest.param({"label": "person"}, "of class dict", id="dict"),
    pytest.param(np.zeros(4), "among its output, expected results and events", id="array"),
    pytest.param([BOXES], "its `gives` names nothing", id="undeclared"),
    pytest.param(SystemExit("I stop"), "SystemExit: I stop", id="exit"),
]


@pytest.mark.parametrize(("given", "words"), REFUSED)
def test_contract_refuses_what_the_engine_refuses(given: Any, words: str) -> None:
    with pytest.raises(PluginError, match=words):
        run_plugin(output(given), FRAMES)
    with pytest.raises(AssertionError, match=words):
        check_plugin_contract(output(given), FRAMES)


def test_contract_refuses_other_protocols_and_unwritable_events() -> None:
    with pytest.raises(PluginError, match="speaks plugin protocol 2"):
        run_plugin(output([], api=2), FRAMES)
    with pytest.raises(ValueError, match="event data holds a set"):
        run_plugin(output([Event.instant(FRAMES[0], "a.b", what={1})]), FRAMES)


def test_makers_make_valid_plugin_input() -> None:
    found = make_classification(run=0.2, walk=0.7)
    assert (found.label, found.class_id.tolist()) == (("walk", "run"), [1, 0])
    poses = make_poses((10, 20, 50, 120), (100, 20, 140, 120))
    assert poses.keypoints.shape == (2, 17, 3)
    assert (poses.keypoints[0, 15:, 1] > poses.keypoints[0, 0, 1]).all()  # ankles below the nose
    faces = make_faces((0, 0, 40, 40), embeddings=np.ones((1, 4), np.float32))
    assert faces.embeddings is not None
    assert np.linalg.norm(faces.embeddings[0]) == pytest.approx(1)
    flow = make_flow(right=3, down=-1)
    assert flow.uv[5, 5].tolist() == [3, -1]
    clip = make_clip(5)
    frames = frames_of(clip)
    assert [frame.pts_ns for frame in frames] == clip.pts_ns.tolist()
    assert all(np.array_equal(frame.rgb, rgb) for frame, rgb in zip(frames, clip.rgb, strict=True))
    assert run_plugin(Level, frames).types == ["image.level"] * 5


class Endless(PictureSource[Options]):
    """Gives pictures for ever and ignores `stopping`."""

    def open(self, context: SourceContext) -> InputInfo:
        return InputInfo(identity="x", live=True)

    def frames(self) -> Iterator[DecodedFrame | None]:
        for number in itertools.count():
            yield DecodedFrame(picture=ArrayPicture(np.zeros((8, 8, 3), np.uint8)), pts_ns=number * 10**9)


class InSeconds(Endless):
    """Gives seconds."""

    def frames(self) -> Iterator[DecodedFrame | None]:
        yield from (
            DecodedFrame(picture=ArrayPicture(np.zeros((8, 8, 3), np.uint8)), pts_ns=number) for number in range(5)
        )


class Bare(Endless):
    """Gives arrays."""

    def frames(self) -> Iterator[Any]:
        yield np.zeros((8, 8, 3), np.uint8)


class Other(Endless):
    """Is another one each time."""

    def frames(self) -> Iterator[DecodedFrame | None]:
        yield DecodedFrame(picture=ArrayPicture(np.zeros((8, 8, 3), np.uint8)), pts_ns=0)

    def open(self, context: SourceContext) -> InputInfo:
        return InputInfo(identity=str(next(NUMBERS)), live=False)


NUMBERS = itertools.count()


@pytest.mark.parametrize(
    ("cls", "words"),
    [
        (Endless, "more pictures after stopping"),
        (InSeconds, "times are nanoseconds"),
        (Bare, "frames gave ndarray, expected DecodedFrame"),
        (Other, "another identity"),
    ],
)
def test_source_contract_finds_what_fails_the_engine(cls: Any, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_source_contract(cls)


class Hungry(EventSink[Options]):
    """Takes no empty batch."""

    def open(self, context: SinkContext) -> None:
        pass

    def write(self, events: Sequence[Event]) -> None:
        events[0]

    def flush(self) -> None:
        pass


class Commanded(Hungry):
    """Gives something back."""

    def write(self, events: Sequence[Event]) -> None:
        return len(events)  # type: ignore[return-value]


def test_sink_contract_finds_what_fails_the_engine(tmp_path: Path) -> None:
    with pytest.raises(IndexError):
        check_sink_contract(Hungry)
    with pytest.raises(AssertionError, match="write gave"):
        check_sink_contract(Commanded)
    check_sink_contract(JsonlSink, path=tmp_path / "e.jsonl")
    check_source_contract(SyntheticSource, duration="1s", rate=10)


class Looking(StreamPlugin[Options]):
    """Looks at pixels without saying so."""

    def process(self, frame: Frame, past: Results) -> Output:
        yield Event.instant(frame, "image.level", level=int(frame.gray[0, 0]))


class LookingOpenly(Looking):
    """Says so."""

    pixels = True


def test_stream_plugin_gets_pixels_only_if_declared() -> None:
    check_plugin_contract(LookingOpenly, FRAMES)
    with pytest.raises(StreamprocError, match=r"set `pixels = True` in its class"):
        check_plugin_contract(Looking, FRAMES)


@dataclass(frozen=True, kw_only=True, eq=False)
class Odd(Result):
    """A result that no table can hold."""

    schema: ClassVar[str] = "test.odd/1"
    level: str


class GivesOdd(FramePlugin[Options]):
    """Gives one."""

    gives = (Odd,)

    def process(self, frame: Frame, past: Results) -> Output:
        yield Odd(level=3)  # type: ignore[arg-type]


def test_result_without_a_table_form_is_named() -> None:
    with pytest.raises(AssertionError, match=r"Odd can't be written as a table: .*Odd.level is 3, expected str"):
        check_plugin_contract(GivesOdd, FRAMES)
