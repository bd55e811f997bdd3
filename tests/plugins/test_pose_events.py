"""Events from poses: falls as opposed to lying down, raised hands, at known times and at any frame rate."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streamproc import Event, Poses
from streamproc.testing import make_frame, make_info, run_plugin
from streamproc_plugins.pose import PoseEvents
from streamproc_plugins.pose.posture import descent, hands_height, lean_deg, middle, stature_px
from tests.plugins.people import bent, hands_up, lying, poses, scored, standing, tilted

F32 = NDArray[np.float32]
INFO = make_info(width=640, height=480)


def emitted(pose_at: Callable[[float], Poses], until: float, rate: float = 10, **options: Any) -> list[Event]:
    """The events of the poses that `pose_at` gives for each moment."""
    times = [i / rate for i in range(round(until * rate) + 1)]
    return over(times, pose_at, **options)


def over(times: Iterable[float], pose_at: Callable[[float], Poses], **options: Any) -> list[Event]:
    frames = [make_frame(index=i, pts_s=t, info=INFO) for i, t in enumerate(times)]
    return run_plugin(PoseEvents, frames, past=[[pose_at(f.pts_s)] for f in frames], **options).events


def phases(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.type, event.phase) for event in events]


def going_down(seconds: float) -> Callable[[float], Poses]:
    """Upright until 2 s, then turning about the ankles to lie after `seconds`."""
    return lambda t: poses(tilted(300, 200, 90 * min(max(t - 2, 0) / seconds, 1)), track_id=[5])


def test_lean_is_the_angle_of_the_body() -> None:
    assert lean_deg(scored(standing(100, 50)), 0.3) == pytest.approx(0, abs=0.1)
    assert lean_deg(scored(lying(100, 50)), 0.3) == pytest.approx(90, abs=0.1)
    assert lean_deg(scored(tilted(100, 50, 40)), 0.3) == pytest.approx(40, abs=0.1)
    assert lean_deg(scored(tilted(100, 50, -60)), 0.3) == pytest.approx(60, abs=0.1)


def test_somebody_who_bends_down_or_sits_doesnt_lie() -> None:
    found = lean_deg(scored(bent(100, 50)), 0.3)
    assert found is not None
    assert found < 45
    sitting = scored(standing(100, 50))
    sitting[13:, 0] += 60
    sitting[13:, 1] -= 28
    found = lean_deg(sitting, 0.3)
    assert found is not None
    assert found < 5


def test_missing_points_give_no_measure() -> None:
    person = scored(standing(100, 50))
    person[[11, 12], 2] = 0.1
    assert lean_deg(person, 0.3) is None
    assert stature_px(person, 0.3) is None
    assert middle(person, (11, 12), 0.3) is None
    person[[9, 10], 2] = 0.1
    assert hands_height(person, 0.3) == ()


def test_hands_height_is_in_torsos_above_the_nose() -> None:
    person = scored(standing(100, 50))
    # wrists 62 px under the nose, torso 44 px
    assert hands_height(person, 0.3) == pytest.approx((-62 / 44,) * 2, abs=0.05)
    person[9, :2] = (110, 50 - 44)
    assert max(hands_height(person, 0.3)) == pytest.approx(1, abs=0.05)


def test_descent_is_the_quickest_part_of_enough_length() -> None:
    assert descent([0, 1, 2, 3], [0, 0, 50, 60], 1) == 50
    assert descent([0, 0.1, 0.5, 1], [0, 40, 40, 40], 0.5) == 80
    assert descent([0, 1], [50, 0], 0.5) == 0
    assert descent([0], [50], 0.5) == 0


def test_fall_has_its_times_and_lying_follows() -> None:
    fall, start, end = emitted(going_down(0.8), 6)
    assert phases([fall, start, end]) == [("pose.fall", "instant"), ("pose.lying", "start"), ("pose.lying", "end")]
    # the body passes 35 degrees at 2.31 s and 55 degrees at 2.49 s; the event follows half a second later
    assert (fall.start_ns, fall.end_ns, fall.pts_ns) == (2_500_000_000, 2_500_000_000, 3_000_000_000)
    assert fall.data["took_s"] == pytest.approx(0.2)
    assert (start.start_ns, start.pts_ns) == (2_500_000_000, 3_500_000_000)
    assert end.end_ns == 6_000_000_000
    assert fall.data["track_id"] == 5
    # the shoulders come down 100 px in 0.8 s, quicker at the end, on a body of 150 px
    assert 0.7 < fall.data["body_lengths_per_s"] < 1.4


@pytest.mark.parametrize("rate", [5, 10, 25, 60])
def test_fall_is_equal_at_every_frame_rate(rate: float) -> None:
    events = emitted(going_down(0.8), 5, rate)
    assert phases(events) == [("pose.fall", "instant"), ("pose.lying", "start"), ("pose.lying", "end")]
    end_ns = events[0].end_ns
    assert end_ns is not None
    assert abs(end_ns / 1e9 - 2.49) <= 1 / rate


def test_lying_down_slowly_is_no_fall() -> None:
    assert phases(emitted(going_down(4), 9)) == [("pose.lying", "start"), ("pose.lying", "end")]


def test_starting_out_lying_is_no_fall() -> None:
    assert phases(emitted(lambda _: poses(lying(300, 200), track_id=[5]), 4)) == [
        ("pose.lying", "start"),
        ("pose.lying", "end"),
    ]


def test_one_wrong_pose_is_no_fall() -> None:
    def pose(t: float) -> Poses:
        return poses(lying(300, 200) if 2 <= t < 2.3 else standing(300, 200), track_id=[5])

    assert emitted(pose, 5) == []


@pytest.mark.parametrize("unknown", [poses(), poses(np.zeros((17, 3), np.float32), track_id=[5])])
def test_unknown_time_between_is_no_fall(unknown: Poses) -> None:
    def pose(hidden_s: float) -> Callable[[float], Poses]:
        def at(t: float) -> Poses:
            return (
                unknown
                if 2 < t < 2 + hidden_s
                else poses(standing(300, 200) if t <= 2 else lying(300, 320), track_id=[5])
            )

        return at

    # for less than `leave_after` keypoints may be missing, as they often do in a fall
    assert "pose.fall" in [event.type for event in emitted(pose(0.45), 5)]
    assert "pose.fall" not in [event.type for event in emitted(pose(1.0), 5)]
    assert "pose.fall" in [event.type for event in emitted(pose(1.0), 5, leave_after="1s")]


def test_lying_twice_with_a_gap_is_no_fall() -> None:
    def pose(t: float) -> Poses:
        upright, down = poses(standing(300, 200), track_id=[5]), poses(lying(300, 320), track_id=[5])
        return upright if t < 2 or t > 3.1 else down if t < 2.05 or t > 3.05 else poses()

    assert emitted(pose, 5) == []


def test_getting_up_ends_lying() -> None:
    def pose(t: float) -> Poses:
        return poses(tilted(300, 200, 90 if 2.5 <= t < 5 else 0), track_id=[5])

    events = emitted(pose, 8)
    assert phases(events)[1:] == [("pose.lying", "start"), ("pose.lying", "end")]
    assert events[-1].end_ns == 4_900_000_000
    assert events[-1].data["duration_s"] == pytest.approx(2.4)


def test_raised_hands_have_start_and_end() -> None:
    def pose(t: float) -> Poses:
        return poses(hands_up(300, 200) if 1 <= t <= 3 else standing(300, 200), track_id=[5])

    start, end = emitted(pose, 5)
    assert phases([start, end]) == [("pose.raised_hands", "start"), ("pose.raised_hands", "end")]
    assert (start.start_ns, end.end_ns) == (1_000_000_000, 3_000_000_000)
    assert start.episode == end.episode


def test_one_hand_counts_unless_both_must_be_up() -> None:
    one = poses(hands_up(300, 200, arms=(7, 9)), track_id=[5])
    assert phases(emitted(lambda _: one, 2)) == [("pose.raised_hands", "start"), ("pose.raised_hands", "end")]
    assert emitted(lambda _: one, 2, hands="both") == []


def test_hands_that_flicker_are_one_episode_or_none() -> None:
    up, down = poses(hands_up(300, 200), track_id=[5]), poses(standing(300, 200), track_id=[5])
    assert emitted(lambda t: up if round(t * 10) % 4 == 0 else down, 4) == []
    mostly = emitted(lambda t: down if round(t * 10) % 8 == 7 else up, 4)
    assert phases(mostly) == [("pose.raised_hands", "start"), ("pose.raised_hands", "end")]


def test_hidden_arms_end_a_gesture_only_when_long() -> None:
    up = hands_up(300, 200)
    hidden = scored(up)
    hidden[[9, 10], 2] = 0

    def pose(until: float) -> Callable[[float], Poses]:
        return lambda t: poses(hidden if 2 <= t < until else up, track_id=[5])

    assert len(emitted(pose(3), 5)) == 2
    events = emitted(pose(6), 8)
    assert phases(events) == [("pose.raised_hands", "start"), ("pose.raised_hands", "end")] * 2
    assert events[1].end_ns == 1_900_000_000


def test_flickering_arm_stays_raised() -> None:
    up = scored(hands_up(300, 200, arms=(8, 10)))
    half = up.copy()
    half[10, 2] = 0
    events = emitted(lambda t: poses(half if round(t * 10) % 3 else up, track_id=[5]), 3)
    assert phases(events) == [("pose.raised_hands", "start"), ("pose.raised_hands", "end")]
    seldom = emitted(lambda t: poses(half if round(t * 10) % 9 else up, track_id=[5]), 3)
    assert seldom == []


def test_people_without_tracks_are_separated() -> None:
    def pose(t: float) -> Poses:
        a, b = hands_up(150, 200), standing(450, 200)
        return poses(a, b) if round(t * 10) % 2 else poses(b, a)

    events = emitted(pose, 3)
    assert phases(events) == [("pose.raised_hands", "start"), ("pose.raised_hands", "end")]
    assert "track_id" not in events[0].data
    assert events[0].data["box"][0] < 200


def test_gesture_ends_at_the_last_pose() -> None:
    events = emitted(lambda t: poses(hands_up(300, 200), track_id=[5]) if t <= 2 else poses(), 6)
    assert phases(events) == [("pose.raised_hands", "start"), ("pose.raised_hands", "end")]
    assert events[-1].end_ns == 2_000_000_000
    assert events[-1].pts_ns <= 4_200_000_000


def test_only_chosen_events_are_emitted() -> None:
    assert phases(emitted(going_down(0.8), 5, events=["fall"])) == [("pose.fall", "instant")]
    assert emitted(lambda _: poses(hands_up(300, 200)), 3, events=["fall", "lying"]) == []


def test_angles_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="give the smaller one to `upright_angle`"):
        PoseEvents.options_type.model_validate({"upright_angle": 60, "lying_angle": 40})


@pytest.mark.parametrize("rate", [10, 12.5, 15, 25, 29.97, 60])
@pytest.mark.parametrize("begins", [2.0, 2.03, 2.07])
def test_raised_hands_of_300_ms_give_an_event(rate: float, begins: float) -> None:
    def waves(t: float) -> Poses:
        return poses(hands_up(300, 200) if begins <= t < begins + 0.3001 else standing(300, 200), track_id=[5])

    start, end = emitted(waves, 4, rate)
    assert phases([start, end]) == [("pose.raised_hands", "start"), ("pose.raised_hands", "end")]
    assert start.start_ns / 1e9 == pytest.approx(begins, abs=1.001 / rate)
    assert (end.end_ns or 0) / 1e9 == pytest.approx(begins + 0.3, abs=1.001 / rate)


def test_one_wrong_pose_raises_no_hands() -> None:
    def wrong_once(t: float) -> Poses:
        return poses(hands_up(300, 200) if abs(t - 2) < 0.01 else standing(300, 200), track_id=[5])

    assert [emitted(wrong_once, 4, rate) for rate in (5, 10, 25)] == [[], [], []]


def test_one_wrong_pose_delays_no_lying() -> None:
    def wrong_once(t: float) -> Poses:
        return poses(standing(300, 200) if abs(t - 0.5) < 0.01 else lying(300, 200), track_id=[5])

    start, _ = [event for event in emitted(wrong_once, 3) if event.type == "pose.lying"]
    assert (start.start_ns, start.pts_ns) == (0, 1_000_000_000)
