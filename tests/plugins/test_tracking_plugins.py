"""`tracking`, `camera_motion` and `appearance` as a chain runs them."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from streamproc import Detections, Flow, Frame, PluginContext, Result, Results, Tracks
from streamproc.events import Moment
from streamproc.models import ModelStore
from streamproc.testing import make_detections, make_frame, make_frames, make_info, run_plugin
from streamproc_plugins.tracking import (
    Appearance,
    AppearanceOptions,
    CameraMotion,
    CameraMotionOptions,
    CameraMotionPlugin,
    Embeddings,
    Tracking,
    TrackingOptions,
)
from streamproc_plugins.tracking.camera_motion import common_motion

INFO = make_info(width=640, height=480, rate=10)


def walker(index: int) -> Detections:
    return make_detections((100 + 5 * index, 100, 140 + 5 * index, 200))


def past(*results: Result) -> Results:
    return Results({(f"p{n}", type(result)): result for n, result in enumerate(results)})


def step(plugin: Tracking, frame: Frame, *results: Result) -> Tracks:
    (tracks,) = plugin.process(frame, past(*results)) or ()
    assert isinstance(tracks, Tracks)
    return tracks


def test_detections_become_tracks_in_the_engine() -> None:
    frames = make_frames(20, info=INFO)
    run = run_plugin(Tracking, frames, past=[[walker(i)] for i in range(20)])
    tracks = run.all(Tracks)
    assert [len(t) for t in tracks] == [0] + [1] * 19
    last = tracks[-1]
    assert (last.track_id.tolist(), last.state, last.label) == ([1], ("confirmed",), ("person",))
    assert last.xyxy[0] == pytest.approx([195, 100, 235, 200], abs=1)
    assert last.velocity[0] == pytest.approx([50, 0], abs=5)
    assert last.age_ns.tolist() == [1_900_000_000]


def test_class_ids_and_labels_stay_with_their_tracks() -> None:
    found = Detections.of(
        np.array([[10, 10, 60, 60], [300, 100, 340, 200]]), np.array([0.9, 0.8]), ["car", "person"], np.array([2, 0])
    )
    plugin = Tracking(TrackingOptions())
    for frame in make_frames(5, info=INFO):
        tracks = step(plugin, frame, found)
    assert tracks.label == ("car", "person")
    assert tracks.class_id.tolist() == [2, 0]
    assert tracks.score == pytest.approx([0.9, 0.8])


def test_only_wanted_labels_are_followed() -> None:
    found = Detections.of(np.array([[10, 10, 60, 60], [300, 100, 340, 200]]), np.array([0.9, 0.8]), ["car", "person"])
    plugin = Tracking(TrackingOptions(labels=("person",)))
    for frame in make_frames(5, info=INFO):
        tracks = step(plugin, frame, found)
    assert tracks.label == ("person",)


def test_tentative_tracks_are_given_on_request() -> None:
    frame = make_frame(info=INFO)
    assert len(step(Tracking(TrackingOptions()), frame, walker(0))) == 0
    assert step(Tracking(TrackingOptions(show_tentative=True)), frame, walker(0)).state == ("tentative",)


def test_restart_gives_the_same_ids_and_bytes() -> None:
    frames = make_frames(30, info=INFO)
    whole, first, second = (Tracking(TrackingOptions()) for _ in range(3))
    expected = [step(whole, frame, walker(frame.index)) for frame in frames]
    for frame in frames[:15]:
        step(first, frame, walker(frame.index))
    second.restore(json.loads(json.dumps(first.state())))
    for frame, want in zip(frames[15:], expected[15:], strict=True):
        got = step(second, frame, walker(frame.index))
        assert got.xyxy.tobytes() == want.xyxy.tobytes()
        assert (got.track_id.tolist(), got.label, got.age_ns.tolist()) == (
            want.track_id.tolist(),
            want.label,
            want.age_ns.tolist(),
        )


@pytest.mark.parametrize(("reason", "later_s", "same"), [("idle", 2, True), ("idle", 3, False), ("cut", 0.2, False)])
def test_pauses_age_tracks_and_cuts_end_them(reason: str, later_s: float, same: bool) -> None:
    plugin = Tracking(TrackingOptions())
    frames = make_frames(10, info=INFO)
    for frame in frames:
        step(plugin, frame, walker(0))
    at = frames[-1].pts_ns + round(later_s * 1e9)
    plugin.on_time(Moment(pts_ns=at, frame_index=9), reason)  # type: ignore[arg-type]
    for index in (0, 1):
        tracks = step(plugin, make_frame(info=INFO, index=10 + index, pts_s=at / 1e9 + index / 10), walker(0))
    assert tracks.track_id.tolist() == [1 if same else 2]


def test_camera_motion_covers_the_time_between_frames() -> None:
    # the camera moves 40 pixels a source frame of 1/20 s; tracking gets every second frame, so 80 pixels
    shift = np.array([[1.0, 0, 40], [0, 1, 0]])
    motion = CameraMotion(affine=shift, dt_ns=50_000_000, support=0.9)
    plugin = Tracking(TrackingOptions(camera_from_boxes=False))
    for frame in make_frames(6, info=INFO):
        left = 20 + 80 * frame.index
        tracks = step(plugin, frame, make_detections((left, 100, left + 30, 180)), motion)
    assert tracks.track_id.tolist() == [1]
    assert tracks.velocity[0] == pytest.approx([0, 0], abs=5)


def test_embeddings_of_other_detections_are_refused() -> None:
    plugin = Tracking(TrackingOptions())
    with pytest.raises(ValueError, match="2 embeddings for 1 detections"):
        plugin.process(make_frame(info=INFO), past(walker(0), Embeddings(values=np.eye(2, 4, dtype=np.float32))))


def test_tracks_carry_embeddings_over_a_restart() -> None:
    looks = np.eye(2, 4, dtype=np.float32)
    two = make_detections((100, 100, 140, 200), (400, 100, 440, 200))
    first, second = Tracking(TrackingOptions()), Tracking(TrackingOptions())
    frames = make_frames(8, info=INFO)
    for frame in frames[:6]:
        tracks = step(first, frame, two, Embeddings(values=looks))
    assert tracks.embeddings is not None
    assert tracks.embeddings.tolist() == looks.tolist()
    second.restore(json.loads(json.dumps(first.state())))
    turned = Embeddings(values=looks[:, ::-1].copy())
    for frame in frames[6:]:
        one, other = (step(plugin, frame, two, turned).embeddings for plugin in (first, second))
        assert one is not None
        assert other is not None
        assert one.tobytes() == other.tobytes()
        assert np.linalg.norm(one, axis=1) == pytest.approx(1)


def test_tracks_without_embeddings_have_none() -> None:
    plugin = Tracking(TrackingOptions())
    for frame in make_frames(3, info=INFO):
        tracks = step(plugin, frame, walker(0))
    assert len(tracks) == 1
    assert tracks.embeddings is None


def test_scores_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValidationError, match="none may be below the one before"):
        TrackingOptions(high_score=0.7, new_score=0.5)


def field(affine: Sequence[Sequence[float]], width: int = 160, height: int = 90) -> NDArray[np.float32]:
    """The flow of a picture that moves by this affine as a whole."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    points = np.stack([x, y, np.ones_like(x)], axis=-1)
    return np.asarray(points @ np.array(affine).T - points[..., :2], np.float32)


def test_common_motion_is_found_beside_other_motion() -> None:
    uv = field([[1, 0, 3], [0, 1, -2]])
    uv[20:70, 40:90] = (-6, 1)
    affine, support = common_motion(Flow(uv=uv, dt_ns=1, scale=0.25), 1.5, 0.4)
    assert affine == pytest.approx(np.array([[1, 0, 12], [0, 1, -8]]), abs=1e-3)
    assert support == pytest.approx(1 - 50 * 50 / (160 * 90), abs=0.05)


def test_turn_and_zoom_are_found() -> None:
    true = [[1.02, -0.03, 2], [0.03, 1.02, -1]]
    affine, support = common_motion(Flow(uv=field(true), dt_ns=1), 1.5, 0.4)
    assert affine == pytest.approx(np.array(true), abs=1e-3)
    assert support == 1


def test_no_common_motion_means_a_still_camera() -> None:
    uv = np.random.default_rng(5).normal(0, 30, (90, 160, 2)).astype(np.float32)
    affine, support = common_motion(Flow(uv=uv, dt_ns=1), 1.5, 0.4)
    assert affine.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert support == 0
    nowhere = Flow(uv=field([[1, 0, 3], [0, 1, 0]]), dt_ns=1, valid=np.zeros((90, 160), np.bool_))
    assert common_motion(nowhere, 1.5, 0.4)[1] == 0


def test_camera_motion_keeps_the_time_between_its_frames() -> None:
    flow = Flow(uv=field([[1, 0, 3], [0, 1, 0]]), dt_ns=40_000_000)
    plugin = CameraMotionPlugin(CameraMotionOptions())
    (motion,) = plugin.process(make_frame(info=INFO), Results({("flow", Flow): flow})) or ()
    assert isinstance(motion, CameraMotion)
    assert motion.dt_ns == 40_000_000
    assert motion.over(80_000_000)[:, 2] == pytest.approx([6, 0], abs=1e-3)
    assert CameraMotion.from_arrow(motion.to_arrow()).affine.tolist() == motion.affine.tolist()


def test_a_panning_camera_is_measured_in_the_engine() -> None:
    import cv2

    noise = np.random.default_rng(1).random((360, 900), np.float32) * 255
    wall = np.repeat(cv2.GaussianBlur(noise, (0, 0), sigmaX=4).astype(np.uint8)[:, :, None], 3, axis=2)
    info = make_info(width=640, height=360, rate=10)
    frames = [
        make_frame(rgb=np.ascontiguousarray(wall[:, 6 * i : 6 * i + 640]), index=i, info=info) for i in range(6)
    ]  # the camera turns right: the picture moves left
    motions = run_plugin(CameraMotionPlugin, frames).all(CameraMotion)
    assert len(motions) == 5
    for motion in motions:
        assert motion.affine[:, :2] == pytest.approx(np.eye(2), abs=2e-3)
        assert motion.affine[:, 2] == pytest.approx([-6, 0], abs=0.3)
        assert motion.dt_ns == 100_000_000


def opened(model: str, models: Path) -> Appearance:
    plugin = Appearance(AppearanceOptions(model=model, min_height=100))
    store = ModelStore(mirrors=[models], download=False)
    plugin.open(PluginContext(name="looks", stream=INFO, models=store, log=logging.getLogger("test")))
    return plugin


def people(shared: Path, frames: Sequence[int]) -> list[Detections]:
    """The pedestrians well visible in all of these frames of a street scene, in one order."""
    table = np.loadtxt(shared / "media" / "mot_MOT17-04_first8.gt.txt", delimiter=",")
    table = table[(table[:, 7] == 1) & (table[:, 8] > 0.85) & (table[:, 5] > 100)]
    parts = [{int(row[1]): row[2:6] for row in table[table[:, 0] == frame]} for frame in frames]
    names = sorted(set.intersection(*(set(part) for part in parts)))[:12]
    return [make_detections(*[(x, y, x + w, y + h) for x, y, w, h in (part[n] for n in names)]) for part in parts]


def pictures(path: Path) -> list[NDArray[np.uint8]]:
    import av

    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)]


@pytest.mark.real
@pytest.mark.parametrize("model", ["reid-0267", "osnet-x0-25"])
def test_person_is_most_like_the_same_person(shared: Path, model: str) -> None:
    clip = pictures(shared / "media" / "mot_MOT17-04_first8.mp4")
    plugin = opened(model, shared / "models")
    first, last = people(shared, (1, 7))
    (early,) = plugin.process(make_frame(rgb=clip[0]), past(first)) or ()
    (late,) = plugin.process(make_frame(rgb=clip[6]), past(last)) or ()
    assert isinstance(early, Embeddings)
    assert isinstance(late, Embeddings)
    assert np.linalg.norm(early.values, axis=1) == pytest.approx(1)
    cosine = early.values @ late.values.T
    assert len(cosine) >= 8
    assert cosine.argmax(axis=1).tolist() == list(range(len(cosine)))


@pytest.mark.real
def test_small_and_doubtful_boxes_get_no_embedding(shared: Path) -> None:
    plugin = opened("osnet-x0-25", shared / "models")
    found = Detections.of(
        np.array([[10, 10, 60, 160], [10, 10, 60, 90], [10, 10, 60, 160], [-5, 300, 60, 700]]),
        np.array([0.9, 0.9, 0.2, 0.9]),
        ["person", "person", "person", "person"],
    )
    frame = make_frame(fill=90, info=INFO)
    (made,) = plugin.process(frame, past(found)) or ()
    assert isinstance(made, Embeddings)
    assert made.values.any(axis=1).tolist() == [True, False, False, True]
    (none,) = plugin.process(frame, past(Detections.empty())) or ()
    assert isinstance(none, Embeddings)
    assert none.values.shape == (0, made.values.shape[1])


@pytest.mark.real
def test_two_visitors_in_turn_are_two_tracks(shared: Path) -> None:
    import av

    from streamproc_plugins.detection import Detection, DetectionOptions

    finder = Detection(DetectionOptions(labels=("person",), min_score=0.1))
    store = ModelStore(mirrors=[shared / "models"], download=False)
    finder.open(PluginContext(name="people", stream=INFO, models=store, log=logging.getLogger("test")))
    tracking, found = Tracking(TrackingOptions()), dict[int, list[int]]()
    with av.open(str(shared / "media" / "cctv_one_by_one.mp4")) as container:
        for index, picture in enumerate(container.decode(video=0)):
            if index > 460:
                break
            if index < 40 or index % 3:  # 3.3 pictures a second
                continue
            rgb = np.asarray(picture.to_ndarray(format="rgb24"), np.uint8)
            frame = make_frame(rgb=rgb, index=index, pts_s=index / 10)
            (people_observed,) = [r for r in finder.process(frame, Results()) or () if isinstance(r, Detections)]
            for track_id in step(tracking, frame, people_observed).track_id.tolist():
                found.setdefault(track_id, []).append(index)
    spans = [end for frames in found.values() for end in (frames[0], frames[-1])]
    assert spans == pytest.approx([60, 199, 227, 450], abs=10)
