"""What hides the source's picture hides it from everything behind it, and most of all where it fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

from streamproc import (
    ClipPlugin,
    ClipSpec,
    Event,
    Frame,
    FramePlugin,
    Options,
    Output,
    PluginError,
    Replacement,
    Results,
    StreamPlugin,
)
from streamproc.config.plan import SinkPlan
from streamproc.engine import Engine
from streamproc.plugin import check_plugin
from streamproc.sink import FrameSink, SinkContext
from streamproc.testing import ListSink, make_frame, make_info, make_plan, plugin_plan
from streamproc.testing.fakes import ListSinkOptions
from tests.engine.plugins import HANG
from tests.engine.running import listed, run_engine

INFO = make_info(width=32, height=24, rate=10)
SECRET, HIDDEN = 200, 50


@pytest.fixture(autouse=True)
def let_go() -> Iterator[None]:
    HANG.clear()
    yield
    HANG.set()


class Hide(StreamPlugin[Options]):
    """Replaces every picture by a plain one."""

    pixels = True
    gives = (Replacement,)

    def process(self, frame: Frame, past: Results) -> Output:
        assert frame.rgb.max() == SECRET
        yield Replacement(rgb=np.full(frame.rgb.shape, HIDDEN, np.uint8))


class Failing(Hide):
    def process(self, frame: Frame, past: Results) -> Output:
        if frame.index % 2:
            raise ValueError("no idea who is there")
        return super().process(frame, past)


class Silent(Hide):
    def process(self, frame: Frame, past: Results) -> Output:
        return ()


class WrongSize(Hide):
    def process(self, frame: Frame, past: Results) -> Output:
        yield Replacement(rgb=np.full((5, 5, 3), HIDDEN, np.uint8))


class Hanging(Hide):
    def process(self, frame: Frame, past: Results) -> Output:
        if frame.index == 2:
            HANG.wait(60)
        return super().process(frame, past)


class LookPure(FramePlugin[Options]):
    """Emits the brightest pixel that it gets."""

    def process(self, frame: Frame, past: Results) -> Output:
        yield Event.instant(frame, "seen.pure", level=int(frame.rgb.max()), gray=int(frame.gray.max()))


class LookOrdered(StreamPlugin[Options]):
    pixels = True

    def process(self, frame: Frame, past: Results) -> Output:
        yield Event.instant(frame, "seen.ordered", level=int(frame.resized(8, 8).max()))


class Frames(FrameSink[Options]):
    """Collects the brightest pixel of each frame."""

    by_plugin: ClassVar[list[int]] = []

    def open(self, context: SinkContext) -> None:
        self.by_plugin.clear()

    def write(self, frames: Sequence[Frame]) -> None:
        self.by_plugin.extend(int(frame.rgb.max()) for frame in frames)

    def flush(self) -> None:
        pass


def levels(tmp_path: Path, cls: type[Any], **settings: Any) -> dict[str, list[int]]:
    """Return the brightest pixel that each plugin and sink behind `cls` gets, frame by frame."""
    frames = [make_frame(fill=SECRET, index=n, info=INFO) for n in range(6)]
    hide = plugin_plan(cls, name="hide", settings=settings)
    chain = [plugin_plan(LookPure, name="before"), hide, plugin_plan(LookOrdered), plugin_plan(LookPure, name="behind")]
    plan = make_plan(chain, frames, state=tmp_path)
    sink_plan = SinkPlan(name="frames", cls=Frames, options=Options())
    plan = replace(plan, streams=(replace(plan.streams[0], sinks=("frames",)),), sinks=(sink_plan,))
    sink = ListSink(ListSinkOptions(thumbnails=True))
    run_engine(Engine(plan, extra=[listed(sink)]))
    by_plugin: dict[str, list[int]] = {"frames": list(Frames.by_plugin), "thumbnail": []}
    for event in sink.events:
        by_plugin.setdefault(event.plugin, []).append(event.data["level"])
        for picture in event.attachments:
            shown = np.asarray(cv2.imdecode(np.frombuffer(picture.data, np.uint8), cv2.IMREAD_COLOR))
            by_plugin["thumbnail"].append(int(shown.max()))
    return by_plugin


def test_replacement_covers_everything_behind_and_nothing_before(tmp_path: Path) -> None:
    by_plugin = levels(tmp_path, Hide)
    assert by_plugin.pop("before") == [SECRET] * 6
    assert {name: set(found) for name, found in by_plugin.items()} == {
        name: {HIDDEN} for name in ("frames", "thumbnail", "lookordered", "behind")
    }
    assert len(by_plugin["frames"]) == 6


@pytest.mark.parametrize(
    ("cls", "settings", "expected"),
    [
        (Failing, {}, [HIDDEN, 0] * 3),
        (Failing, {"on_error": "disable"}, [HIDDEN, 0, 0, 0, 0, 0]),
        (Silent, {}, [0] * 6),
        (WrongSize, {}, [0] * 6),
        (Hide, {"rate": 5.0}, [HIDDEN, 0] * 3),
    ],
)
def test_without_a_replacement_the_picture_is_black(
    tmp_path: Path, cls: type[Any], settings: dict[str, Any], expected: list[int]
) -> None:
    by_plugin = levels(tmp_path, cls, **settings)
    assert by_plugin.pop("before") == [SECRET] * 6
    assert by_plugin["frames"] == by_plugin["lookordered"] == by_plugin["behind"] == expected
    assert max(by_plugin["thumbnail"]) <= HIDDEN + 3


@pytest.mark.logs_errors
@pytest.mark.leaves_threads
def test_one_that_hangs_lets_nothing_through(tmp_path: Path) -> None:
    by_plugin = levels(tmp_path, Hanging, timeout_ns=200_000_000)
    assert by_plugin["frames"] == by_plugin["behind"] == [HIDDEN, HIDDEN, 0, 0, 0, 0]


def test_a_pure_plugin_may_not_replace_pictures() -> None:
    class Pure(FramePlugin[Options]):
        gives = (Replacement,)

        def process(self, frame: Frame, past: Results) -> Output:
            return ()

    with pytest.raises(PluginError, match="gives Replacement, which only a StreamPlugin may"):
        check_plugin(Pure)


def test_a_clip_plugin_behind_it_is_refused(tmp_path: Path) -> None:
    class Clips(ClipPlugin[Options]):
        def clip(self) -> ClipSpec:
            return ClipSpec(frames=2, rate=10, stride_ns=10**8, size=(8, 8))

        def process(self, clip: Any, past: Results) -> Output:
            return ()

    frames = [make_frame(info=INFO)]
    with pytest.raises(ValueError, match="made of the source's own pictures, which hide hides; put it before hide"):
        make_plan([plugin_plan(Hide), plugin_plan(Clips)], frames, state=tmp_path)
    assert make_plan([plugin_plan(Clips), plugin_plan(Hide)], frames, state=tmp_path).streams
