"""Loitering in real footage, over absences longer than the tracker waits."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from streamproc import Frame
from streamproc.models import ModelStore
from streamproc.testing import make_frame, plugin_plan, run_chain
from streamproc_plugins.detection import Detection
from streamproc_plugins.rules import Rules
from streamproc_plugins.tracking import Appearance, Tracking

pytestmark = pytest.mark.real

ZONES = {"hall": {"polygon": [[0, 0], [1, 0], [1, 1], [0, 1]], "loitering": {"for": "8s", "absence": "5s"}}}


def played(path: Path, parts: list[tuple[float, float, float, int]]) -> list[Frame]:
    """Frames of a 10 fps recording, three in a second: from, to, when the part is played, and pixels to the left."""
    frames: list[Frame] = []
    with av.open(str(path)) as container:
        for picture in container.decode(video=0):
            for first, last, at, left in parts:
                if first <= picture.time < last and round(picture.time * 10) % 3 == 0:
                    rgb = np.roll(np.asarray(picture.to_ndarray(format="rgb24"), np.uint8), -left, axis=1)
                    frames.append(make_frame(rgb=rgb, index=len(frames), pts_s=picture.time - first + at))
            if picture.time > max(last for _, last, _, _ in parts):
                break
    return frames


@pytest.mark.parametrize(
    ("second", "left", "looks", "one"),
    [(33, 300, True, True), (33, 300, False, False), (57, 0, True, False)],
    ids=["the same elsewhere", "the same elsewhere, without looks", "another at the same place"],
)
def test_looks_decide_whether_a_stay_goes_on(
    second: float, left: int, looks: bool, one: bool, shared: Path, tmp_path: Path
) -> None:
    path = shared / "media" / "cctv_one_by_one.mp4"
    frames = played(path, [(27, 32, 0, 0), (second, second + 5, 9, left)])
    store = ModelStore(mirrors=[shared / "models"], cache=tmp_path, download=False)
    chain = [
        plugin_plan(Detection, model="yolox-nano", labels=["person"]),
        *([plugin_plan(Appearance)] if looks else []),
        plugin_plan(Tracking), plugin_plan(Rules, zones=ZONES, update_every="0s"),
    ]  # fmt: skip
    events = run_chain(chain, frames, models=store).events
    assert len([event for event in events if event.type == "zone.entered" and event.phase == "end"]) == 2
    starts = [event for event in events if event.type == "zone.loitering" and event.phase == "start"]
    assert len(starts) == one
    for event in starts:
        assert event.start_ns / 1e9 < 1
        assert event.pts_ns / 1e9 == pytest.approx(9.5, abs=0.5)
