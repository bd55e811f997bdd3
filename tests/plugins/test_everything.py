"""`configs/everything.yaml`: most families in one chain, over a few seconds of real footage."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from streamproc.config import load
from streamproc.config.plan import SinkPlan
from streamproc.engine import Engine
from streamproc.media import VideoWriter
from streamproc.models import ModelStore
from streamproc.testing import ListSink
from streamproc.testing.fakes import ListSinkOptions

CONFIG = Path(__file__).parents[2] / "configs" / "everything.yaml"
FIRST, LAST = 104, 160
"""used frames of the clip: a hand goes up and down within them"""


@pytest.fixture
def hand_raised(shared: Path, tmp_path: Path) -> Path:
    """3.5 s at 16 frames a second."""
    path = tmp_path / "raised.mp4"
    writer = VideoWriter(str(path))
    with av.open(str(shared / "media" / "gestures_seated_person.mp4")) as video:
        for index, picture in enumerate(video.decode(video=0)):
            if FIRST <= index < LAST:
                writer.write(np.asarray(picture.to_ndarray(format="rgb24"), np.uint8), (index - FIRST) * 62_500_000)
    writer.close()
    return path


@pytest.mark.real
def test_most_families_work_in_one_chain(
    shared: Path, hand_raised: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = load(CONFIG, environment={"SOURCE": str(hand_raised)})
    plan = replace(plan, runtime=replace(plan.runtime, state=tmp_path / "state"))
    sink = ListSink()
    extra = [(SinkPlan(name="list", cls=ListSink, options=ListSinkOptions()), sink)]
    store = ModelStore(mirrors=[shared / "models"], cache=tmp_path / "cache", download=False)
    report = Engine(plan, models=store, extra=extra).run()
    (stream,) = report.streams
    assert (stream.error, report.exit_code) == ("", 0)
    # no more than every other one: the clips of `gestures` end on frames that all plugins process
    assert (stream.ledger.observed, stream.ledger.total("processed")) == (56, 28)
    assert len(stream.plugins) == len(plan.streams[0].chain) == 16
    for plugin in stream.plugins:
        assert plugin.off == ""
        assert plugin.verdicts["ok"] > 0, plugin.name
        assert set(plugin.verdicts) <= {"ok", "missing"}, plugin.name
    emitted = Counter((event.type, event.phase) for event in sink.events)
    assert emitted["zone.entered", "start"] == emitted["pose.raised_hands", "start"] == emitted["shot", "start"] == 1
    gestures = {event.data["label"] for event in sink.events if event.type == "action.seen"}
    assert gestures & {"Sliding two fingers up", "Sliding two fingers down"}
    (caption, *_) = (event.data["text"] for event in sink.events if event.type == "caption")
    assert "A person raises a hand." in caption
    assert "The action looks like sliding two fingers" in caption
    with av.open("out/clip.mp4") as video:
        assert len(list(video.decode(video=0))) == 28
