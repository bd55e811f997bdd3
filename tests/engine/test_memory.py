"""Memory: flat over many frames, bounded where a consumer is slow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ConfigDict

from streamproc import Frame, FramePlugin, Options, Output, Results
from streamproc.config.plan import Plan, RuntimePlan, SinkPlan, StreamPlan
from streamproc.config.wiring import wire
from streamproc.engine import Engine
from streamproc.frames import ArrayPicture
from streamproc.options import Field
from streamproc.sinks.jsonl import JsonlSink
from streamproc.source import DecodedFrame, InputInfo, PictureSource, SourceContext
from streamproc.testing import plugin_plan
from tests.engine.plugins import ClipMean, Level, Tell
from tests.engine.running import closed, run_engine

MIB = 2**20


def resident() -> int:
    """Bytes of memory that this process has in use right now."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * 4096


pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc: memory is read from it")


class MadeOptions(Options):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)
    count: int = Field(description="how many pictures")
    size: tuple[int, int] = Field((64, 48), description="(width, height)")
    look: Any = Field(lambda index: None, description="called with the index of each picture")


class Made(PictureSource[MadeOptions]):
    """Makes its pictures as they are asked for."""

    def open(self, context: SourceContext) -> InputInfo:
        return InputInfo(identity="made", live=False)

    def frames(self) -> Iterator[DecodedFrame | None]:
        width, height = self.options.size
        for index in range(self.options.count):
            self.options.look(index)
            picture = ArrayPicture(np.full((height, width, 3), index % 256, np.uint8))
            yield DecodedFrame(picture=picture, pts_ns=40_000_000 * index)


class Grey(FramePlugin[Options]):
    """Gives the mean grey level."""

    gives = (Level,)

    def process(self, frame: Frame, past: Results) -> Output:
        yield Level(value=float(frame.gray.mean()))


def run(state: Path, chain: list[Any], count: int, look: Callable[[int], None], **stream: Any) -> Any:
    wired, issues = wire(chain)
    assert not issues
    options = MadeOptions(count=count, look=look, size=stream.pop("size", (64, 48)))
    log = SinkPlan(name="log", cls=JsonlSink, options=JsonlSink.options_type.model_validate({"path": str(state / "e")}))
    plan = StreamPlan(name="made", source=Made, source_options=options, chain=wired, sinks=("log",), **stream)
    engine = Engine(Plan(streams=(plan,), sinks=(log,), runtime=RuntimePlan(workers=2, state=state)))
    return run_engine(engine), engine


def test_memory_is_flat_over_twenty_thousand_frames(tmp_path: Path) -> None:
    at: dict[int, int] = {}

    def look(index: int) -> None:
        if index in (2_000, 19_999):
            at[index] = resident()

    chain = [plugin_plan(Grey), plugin_plan(Tell), plugin_plan(ClipMean)]
    report, _ = run(tmp_path, chain, 20_000, look)
    assert report.streams[0].ledger.total("processed") == 20_000
    assert report.sinks[0].delivered > 20_000
    assert at[19_999] - at[2_000] < 30 * MIB


def test_slow_plugin_on_large_pictures_respects_the_buffer(tmp_path: Path) -> None:
    peak = [0]
    before = resident()

    class Slow(FramePlugin[Options]):
        """Looks at every form of the picture, and takes its time."""

        def process(self, frame: Frame, past: Results) -> Output:
            np.sort(np.random.default_rng(frame.index).random(300_000))
            peak[0] = max(peak[0], resident() + 0 * (frame.rgb.size + frame.gray.size))
            return []

    buffer = 32 * MIB
    report, engine = run(tmp_path, [plugin_plan(Slow)], 80, lambda index: None, size=(1920, 1080), buffer_bytes=buffer)
    assert closed(report)
    assert report.streams[0].ledger.total("processed") == 80
    assert engine.live_streams()[0].credits.peak_bytes <= buffer
    # the source's next picture and what the plugin itself makes come on top
    assert peak[0] - before < 2 * buffer + 30 * MIB
