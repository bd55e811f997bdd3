"""The action plugins on real footage: gestures with 3-D ShuffleNet, optical flow beside published TV-L1."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from streamproc import Classification
from streamproc.models import ModelStore
from streamproc.testing import make_frame, make_info, run_plugin
from streamproc_plugins.action import Action
from streamproc_plugins.action.flow import flow_agreement

pytestmark = pytest.mark.real

RATE = 16.0
GESTURES = [
    (108, 1, "Sliding two fingers up", 0.94),
    (124, 1, "No gesture", 0.91),
    (140, 1, "Sliding two fingers down", 0.94),
    (208, 1, "Sliding two fingers left", 0.53),
    (240, 2, "Sliding two fingers right", 0.69),
    (192, 1, "No gesture", 0.93),
]
"""first frame of the window, step in frames, gesture, its score"""


def pictures(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as video:
        return [np.asarray(frame.to_ndarray(format="rgb24")) for frame in video.decode(video=0)]


def test_six_gestures_are_named_as_published(shared: Path) -> None:
    observed = pictures(shared / "media" / "gestures_seated_person.mp4")
    store = ModelStore(mirrors=[shared / "models"], download=False)
    info = make_info(width=640, height=480, rate=RATE)
    region = [190 / 640, 40 / 480, 490 / 640, 265 / 480]
    for first, step, label, score in GESTURES:
        window = observed[first : first + 16 * step : step]
        frames = [make_frame(rgb=rgb, index=i, pts_s=i * step / RATE, info=info) for i, rgb in enumerate(window)]
        options: dict[str, Any] = {"model": "shufflenet3d-jester", "region": region, "rate": RATE / step}
        run = run_plugin(Action, frames, models=store, ignore=["No gesture"], **options)
        (found,) = run.all(Classification)
        assert found.label[0] == label
        assert found.score[0] == pytest.approx(score, abs=0.01)
        assert [event.data["label"] for event in run.events] == ([] if label == "No gesture" else [label])


@pytest.mark.parametrize(("method", "u", "v", "off_px"), [("dis", 0.93, 0.82, 0.6), ("farneback", 0.9, 0.77, 0.8)])
def test_flow_agrees_with_published_tvl1(shared: Path, method: Any, u: float, v: float, off_px: float) -> None:
    from streamproc.chain.flow import picture_flow
    from streamproc.config.plan import FlowPlan
    from streamproc.frames import ArrayPicture

    observed = pictures(shared / "media" / "sport_cricket_shot.gif")
    shown = np.stack(pictures(shared / "media" / "sport_cricket_shot_flow.gif")).astype(np.float32)
    truth = (shown[..., :2] / 255 - 0.5) * 20
    grey = [ArrayPicture(rgb).to_gray() for rgb in observed]
    plan = FlowPlan(method=method, preset="medium")
    ours = np.stack([picture_flow(plan, a, b)[0] for a, b in pairwise(grey)])
    truth = truth[: len(ours)]
    moving = np.hypot(truth[..., 0], truth[..., 1]) > 1  # a sixteenth of the picture; the rest stands still
    along, across, off = flow_agreement(ours[moving], truth[moving])
    assert along >= u
    assert across >= v
    assert off <= off_px
