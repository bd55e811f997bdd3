"""Mistakes in the classes of authors, found by `check` with the class's own line."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from streamproc import (
    ClipSpec,
    ConfigError,
    DecodedFrame,
    Detections,
    Duration,
    Event,
    EventSink,
    Field,
    Frame,
    FramePlugin,
    InputInfo,
    Options,
    Output,
    PictureSource,
    PluginError,
    Registry,
    Result,
    Results,
    SinkContext,
    SourceContext,
    StreamPlugin,
    seconds,
)
from streamproc.config import load_text
from streamproc.plugin import check_plugin


class Plain(FramePlugin[Any]):
    def process(self, frame: Frame, past: Results) -> Output:
        return []


class NoTuple(Plain):
    needs: ClassVar[Any] = Detections


class Model(BaseModel):
    limit: float = 4


class NoOptions(FramePlugin[Model]):  # type: ignore[type-var]
    def process(self, frame: Frame, past: Results) -> Output:
        return []


class Unnamed(FramePlugin):  # type: ignore[type-arg]
    def process(self, frame: Frame, past: Results) -> Output:
        return []


class NoArgument(Plain):
    def __init__(self) -> None:
        pass


class Forgets(Plain):
    def __init__(self, options: Any) -> None:
        self.count = 0


class Raises(Plain):
    def __init__(self, options: Any) -> None:
        raise OSError("no weights here")


class AwaitedState(StreamPlugin[Options]):
    def process(self, frame: Frame, past: Results) -> Output:
        return []

    async def state(self) -> Any:  # type: ignore[override]
        return {}


class SecondsOptions(Options):
    hold: Duration = Field(5, description="how long")


class Seconds(FramePlugin[SecondsOptions]):
    def process(self, frame: Frame, past: Results) -> Output:
        return []


class TextOptions(Options):
    hold: Duration = Field("2s", description="how long")  # type: ignore[assignment]


class Text(FramePlugin[TextOptions]):
    def process(self, frame: Frame, past: Results) -> Output:
        return []


class BeyondOptions(Options):
    limit: float = Field(5, le=1, description="a part")


class Beyond(FramePlugin[BeyondOptions]):
    def process(self, frame: Frame, past: Results) -> Output:
        return []


class Loose(Result):
    schema = "tests.loose/1"

    def __init__(self, level: float) -> None:
        self.level = level


class GivesLoose(Plain):
    gives = (Loose,)


class AwaitedSink(EventSink[Options]):
    def open(self, context: SinkContext) -> None:
        pass

    async def write(self, events: Sequence[Event]) -> None:  # type: ignore[override]
        pass

    def flush(self) -> None:
        pass


class AwaitedSource(PictureSource[Options]):
    def open(self, context: SourceContext) -> InputInfo:
        return InputInfo(identity="x", live=False)

    async def frames(self) -> AsyncIterator[DecodedFrame | None]:  # type: ignore[override]
        yield None


@pytest.mark.parametrize(
    ("cls", "words"),
    [
        (NoTuple, "expected a tuple: needs = (Detections,)"),
        (NoOptions, "its options are Model, which must be derived from streamproc.Options"),
        (NoArgument, "its __init__ must take the options alone"),
        (AwaitedState, "state is `async def`, but is called without await"),
        (Seconds, "the default of its option `hold` is 5 nanoseconds; if seconds are meant, write seconds(5)"),
        (Text, "the default of its option `hold` is '2s', expected nanoseconds; write seconds(2)"),
        (Beyond, "the default of its option `limit` is 5, input should be less than or equal to 1"),
        (GivesLoose, "is a result without a declaration of its fields; write @dataclass"),
    ],
)
def test_mistake_in_a_plugin_class_is_found_early(cls: type[Any], words: str) -> None:
    with pytest.raises(PluginError) as caught:
        Registry().plugin(f"{__name__}:{cls.__name__}")
    assert words in str(caught.value)
    named = Loose if cls is GivesLoose else cls
    assert f"(test_classes.py:{inspect.getsourcelines(named)[1]})" in str(caught.value)


def test_async_sink_or_source_is_refused() -> None:
    with pytest.raises(PluginError, match="write is `async def`"):
        Registry().sink(f"{__name__}:AwaitedSink")
    with pytest.raises(PluginError, match="frames is `async def`"):
        Registry().source(f"{__name__}:AwaitedSource")


def check(cls: type[Any], options: str = "") -> None:
    given = f", options: {options}" if options else ""
    load_text(f"""
version: 1
streams: {{a: {{source: {{type: synthetic}}, chain: [p]}}}}
plugins: {{p: {{type: "{__name__}:{cls.__name__}"{given}}}}}
""")


@pytest.mark.parametrize(
    ("cls", "options", "words"),
    [
        (Forgets, "", r"its __init__ lacks super\(\).__init__\(options\)"),
        (Raises, "", "its __init__ failed: OSError: no weights here"),
        (Unnamed, "{limit: 5}", r"takes no options, got limit; .*: class Unnamed\(FramePlugin\[UnnamedOptions\]\)"),
    ],
)
def test_check_constructs_an_object_and_reports_mistakes(cls: type[Any], options: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check(cls, options)


def test_right_classes_are_right() -> None:
    check(Plain)
    check(Unnamed)


@pytest.mark.parametrize("stride", [0.5, 1, 2, 1.0])
def test_a_stride_in_seconds_is_refused(stride: float) -> None:
    with pytest.raises(ValueError, match=rf"{stride:g} seconds are seconds\({stride:g}\)"):
        ClipSpec(frames=8, rate=10, stride_ns=stride, size=(64, 36))  # type: ignore[arg-type]
    assert ClipSpec(frames=8, rate=10, stride_ns=seconds(stride), size=(64, 36)).stride_ns == stride * 1e9


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"stride_ns": "1s"}, r"stride_ns is '1s', expected .*: seconds\(1.5\)"),
        ({"frames": 8.0}, "frames is 8.0, expected a whole number"),
        ({"rate": float("nan")}, "rate is nan, expected pictures per second"),
        ({"rate": "10"}, "rate is '10', expected pictures per second"),
        ({"size": 64}, r"size is 64, expected whole numbers \(width, height\)"),
        ({"size": (64.5, 48)}, r"size is \(64.5, 48\), expected whole numbers"),
        ({"region": (0, 0, 1)}, "is no part of a picture"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_impossible_clip_is_refused_with_advice(wrong: Any, words: str) -> None:
    right: Any = {"frames": 8, "rate": 10, "stride_ns": seconds(1), "size": (64, 36)}
    assert ClipSpec(**right)
    with pytest.raises(ValueError, match=words):
        ClipSpec(**{**right, **wrong})


class Mine(Detections):
    pass


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Own(Result):
    schema = "tests.own/1"
    level: float


class GivesBoth(Plain):
    gives = (Mine, Own)


def test_a_result_may_add_nothing_to_another() -> None:
    assert check_plugin(GivesBoth) is GivesBoth
