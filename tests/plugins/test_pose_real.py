"""Poses by the real nets on real pictures and footage, against a person's view of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from streamproc import Detections, Poses
from streamproc.models import ModelStore
from streamproc.testing import make_frame, run_plugin
from streamproc_plugins.detection import Detection
from streamproc_plugins.pose import Pose, PoseEvents, PoseSmoothing
from streamproc_plugins.pose.matching import alike
from streamproc_plugins.pose.posture import hands_height, lean_deg
from tests.plugins.real import run_text

pytestmark = pytest.mark.real


def picture(shared: Path, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    bgr = cv2.imread(str(shared / "models" / "pictures" / name))
    assert bgr is not None
    return np.ascontiguousarray(bgr[..., ::-1], np.uint8)


def store(shared: Path, tmp_path: Path) -> ModelStore:
    return ModelStore(mirrors=[shared / "models"], cache=tmp_path / "cache", download=False)


@pytest.mark.parametrize(("name", "people"), [("squat.bmp", 1), ("posenet_test_image.bmp", 2)])
def test_both_modes_agree_on_clear_people(shared: Path, tmp_path: Path, name: str, people: int) -> None:
    models, frame = store(shared, tmp_path), make_frame(rgb=picture(shared, name))
    (boxes,) = run_plugin(Detection, [frame], models=models, labels=["person"]).all(Detections)
    (each,) = run_plugin(Pose, [frame], past=[[boxes]], models=models).all(Poses)
    (whole,) = run_plugin(Pose, [frame], models=models, mode="bottom-up").all(Poses)
    assert len(each.score) == len(whole.score) == people
    fit = alike(each.keypoints, whole.keypoints)
    assert fit.max(axis=1).min() > 0.75
    assert sorted(fit.argmax(axis=1).tolist()) == list(range(people))
    for points in (*each.keypoints, *whole.keypoints):
        lean = lean_deg(points, 0.3)
        assert lean is not None
        assert lean < 40
        assert max(hands_height(points, 0.3)) < 0


def test_smoothing_steadies_a_still_person(shared: Path, tmp_path: Path) -> None:
    rng, rgb = np.random.default_rng(0), picture(shared, "squat.bmp")
    noisy = [np.clip(rgb + rng.normal(0, 12, rgb.shape), 0, 255).astype(np.uint8) for _ in range(20)]
    frames = [make_frame(rgb=one, index=index) for index, one in enumerate(noisy)]
    raw = run_plugin(Pose, frames, models=store(shared, tmp_path), mode="bottom-up").all(Poses)
    steady = run_plugin(PoseSmoothing, frames, past=[[one] for one in raw]).all(Poses)

    def jitter(found: list[Poses]) -> float:
        return float(np.abs(np.diff([one.keypoints[0, :, :2] for one in found[5:]], axis=0)).mean())

    assert jitter(steady) < 0.6 * jitter(raw)


def test_raised_hand_on_the_sofa_has_its_times(shared: Path, tmp_path: Path) -> None:
    video = cv2.VideoCapture(str(shared / "media" / "gestures_seated_person.mp4"))
    read = [video.read()[1] for _ in range(162)]
    video.release()
    frames = [
        make_frame(rgb=np.ascontiguousarray(read[i][..., ::-1], np.uint8), index=i, pts_s=(i - 100) / 16)
        for i in range(100, 162, 2)
    ]
    found = run_plugin(Pose, frames, models=store(shared, tmp_path), mode="bottom-up").all(Poses)
    start, end = run_plugin(PoseEvents, frames, past=[[one] for one in found]).events
    assert (start.type, start.phase, end.phase) == ("pose.raised_hands", "start", "end")
    # 16 frames a second, the first given at time 0; the hand is above the face from about frame 119 to 143
    assert end.end_ns is not None
    assert abs(start.start_ns / 1e9 - 19 / 16) < 0.25
    assert abs(end.end_ns / 1e9 - 43 / 16) < 0.25


def test_walker_neither_falls_nor_raises_a_hand(shared: Path, tmp_path: Path) -> None:
    text = f"""
    version: 1
    streams:
      park:
        source: {{type: file, options: {{path: {shared}/media/cctv_parking_person_7s.mp4}}}}
        rate: 5
        chain: [people, tracks, pose, steady, told]
    plugins:
      people: {{type: detection, options: {{labels: [person], min_score: 0.1}}}}
      tracks: {{type: tracking}}
      pose: {{type: pose}}
      steady: {{type: pose_smoothing}}
      told: {{type: pose_events, inputs: {{poses: steady}}}}
    """
    assert run_text(text, tmp_path, shared / "models") == []
