"""`track_action` and `pose_action`: actions of each person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamproc import Event, Frame, PluginError, Poses
from streamproc.testing import check_plugin_contract, make_frame, make_info, make_tracks, run_plugin
from streamproc_plugins.action import PoseAction, TrackAction, TrackActions
from streamproc_plugins.action.crops import crop, window_round
from streamproc_plugins.action.sequences import SequenceBeat, Sequences
from streamproc_plugins.action.skeleton import normalised_skeleton
from tests.nets import answering_net, brightness_clips, model_folder

T = 4
INFO = make_info(width=96, height=64, rate=10)
SPEC = {"height": 16, "width": 16, "layout": "NDHWC", "colour": "rgb", "frames": T}
SECOND = 1_000_000_000


@pytest.fixture
def levels(tmp_path: Path) -> dict[str, Any]:
    """Options with a net that calls a clip `bright` with its mean level / 255, else `dark`."""
    folder = model_folder(
        tmp_path / "levels", brightness_clips(T, 16, 16), task="action", decode="sigmoid", labels=["bright", "dark"],
        input=SPEC,
    )  # fmt: skip
    return {"model": str(folder), "rate": 10, "stride": "200ms", "min_height": 8, "margin": 1}


def two_people(count: int) -> tuple[list[Frame], list[list[Any]]]:
    """A white person (track 1) walking to the right and a black one (track 2) standing, 10 frames a second."""
    frames, past = [], []
    for i in range(count):
        rgb = np.full((64, 96, 3), 128, np.uint8)
        left = 4 + 2 * i
        rgb[20:40, left : left + 20] = 255
        rgb[40:60, 70:90] = 0
        frames.append(make_frame(rgb=rgb, index=i, info=INFO))
        past.append([make_tracks({1: [left, 20, left + 20, 40], 2: [70, 40, 90, 60]})])
    return frames, past


def of(events: list[Event], track_id: int) -> list[tuple[str, str, float]]:
    """(phase, label, start in seconds) of the events of one track."""
    return [
        (event.phase, event.data["label"], event.start_ns / SECOND)
        for event in events
        if event.data["track_id"] == track_id
    ]


def test_each_track_is_classified_by_its_crops(levels: dict[str, Any]) -> None:
    frames, past = two_people(10)
    run = run_plugin(TrackAction, frames, past=past, **levels)
    found = run.all(TrackActions)
    # the first clip is complete at frame 3, then one every 0.2 s
    assert len(found) == 4
    for one in found:
        assert one.track_id.tolist() == [1, 2]
        assert one.label == ("bright", "dark")
        assert one.score.tolist() == [1, 1]


def test_action_has_one_start_and_end(levels: dict[str, Any]) -> None:
    frames, past = two_people(12)
    events = run_plugin(TrackAction, frames, past=past, **levels).events
    assert {event.type for event in events} == {"track.action"}
    assert of(events, 1) == [("start", "bright", 0.3), ("end", "bright", 0.3)]
    assert of(events, 2) == [("start", "dark", 0.3), ("end", "dark", 0.3)]
    assert events[0].data["box"] == [10, 20, 30, 40]


def test_long_absence_begins_a_new_clip(levels: dict[str, Any]) -> None:
    frames, past = two_people(20)
    away = [make_tracks({2: [70, 40, 90, 60]})]
    past = [results if i < 6 or i >= 12 else away for i, results in enumerate(past)]
    run = run_plugin(TrackAction, frames, past=past, **levels, events={"lost_after": "500ms", "window": "0s"})
    observed = [one for one in run.all(TrackActions) if 1 in one.track_id]
    assert len(observed) == 2 + 3  # frames 3 and 5; the new clip is complete at 15, then 17 and 19
    assert [phase for phase, _, _ in of(run.events, 1)] == ["start", "end", "start", "end"]


def test_only_confirmed_tracks_of_the_labels_count(levels: dict[str, Any]) -> None:
    frames, _ = two_people(8)
    box = [4, 20, 24, 40]
    for tracks in (
        make_tracks({1: box}, state="lost"),
        make_tracks({1: box}, label="car"),
        make_tracks({1: [4, 20, 24, 26]}),
    ):
        assert run_plugin(TrackAction, frames, past=[[tracks]] * 8, **levels).results == []


def test_largest_tracks_come_first(levels: dict[str, Any]) -> None:
    frames, _ = two_people(5)
    tracks = make_tracks({i: [0, 0, 10 + i, 10 + i] for i in range(1, 6)})
    (found,) = run_plugin(TrackAction, frames, past=[[tracks]] * 5, **levels, max_tracks=2).all(TrackActions)
    assert found.track_id.tolist() == [4, 5]


def test_restart_within_a_clip_changes_nothing(levels: dict[str, Any]) -> None:
    frames, past = two_people(13)
    check_plugin_contract(TrackAction, frames, past=past, **levels)


def test_window_has_input_shape_around_the_person() -> None:
    box = np.array([10, 10, 20, 50])
    assert window_round(box, 1, 1) == (-5, 10, 35, 50)
    assert window_round(box, 0.5, 1.5) == (0, 0, 30, 60)
    assert window_round(np.array([10, 10, 50, 20]), 1, 1) == (10, -5, 50, 35)


def test_crop_is_black_outside_the_picture() -> None:
    rgb = np.full((10, 10, 3), 200, np.uint8)
    part = crop(rgb, (-10, 0, 10, 20), (20, 20))
    assert (part[:10, 10:] == 200).all()
    assert (part[:, :10] == 0).all()
    assert (part[10:] == 0).all()
    assert (crop(rgb, (40, 40, 50, 50), (4, 4)) == 0).all()


def taken(times: list[float], rate: float, stride: float, frames: int = 3) -> list[list[float]]:
    """The times in each sequence of a track detected at these times (seconds)."""
    nominal = round((times[1] - times[0]) * SECOND)
    sequences = Sequences(SequenceBeat.of(frames, rate, round(stride * SECOND), nominal))
    out = []
    for at in times:
        now = round(at * SECOND)
        if sequences.wants(7, now):
            made = sequences.add(7, now, np.array(at))
            out += [] if made is None else [made.tolist()]
    return out


def test_sequences_follow_media_time() -> None:
    expected = [[0, 0.2, 0.4], [0.4, 0.6, 0.8]]
    assert taken([i / 10 for i in range(9)], 5, 0.4) == expected
    assert taken([i / 5 for i in range(5)], 5, 0.4) == expected
    assert taken([i / 50 for i in range(41)], 5, 0.4) == expected


def test_no_sequence_spans_a_hole() -> None:
    assert taken([0, 0.2, 1.4, 1.6, 1.8], 5, 0.2) == [[1.4, 1.6, 1.8]]


def test_samples_of_another_shape_begin_anew() -> None:
    before = Sequences(SequenceBeat.of(2, 10, SECOND, SECOND // 10))
    before.add(1, 0, np.zeros((4, 4)))
    after = Sequences(before.beat)
    after.restore(before.state())
    assert after.add(1, SECOND // 10, np.zeros((6, 6))) is None
    made = after.add(1, 2 * SECOND // 10, np.zeros((6, 6)))
    assert made is not None
    assert made.shape == (2, 6, 6)


# --- skeletons


def standing(count: int, *, at: float = 100, size: float = 40, raised: bool = False) -> Any:
    """Keypoints (T, 17, 3) of a person whose body (hips to shoulders) is `size` pixels long, hips at (at, 200)."""
    points = np.zeros((count, 17, 3), np.float32)
    points[..., 2] = 0.9
    places = {0: (0, -1.5), 5: (-0.4, -1), 6: (0.4, -1), 11: (-0.2, 0), 12: (0.2, 0), 15: (-0.2, 1.5), 16: (0.2, 1.5)}
    places |= {9: (-0.5, -2.0 if raised else 0), 10: (0.5, 0)}
    for index, (x, y) in places.items():
        points[:, index, :2] = (at + x * size, 200 + y * size)
    points[:, [1, 2, 3, 4, 7, 8, 13, 14], 2] = 0
    return points


def test_skeleton_ignores_place_and_size() -> None:
    near, far = normalised_skeleton(standing(4)), normalised_skeleton(standing(4, at=500, size=13))
    assert np.allclose(near, far, atol=1e-3)
    assert near[0, 9, :2].tolist() == pytest.approx([-0.5, 0], abs=1e-4)
    assert near[0, 5, :2].tolist() == pytest.approx([-0.4, -1], abs=1e-4)
    assert (near[:, 1] == 0).all()


def test_unknown_points_take_the_nearest_with_score_0() -> None:
    points = standing(5)
    points[:, 9, 0] = [60, 61, 62, 63, 64]
    points[1:3, 9, 2] = 0.1
    shown = normalised_skeleton(points)
    columns = shown[:, 9, 0] * 40 + 100
    assert columns.tolist() == pytest.approx([60, 60, 63, 63, 64], abs=1e-3)
    assert shown[:, 9, 2].tolist() == pytest.approx([0.9, 0, 0, 0.9, 0.9])


def test_walking_remains_and_unknown_is_zeros() -> None:
    points = standing(3)
    points[:, :, 0] += np.array([-40, 0, 40])[:, None]
    assert normalised_skeleton(points)[:, 12, 0].tolist() == pytest.approx([-0.8, 0.2, 1.2], abs=1e-4)
    assert (normalised_skeleton(np.zeros((3, 17, 3), np.float32)) == 0).all()


@pytest.fixture(scope="module")
def hand_net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keras: logits are how high the left wrist is over the hips, and the opposite."""
    import json

    import keras

    from streamproc_plugins.action.nets.skeletons import build_skeleton

    model = build_skeleton("skeleton_conv", frames=T, classes=2, width=0.05)
    points = keras.Input((T, 17, 3))
    flat = keras.layers.Flatten()(points)
    out = keras.layers.Dense(2, use_bias=False)
    height = keras.Model(points, out(flat))
    weights = np.zeros((T * 17 * 3, 2), np.float32)
    weights[[t * 51 + 9 * 3 + 1 for t in range(T)]] = (-3, 3)
    out.set_weights([weights])
    assert model.output_shape == (None, 2)
    folder = tmp_path_factory.mktemp("models") / "hand"
    folder.mkdir()
    height.save(folder / "net.keras")
    manifest = {"name": "hand", "task": "action", "runtime": "keras", "labels": ["up", "down"]}
    (folder / "model.json").write_text(json.dumps({**manifest, "decode": "logits", "files": [{"name": "net.keras"}]}))
    return folder


def poses(*people: Any, ids: list[int] | None) -> Poses:
    points = np.stack(people)
    score = np.linspace(0.5, 0.9, len(people)).astype(np.float32)
    return Poses(keypoints=points, score=score, track_id=None if ids is None else np.array(ids, np.int64))


def test_each_person_is_classified_by_keypoints(hand_net: Path) -> None:
    frames = [make_frame(index=i, info=INFO) for i in range(6)]
    past = [[poses(standing(1, raised=True)[0], standing(1, at=300)[0], ids=[4, 9])]] * 6
    run = run_plugin(PoseAction, frames, past=past, model=str(hand_net), rate=10)
    (found,) = run.all(TrackActions)
    assert found.track_id.tolist() == [4, 9]
    assert (found.label[0], round(float(found.score[1]), 3)) == ("up", 0.5)
    assert [(phase, label) for phase, label, _ in of(run.events, 4)] == [("start", "up"), ("end", "up")]


def test_best_pose_is_the_person_without_tracks(hand_net: Path) -> None:
    frames = [make_frame(index=i, info=INFO) for i in range(T)]
    one = poses(standing(1)[0], standing(1, raised=True)[0], ids=None)
    (found,) = run_plugin(PoseAction, frames, past=[[one]] * T, model=str(hand_net), rate=10).all(TrackActions)
    assert (found.track_id.tolist(), found.label) == ([0], ("up",))


def test_net_for_other_input_is_refused(tmp_path: Path) -> None:
    net = answering_net({"y": np.zeros((1, 2), np.float32)}, (1, T, 16, 16, 2))
    folder = model_folder(tmp_path / "flow", net, task="action", labels=["a", "b"], input=SPEC)
    frames, past = two_people(1)
    with pytest.raises(PluginError, match="optical flow"):
        run_plugin(TrackAction, frames, past=past, model=str(folder))
    with pytest.raises(PluginError, match=r"keypoints \(1, T, 17, 3\)"):
        run_plugin(PoseAction, frames, past=[[poses(standing(1)[0], ids=[1])]], model=str(folder))
