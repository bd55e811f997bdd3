"""Lines and borders under jitter, at their ends, and for tracks that begin or end near them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from streamproc import Event, Moment, PluginContext, Results, Tracks
from streamproc.testing import make_frame, make_info, make_tracks, run_plugin
from streamproc_plugins.rules import Rules, RulesOptions
from streamproc_plugins.rules.steady import scatter

INFO = make_info(width=640, height=480)
MIDDLE = {"points": [[0, 0.5], [1, 0.5]]}
"""y = 240, crossed to the right by a person walking down the screen"""
LOWER_HALF = [[0, 0.5], [1, 0.5], [1, 1], [0, 1]]

Way = Callable[[float], tuple[float, float]]


def stands(x: float, y: float) -> tuple[float, float, float, float]:
    return (x - 20, y - 100, x + 20, y)


def watch(observed: Sequence[dict[int, tuple[float, float]]], fps: float = 10, **options: Any) -> list[Event]:
    """Events of tracks whose feet are at these places, frame by frame."""
    frames = [make_frame(index=n, pts_s=n / fps, info=INFO) for n in range(len(observed))]
    past = [[make_tracks({i: stands(*place) for i, place in places.items()})] for places in observed]
    return run_plugin(Rules, frames, past=past, **options).events


def crossings(events: Sequence[Event]) -> list[str]:
    return [event.data["direction"] for event in events if event.type == "line.crossed"]


def walks(way: Way, seconds: float, fps: float = 10) -> list[dict[int, tuple[float, float]]]:
    return [{1: way(n / fps)} for n in range(round(seconds * fps) + 1)]


@pytest.mark.parametrize("sigma", [2, 3, 5])
def test_standing_on_a_border_is_no_crossing(sigma: float) -> None:
    noise = np.random.default_rng(3).normal(0, sigma, (600, 2))
    observed = [{1: (320 + dx, 240 + dy)} for dx, dy in noise.tolist()]
    assert watch(observed, lines={"l": MIDDLE}, zones={"z": {"polygon": LOWER_HALF}}) == []


@pytest.mark.parametrize("fps", [2, 3, 5, 10, 25, 60])
@pytest.mark.parametrize("sigma", [0, 2, 5])
def test_jittery_walker_crosses_once_at_every_rate(fps: float, sigma: float) -> None:
    noise = np.random.default_rng(1).normal(0, sigma, 1000).tolist()
    events = watch(walks(lambda t: (320, 140 + 40 * t + noise[round(t * fps)]), 6, fps), fps, lines={"l": MIDDLE})
    assert crossings(events) == ["right"]
    assert events[0].start_ns / 1e9 == pytest.approx(2.5, abs=0.02 + 4 * sigma / 40)


def test_leaving_the_line_after_standing_is_a_crossing() -> None:
    noise = np.random.default_rng(2).normal(0, 3, 300).tolist()

    def way(t: float) -> tuple[float, float]:
        approach = 240 if t > 2 else 140 + 50 * t
        return (320, approach + 60 * max(t - 20, 0) + noise[round(t * 10)])

    assert crossings(watch(walks(way, 24), lines={"l": MIDDLE})) == ["right"]


def test_stopping_beyond_and_turning_back_both_count() -> None:
    def way(t: float) -> tuple[float, float]:
        return (320, 200 + 30 * min(t, 1.6) if t < 6 else 248 - 30 * min(t - 6, 2))

    assert crossings(watch(walks(way, 10), lines={"l": MIDDLE})) == ["right", "left"]


@pytest.mark.parametrize("fps", [2, 5, 10])
def test_one_wrong_box_is_no_crossing(fps: float) -> None:
    # half hidden for one frame, the lower edge of a person standing behind the line jumps over it
    observed = [{1: (320.0, 270.0 if n != 20 else 205.0)} for n in range(40)]
    assert crossings(watch(observed, fps, lines={"l": MIDDLE})) == []


def test_step_longer_than_the_box_counts_at_once() -> None:
    events = watch([{1: (320, 150)}, {1: (320, 330)}, {1: (320, 150)}], 5, lines={"l": MIDDLE})
    assert crossings(events) == ["right", "left"]
    assert [event.pts_ns for event in events] == [200_000_000, 400_000_000]


def test_vanishing_behind_the_line_counts() -> None:
    events = watch([*walks(lambda t: (320, 140 + 100 * t), 1.1), *[{}] * 50], lines={"l": MIDDLE})
    assert [(event.data["direction"], event.start_ns) for event in events] == [("right", 1_000_000_000)]


def test_leaving_the_picture_beyond_the_line_crosses() -> None:
    line = {"points": [[0.93, 0], [0.93, 1]]}  # x = 595.2
    observed = [*walks(lambda t: (500 + 100 * t, 300), 1.2), *[{}] * 50]
    (event,) = watch(observed, lines={"l": line})
    assert event.data["direction"] == "left"
    assert event.start_ns / 1e9 == pytest.approx(0.952)
    assert event.pts_ns == 1_300_000_000


def test_two_close_crossings_are_two() -> None:
    observed = [{1: (310.0, 140.0 + 5 * n), 2: (330.0, 138.0 + 5 * n)} for n in range(40)]
    assert crossings(watch(observed, lines={"l": MIDDLE})) == ["right", "right"]


@pytest.mark.parametrize("x", [160.0, 480.0])
def test_ends_belong_to_a_line_both_ways(x: float) -> None:
    observed = [{1: (x, 240 + 40 * np.sin(n / 5))} for n in range(5, 70)]
    line = {"points": [[0.25, 0.5], [0.75, 0.5]]}
    found = crossings(watch(observed, lines={"l": line}))
    assert found == ["left", "right", "left", "right"][: len(found)]
    assert len(found) >= 3


def test_turning_around_the_end_is_no_crossing() -> None:
    line = {"points": [[0.25, 0.5], [0.5, 0.5]]}  # it ends at x = 320
    way = [(310, 220)] * 5 + [(312, 238), (314, 243), (322, 243), (324, 238), (314, 232)] + [(310, 210)] * 10
    assert crossings(watch([{1: place} for place in way], margin=0.2, lines={"l": line})) == []


def begun(first_y: float, speed: float, age_s: float, step_s: float) -> list[Event]:
    """A track confirmed at `age_s`, at `speed` in px/s and `first_y`; frames are `step_s` apart."""
    import logging

    from streamproc.models import ModelStore

    plugin = Rules(RulesOptions.model_validate({"lines": {"l": MIDDLE}}))
    plugin.open(PluginContext(name="rules", stream=INFO, models=ModelStore(), log=logging.getLogger(__name__)))
    events: list[Event] = []
    for n in range(round(age_s / step_s) + 10):
        t = n * step_s
        frame = make_frame(index=n, pts_s=t, info=INFO)
        tracks = Tracks.empty()
        if t > age_s - 1e-9:
            known = make_tracks({1: stands(320, first_y + speed * (t - age_s))})
            names = ("xyxy", "score", "class_id", "label", "track_id", "state")
            tracks = Tracks(
                **{name: getattr(known, name) for name in names},
                velocity=np.array([[0, speed]], np.float32), age_ns=np.array([round(t * 1e9)], np.int64),
            )  # fmt: skip
        out = plugin.process(frame, Results({("tracks", Tracks): tracks})) or ()
        events += [item for item in out if isinstance(item, Event)]
    end = Moment.of(make_frame(index=999, pts_s=60, info=INFO))
    return events + [item for item in plugin.flush(end) or () if isinstance(item, Event)]


def test_car_born_beyond_the_line_has_not_crossed() -> None:
    # from y = 246 at rest, with 40 px/s^2: at 1 s it is at 266 with 40 px/s, so a steady speed would put it at 226
    assert crossings(begun(266, 40, 1.0, 0.1)) == []


def test_crossing_before_confirmation_counts() -> None:
    assert crossings(begun(265, 250, 0.2, 0.2)) == ["right"]
    assert crossings(begun(265, 250, 0.4, 0.2)) == ["right"]


def test_scatter_is_noise_and_zero_without_turns() -> None:
    noise = np.random.default_rng(0).normal(0, 3, (200, 30))
    assert np.mean([scatter(row) for row in noise.tolist()]) == pytest.approx(3, rel=0.1)
    assert scatter([0, 0, 0, 1, 4, 9, 9.5, 9.5]) == 0


def test_vanishing_just_behind_the_line_is_a_crossing() -> None:
    sways = [{1: (320.0, 150.0 + 8 * (n % 2))} for n in range(8)]
    crosses = [{1: (320.0, 150.0 + 24 * n)} for n in range(1, 5)]  # to y = 246, 6 px behind the line
    assert crossings(watch([*sways, *crosses, *[{}] * 20], 3, lines={"l": MIDDLE})) == ["right"]
