"""The tracker on scenes whose right answer follows from arithmetic."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from streamproc_plugins.tracking import Measurements, Tracker, TrackerSettings, TrackerStep, TrackState, back_fill
from streamproc_plugins.tracking.kalman import MotionModel, begin, correct, predict, warp_belief

Boxes = Sequence[tuple[float, float, float, float]]
Scene = Callable[[float], Boxes]

SIZE = (1920, 1080)


def person(x: float, y: float = 300, scale: float = 1) -> tuple[float, float, float, float]:
    """A walker 40 x 100 pixels with its middle at x, y."""
    return (x - 20 * scale, y - 50 * scale, x + 20 * scale, y + 50 * scale)


def observed(boxes: Boxes, score: float | Sequence[float] = 0.9, group: int | Sequence[int] = 0) -> Measurements:
    count = len(boxes)
    return Measurements(
        xyxy=np.array(boxes, np.float64).reshape(-1, 4),
        score=np.broadcast_to(np.asarray(score, np.float64), count).copy(),
        group=np.broadcast_to(np.asarray(group, np.int64), count).copy(),
    )


def at_rate(fps: float, duration_s: float) -> list[float]:
    return [index / fps for index in range(round(duration_s * fps) + 1)]


def follow(scene: Scene, times: Iterable[float], tracker: Tracker | None = None) -> list[TrackerStep]:
    tracker = tracker or Tracker(TrackerSettings())
    return [tracker.step(round(t * 1e9), observed(scene(t)), size=SIZE) for t in times]


def shown_ids(steps: Sequence[TrackerStep]) -> set[int]:
    return {int(i) for step in steps for i in step.track_id[step.shown]}


def id_at(step: TrackerStep, x: float, y: float = 300, reach: float = 30) -> int:
    """The shown track with its middle nearest to x, y."""
    middle = (step.xyxy[:, :2] + step.xyxy[:, 2:]) / 2
    off = np.where(step.shown, np.hypot(*(middle - (x, y)).T), np.inf)
    assert off.min() < reach, f"no track at {x}, {y}: {step.xyxy.tolist()}"
    return int(step.track_id[np.argmin(off)])


VFR = [0.0, 0.04, 0.05, 0.2, 0.23, 0.45, 0.5, 0.51, 0.7, 1.0, 1.02, 1.3, 1.33, 1.6, 1.8, 2.0, 2.4, 2.41, 2.8, 3.0]


@pytest.mark.parametrize(
    "times", [*(at_rate(fps, 3) for fps in (2, 5, 10, 30, 60)), VFR], ids=["2", "5", "10", "30", "60", "vfr"]
)
def test_same_motion_gives_same_tracks_at_every_rate(times: list[float]) -> None:
    def scene(t: float) -> Boxes:
        return [person(300 + 60 * t), person(900 - 40 * t, 500), person(1400, 700)]

    steps = follow(scene, times)
    last = steps[-1]
    assert shown_ids(steps) == {1, 2, 3}
    assert [id_at(last, 480), id_at(last, 780, 500), id_at(last, 1400, 700)] == [1, 2, 3]
    assert last.velocity[:, 0] == pytest.approx([60, -40, 0], abs=8)
    assert last.xyxy[0] == pytest.approx(person(480), abs=2)


def test_passing_objects_keep_their_ids() -> None:
    def scene(t: float) -> Boxes:
        return [person(300 + 80 * t, 300), person(700 - 80 * t, 310)]

    steps = follow(scene, at_rate(25, 5))
    assert shown_ids(steps) == {1, 2}
    assert id_at(steps[-1], 700) == 1
    assert id_at(steps[-1], 300, 310) == 2


def test_hidden_passer_keeps_its_id() -> None:
    def scene(t: float) -> Boxes:
        front, behind = person(300 + 60 * t, 320, 1.2), person(660 - 60 * t, 300)
        return [front] if abs(front[0] - behind[0]) < 35 else [front, behind]

    steps = follow(scene, at_rate(25, 6))
    assert shown_ids(steps) == {1, 2}
    assert id_at(steps[-1], 660, 320) == 1
    assert id_at(steps[-1], 300) == 2


@pytest.mark.parametrize("fps", [5, 10, 30])
@pytest.mark.parametrize("speed", [0, 60])
def test_an_absence_of_one_second_is_bridged(fps: float, speed: float) -> None:
    def scene(t: float) -> Boxes:
        return [] if 2 < t < 3 else [person(300 + speed * t)]

    steps = follow(scene, at_rate(fps, 5))
    assert shown_ids(steps) == {1}
    assert id_at(steps[-1], 300 + speed * 5) == 1


@pytest.mark.parametrize("fps", [5, 10, 30])
def test_hidden_start_is_found_again_if_unambiguous(fps: float) -> None:
    def scene(t: float) -> Boxes:
        return [] if 2 < t < 2.75 else [person(300 + 55 * max(t - 2, 0)), person(900)]

    steps = follow(scene, at_rate(fps, 4))
    assert shown_ids(steps) == {1, 2}
    assert id_at(steps[-1], 410) == 1


def test_where_two_can_be_meant_neither_is_taken() -> None:
    def scene(t: float) -> Boxes:
        return [person(300), person(390)] if t <= 2 else [] if t < 2.75 else [person(345)]

    steps = follow(scene, at_rate(10, 4))
    assert id_at(steps[-1], 345) == 3


def test_ids_are_not_used_again() -> None:
    tracker = Tracker(TrackerSettings(lost_s=1))
    times = at_rate(10, 12)
    steps = follow(lambda t: [person(300)] if t % 4 < 2 else [], times, tracker)
    assert shown_ids(steps) == {1, 2, 3}
    tracker.forget()
    again = follow(lambda _: [person(300)], [13, 13.1, 13.2], tracker)
    used = {int(i) for step in steps for i in step.track_id}
    assert len(shown_ids(again)) == 1
    assert min(shown_ids(again)) > max(used)


def test_gap_ends_tracks_by_its_length() -> None:
    def with_gap(gap_s: float) -> set[int]:
        times = at_rate(10, 2)
        return shown_ids(follow(lambda _: [person(300)], [*times, *(2 + gap_s + t for t in times)]))

    assert with_gap(2.4) == {1}
    assert with_gap(2.6) == {1, 2}


def test_doubtful_detections_extend_but_begin_no_track() -> None:
    tracker = Tracker(TrackerSettings())
    for index in range(60):
        t = index / 20
        steps = tracker.step(
            round(t * 1e9), observed([person(300 + 30 * t), person(900)], [0.2 if 1 < t < 2 else 0.9, 0.3]), size=SIZE
        )
        if index > 1:
            assert steps.track_id[steps.shown].tolist() == [1]
            assert steps.state[0] == TrackState.CONFIRMED
    assert 0.8 < steps.score[0] <= 0.9


def test_a_single_false_detection_is_never_shown() -> None:
    steps = follow(lambda t: [person(300), person(1000)] if t == 1 else [person(300)], at_rate(10, 2))
    assert shown_ids(steps) == {1}


def test_confirmation_waits_for_detections_and_for_age() -> None:
    def first_shown(settings: TrackerSettings) -> float:
        times = at_rate(10, 3)
        steps = follow(lambda _: [person(300)], times, Tracker(settings))
        return next(t for t, step in zip(times, steps, strict=True) if step.shown.any())

    assert first_shown(TrackerSettings(confirm_hits=1)) == 0
    assert first_shown(TrackerSettings(confirm_hits=4)) == pytest.approx(0.3)
    assert first_shown(TrackerSettings(confirm_hits=2, confirm_s=1)) == pytest.approx(1)


def test_lost_track_is_shown_longer_behind_another() -> None:
    def shown_for(front: bool) -> float:
        def scene(t: float) -> Boxes:
            others = [person(300, 330, 1.5)] if front else []
            return [*others, person(300)] if t <= 3 else others

        times = at_rate(20, 5)
        steps = follow(scene, times)
        name = int(steps[40].track_id[-1])
        unobserved = [
            (t, step)
            for t, step in zip(times, steps, strict=True)
            if t > 3 and name in step.track_id[step.shown].tolist()
        ]
        assert {int(step.state[step.track_id == name][0]) for _, step in unobserved} == {TrackState.LOST}
        return unobserved[-1][0] - 3

    assert shown_for(front=False) == pytest.approx(0.2)
    assert shown_for(front=True) == pytest.approx(0.7)


def test_object_outside_the_picture_is_not_shown() -> None:
    steps = follow(lambda t: [person(1800 + 60 * t)] if t < 1.6 else [], at_rate(20, 3))
    assert not steps[-1].shown.any()
    assert all(step.xyxy[step.shown][:, 2].max(initial=0) <= 1920 for step in steps if (step.source < 0).all())


def test_two_boxes_on_one_thing_make_one_track() -> None:
    steps = follow(lambda t: [person(300 + 20 * t), person(302 + 20 * t, 301)], at_rate(10, 2))
    assert shown_ids(steps) == {1}


def test_flickering_label_does_not_split_a_track() -> None:
    tracker = Tracker(TrackerSettings(label_hold_s=1))
    labels = [0] * 10 + [1, 0, 0, 1, 1, 0] * 3 + [1] * 20
    steps = [tracker.step(i * 100_000_000, observed([person(300)], group=label)) for i, label in enumerate(labels)]
    assert shown_ids(steps) == {1}
    emitted = [int(step.group[0]) for step in steps]
    assert emitted[:38] == [0] * 38  # the new label came at 28 and had stayed for a second at 38
    assert emitted[38:] == [1] * 10


def test_labels_that_must_not_mix_make_two_tracks() -> None:
    tracker = Tracker(TrackerSettings(other_label=0))
    for index in range(20):
        step = tracker.step(index * 50_000_000, observed([person(300)], group=index // 10))
    assert step.group[step.shown].tolist() == [1]
    assert 1 not in step.track_id[step.shown]


def test_a_shaken_camera_loses_nobody() -> None:
    rng = np.random.default_rng(3)
    shake = rng.normal(0, 12, (200, 2))

    def scene(t: float) -> Boxes:
        dx, dy = shake[round(t * 20)]
        return [person(200 + 120 * i + 20 * t + dx, 300 + 150 * (i % 2) + dy) for i in range(8)]

    times = at_rate(20, 4)
    assert shown_ids(follow(scene, times)) == set(range(1, 9))
    assert len(shown_ids(follow(scene, times, Tracker(TrackerSettings(shift_pairs=0))))) > 8


def test_a_known_camera_motion_is_followed() -> None:
    jump = np.array([[1.0, 0, 350], [0, 1, -60]])
    for camera, expected in ((jump, {1, 2}), (None, {1, 2, 3, 4})):
        tracker, ids = Tracker(TrackerSettings()), set()
        for index in range(20):
            moved = index >= 10
            boxes = [person(x + 350 * moved, 500 - 60 * moved) for x in (300, 900)]
            step = tracker.step(index * 100_000_000, observed(boxes), camera if index == 10 else None, SIZE)
            ids |= shown_ids([step])
        assert ids == expected


def unit(*values: float) -> NDArray[np.float32]:
    vector = np.array(values, np.float32)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def test_appearance_separates_people_who_swapped_places() -> None:
    red, blue = unit(1, 0, 0.1), unit(0, 1, 0.1)

    def after_swap(with_appearance: bool) -> list[int]:
        tracker = Tracker(TrackerSettings())
        for index in range(41):
            t = index / 10
            if 2 < t < 2.6:
                step = tracker.step(round(t * 1e9), observed([]))
                continue
            looks = np.stack([red, blue] if t <= 2 else [blue, red])
            found = observed([person(300), person(330)])
            step = tracker.step(round(t * 1e9), replace(found, embedding=looks if with_appearance else None))
        return [id_at(step, 300, reach=5), id_at(step, 330, reach=5)]

    assert after_swap(with_appearance=False) == [1, 2]
    assert after_swap(with_appearance=True) == [2, 1]


def noisy(rng: np.random.Generator, t: float) -> Boxes:
    places = [person(200 + 150 * i + (20 + 5 * i) * t, 300 + 60 * (i % 3)) for i in range(8)]
    return [tuple((np.array(box) + rng.normal(0, 2, 4)).tolist()) for box in places if rng.random() > 0.2]


def test_restored_tracker_is_exact() -> None:
    rng = np.random.default_rng(11)
    frames = []
    for index in range(120):
        boxes = noisy(rng, index / 12)
        looks = rng.normal(size=(len(boxes), 16)).astype(np.float32)
        looks /= np.linalg.norm(looks, axis=1, keepdims=True)
        found = observed(boxes, rng.uniform(0.2, 1, len(boxes)).tolist(), rng.integers(0, 2, len(boxes)).tolist())
        frames.append((round(index / 12 * 1e9), replace(found, embedding=looks)))
    whole = Tracker(TrackerSettings())
    expected = [whole.step(*frame) for frame in frames]

    first, second = Tracker(TrackerSettings()), Tracker(TrackerSettings())
    for frame in frames[:60]:
        first.step(*frame)
    second.restore(json.loads(json.dumps(first.state())))
    for frame, want in zip(frames[60:], expected[60:], strict=True):
        got = second.step(*frame)
        for name in ("track_id", "xyxy", "velocity", "state", "shown", "score", "group", "start_ns", "source"):
            assert getattr(got, name).tobytes() == getattr(want, name).tobytes(), name


def test_a_foreign_state_is_refused() -> None:
    state = Tracker(TrackerSettings()).state()
    del state["tracks"]["hits"]
    with pytest.raises(ValueError, match="hits"):
        Tracker(TrackerSettings()).restore(state)


def test_frames_without_detections_are_fine_from_the_start() -> None:
    steps = follow(lambda _: [], at_rate(10, 1))
    assert [len(step) for step in steps] == [0] * 11


def test_two_half_steps_equal_one_whole() -> None:
    motion = MotionModel()
    start = begin(np.array([[100.0, 200, 40, 90]]), np.array([0.9]), motion)
    start = correct(predict(start, 0.1, motion), np.array([[104.0, 200, 40, 90]]), np.array([0.8]), motion)
    whole, halves = predict(start, 0.4, motion), predict(predict(start, 0.15, motion), 0.25, motion)
    # the spread follows the box's size, which drifts a little in between
    assert halves.mean == pytest.approx(whole.mean, rel=1e-9)
    assert halves.velocity == pytest.approx(whole.velocity, rel=1e-9)
    assert halves.covariance == pytest.approx(whole.covariance, rel=1e-2)


def test_a_turned_picture_turns_boxes_and_velocities() -> None:
    start = begin(np.array([[10.0, 0, 4, 6]]), np.array([1.0]), MotionModel())
    moving = replace(start, velocity=np.array([[5.0, 0, 0, 0]]))
    turned = warp_belief(moving, np.array([[0.0, -2, 100], [2, 0, 50]]))  # a quarter turn, twice as large, then shifted
    assert turned.mean[0] == pytest.approx([100, 70, 8, 12])
    assert turned.velocity[0] == pytest.approx([0, 10, 0, 0])
    assert turned.covariance == pytest.approx(4 * start.covariance)


def test_back_filling_bridges_at_the_frames_times() -> None:
    times = [0.0, 0.1, 0.2, 0.3, 0.4, 0.45, 0.8, 0.9, 1.0]  # uneven on purpose
    steps = follow(lambda t: [] if 0.3 < t < 0.8 else [person(300 + 50 * t)], times)
    rows = back_fill(steps, [round(t * 1e9) for t in times], longest_gap_s=1)
    assert rows.frame.tolist() == list(range(9))
    assert set(rows.track_id.tolist()) == {1}
    middle = (rows.xyxy[:, 0] + rows.xyxy[:, 2]) / 2
    assert middle == pytest.approx([300 + 50 * t for t in times], abs=2)
    before, after = middle[3], middle[6]
    assert middle[4] == pytest.approx(before + (after - before) * 0.2)

    unbridged = back_fill(steps, [round(t * 1e9) for t in times], longest_gap_s=0.3)
    assert 0 in unbridged.frame.tolist()
    assert 5 not in unbridged.frame.tolist()


def test_boxes_without_area_and_crowds_are_taken() -> None:
    tracker = Tracker(TrackerSettings())
    rng = np.random.default_rng(2)
    corner = rng.uniform(0, 1000, (200, 2))
    crowd = np.concatenate([corner, corner + rng.uniform(20, 60, (200, 2))], axis=1)
    crowd[:5, 2:] = crowd[:5, :2]
    for index in range(5):
        step = tracker.step(index * 100_000_000, observed([tuple(box) for box in crowd.tolist()]), size=SIZE)
    assert np.isfinite(step.xyxy).all()
    assert (step.xyxy[:, 2:] >= step.xyxy[:, :2]).all()
    assert step.shown.sum() > 100
    assert len(np.unique(step.track_id)) == len(step)
