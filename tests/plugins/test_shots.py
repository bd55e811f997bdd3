"""Shots on pictures whose right answer follows from how they are made, and on real footage judged by eye."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streamproc import Event, Frame
from streamproc.testing import check_plugin_contract, make_frame, make_info, run_plugin
from streamproc_plugins.shots import Shot, Shots
from streamproc_plugins.shots.measures import dissolve, likeness
from tests.plugins.real import run_text

INFO = make_info(width=160, height=90, rate=25)
Picture = NDArray[np.float64]
LARGER = 32
"""pixels by which a view is larger than its visible part"""


def view(seed: int) -> Picture:
    """A coloured, textured place, (90 + 2 LARGER, 160 + 2 LARGER, 3)."""
    import cv2

    noise = np.random.default_rng(seed).normal(0, 1, (90 + 2 * LARGER, 160 + 2 * LARGER, 3))
    tint = np.random.default_rng(seed + 100).uniform(60, 170, 3)
    return np.asarray(tint + 250 * cv2.GaussianBlur(noise, (0, 0), 5), np.float64)


VIEWS = [view(seed) for seed in range(5)]
HERE, THERE = VIEWS[0], VIEWS[1]


def observed(place: Picture, right: float = 0, down: float = 0) -> Picture:
    x, y = LARGER + round(right), LARGER + round(down)
    return place[y : y + 90, x : x + 160].copy()


def frames(paint: Callable[[float], Picture], duration_s: float, fps: float = 25) -> list[Frame]:
    """The picture of a noisy camera."""
    rng = np.random.default_rng(3)
    made = []
    for index in range(round(duration_s * fps)):
        rgb = np.clip(paint(index / fps) + rng.normal(0, 2, (90, 160, 3)), 0, 255).astype(np.uint8)
        made.append(make_frame(rgb=rgb, index=index, pts_s=index / fps, info=INFO))
    return made


def begun(events: Sequence[Event]) -> list[tuple[str, float]]:
    """Kind and start in seconds of every shot but the first."""
    return [(e.data["kind"], round(e.start_ns / 1e9, 3)) for e in events if e.phase == "start"][1:]


def shots(paint: Callable[[float], Picture], duration_s: float, fps: float = 25, **options: Any) -> Any:
    return begun(run_plugin(Shots, frames(paint, duration_s, fps), **options).events)


@pytest.mark.parametrize("fps", [5, 12.5, 25, 50])
def test_cuts_are_exact_at_any_rate(fps: float) -> None:
    def paint(t: float) -> Picture:
        return observed(VIEWS[0 if t < 2 else 1 if t < 4 else 2])

    assert shots(paint, 6, fps) == [("cut", 2), ("cut", 4)]


def test_shots_cover_the_stream_without_gaps() -> None:
    run = run_plugin(Shots, frames(lambda t: observed(HERE if t < 2 else THERE), 4))
    assert [(e.type, e.phase) for e in run.events] == [("shot", phase) for phase in ("start", "end", "start", "end")]
    _, ended, _, last = run.events
    assert (ended.end_ns, ended.data["duration_s"], ended.data["number"]) == (2_000_000_000, 2.0, 1)
    assert (last.end_ns, last.data["number"]) == (3_960_000_000, 2)
    given = run.all(Shot)
    assert len(given) == 100
    assert (given[0].number, given[0].start_ns, given[0].kind) == (1, 0, "start")
    assert (given[-1].number, given[-1].start_ns, given[-1].kind) == (2, 2_000_000_000, "cut")
    # the cut is known when the other view has lasted for `confirm`
    assert [shot.number for shot in given].index(2) == 57


@pytest.mark.parametrize(
    "paint",
    [
        lambda t: np.full((90, 160, 3), 255.0) if 2 <= t < 2.16 else observed(HERE),
        lambda t: observed(HERE) + (120 if 2 <= t < 2.1 else 0),
        lambda t: np.full((90, 160, 3), 255.0) if 2 <= t < 2.6 else observed(HERE),
        lambda t: np.zeros((90, 160, 3)) if 2 <= t < 2.6 else observed(HERE),
        lambda t: observed(HERE) * (0.4 if t >= 2 else 1),
        lambda t: observed(HERE) * (0.4 + 0.15 * t),
    ],
    ids=["white flash", "flash", "long flash", "short black", "light switched", "slowly lighter"],
)
def test_light_is_no_cut(paint: Callable[[float], Picture]) -> None:
    assert shots(paint, 4) == []


@pytest.mark.parametrize(
    "paint",
    [
        lambda t: observed(HERE, right=-30 + 15 * t),
        lambda t: observed(HERE, right=-30 if t < 2 else min(-30 + 120 * (t - 2), 30)),
        lambda t: observed(HERE, right=8 * np.sin(30 * t), down=6 * np.cos(23 * t)),
        lambda t: observed(HERE, right=0 if t < 2 else 12),
    ],
    ids=["pan", "fast pan", "shaken by hand", "one jerk"],
)
def test_a_moving_camera_is_no_cut(paint: Callable[[float], Picture]) -> None:
    assert shots(paint, 4) == []


def test_something_large_that_passes_is_no_cut() -> None:
    def paint(t: float) -> Picture:
        picture = observed(HERE)
        left = round(120 * (t - 1.5))
        picture[15:, max(left, 0) : max(left + 60, 0)] = (30, 60, 160)
        return picture

    assert shots(paint, 4) == []


def test_a_cut_during_a_flash_is_found_once() -> None:
    def paint(t: float) -> Picture:
        return np.full((90, 160, 3), 255.0) if 2 <= t < 2.12 else observed(HERE if t < 2 else THERE)

    ((kind, at),) = shots(paint, 4)
    assert kind == "cut"
    assert 2 <= at <= 2.12


@pytest.mark.parametrize("fps", [10, 25])
def test_fades_meet_where_the_picture_is_dark(fps: float) -> None:
    def paint(t: float) -> Picture:
        share = np.clip(2 - t, 0, 1) if t < 3 else np.clip(t - 4, 0, 1)
        return np.asarray(observed(HERE if t < 3 else THERE) * share, np.float64)

    (first, out), (second, back) = shots(paint, 6, fps)
    assert (first, second) == ("fade", "fade")
    assert out == pytest.approx(1.9, abs=0.11)
    assert back == pytest.approx(4.1, abs=0.11)
    run = run_plugin(Shots, frames(paint, 6, fps))
    assert [e.data["blank"] for e in run.events if e.phase == "start"] == [False, True, False]


@pytest.mark.parametrize("fps", [6, 10, 12.5, 25, 50])
@pytest.mark.parametrize("late", [0.0, 0.05])
def test_quick_fade_is_found_at_every_rate(fps: float, late: float) -> None:
    middle = 2 + late  # no picture need be black at a low rate

    def paint(t: float) -> Picture:
        return np.asarray(observed(HERE if t < middle else THERE) * np.clip(abs(t - middle) / 0.25, 0, 1), np.float64)

    ((kind, at),) = shots(paint, 4, fps)
    assert at == pytest.approx(middle, abs=0.06 + 1 / fps)
    assert kind == "fade" or fps < 10  # one picture between tells no fade from a cut


def test_failing_light_is_no_boundary() -> None:
    assert shots(lambda t: observed(HERE) * np.clip(abs(t - 2) / 0.25, 0, 1), 4) == []


def test_a_cut_to_black_is_a_cut() -> None:
    assert shots(lambda t: observed(HERE) * (0 if 2 <= t < 4 else 1), 6) == [("cut", 2), ("cut", 4)]


def test_short_black_between_views_is_one_boundary() -> None:
    def paint(t: float) -> Picture:
        return np.zeros((90, 160, 3)) if 2 <= t < 2.4 else observed(HERE if t < 2 else THERE)

    assert shots(paint, 4) == [("cut", 2.4)]


@pytest.mark.parametrize("length", [0.6, 1, 1.4])
def test_dissolve_begins_with_the_new_picture(length: float) -> None:
    def paint(t: float) -> Picture:
        share = np.clip((t - 2) / length, 0, 1)
        return np.asarray(observed(HERE) * (1 - share) + observed(THERE) * share, np.float64)

    ((kind, at),) = shots(paint, 5)
    assert kind == "dissolve"
    assert at == pytest.approx(2, abs=0.25)


def test_shots_are_no_shorter_than_set() -> None:
    def paint(t: float) -> Picture:
        return observed(VIEWS[0 if t < 2 else 1 if t < 2.4 else 2])

    assert shots(paint, 4, min_length="300ms") == [("cut", 2), ("cut", 2.4)]
    assert len(shots(paint, 4, min_length="600ms")) == 1


@pytest.mark.parametrize("at", [1.0, 2.0, 2.04, 2.12, 2.5, 3.7])
def test_it_goes_on_exactly_after_a_restart(at: float) -> None:
    """The contract's check restores it in the middle of its input: here before, in and after changes."""

    def paint(t: float) -> Picture:
        share = np.clip(t - 3.5, 0, 1)
        return observed(HERE) if t < 2 else observed(THERE) * (1 - share) + observed(VIEWS[2]) * share

    given = frames(paint, 5.5)
    middle = round(25 * at)
    reach = min(middle, len(given) - middle)
    check_plugin_contract(Shots, given[middle - reach : middle + reach])


def test_likeness_ignores_the_light() -> None:
    import cv2

    def gray(place: Picture, **by: float) -> NDArray[np.uint8]:
        rgb = np.clip(observed(place, **by), 0, 255).astype(np.uint8)
        return np.asarray(cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (64, 36)), np.uint8)

    here = gray(HERE)
    assert likeness(here, here) > 0.99
    assert likeness(here, (here * 0.5).astype(np.uint8)) > 0.95
    assert likeness(here, gray(HERE, right=5, down=-5)) > 0.8
    assert all(likeness(here, gray(other)) < 0.4 for other in VIEWS[1:])


def test_a_pan_is_no_mixture() -> None:
    wide = np.clip(np.random.default_rng(1).normal(128, 40, (18, 64)), 0, 255)
    first, last = wide[:, :32], wide[:, 32:]
    shares = np.clip((np.arange(20) - 4) / 10, 0, 1)
    assert dissolve(np.stack([(1 - s) * first + s * last for s in shares]).astype(np.uint8)) == 5
    pan = [wide[:, round(32 * s) : round(32 * s) + 32] for s in shares]
    assert dissolve(np.stack(pan).astype(np.uint8)) is None


# --- the synthetic scene, and real footage ---

SYNTHETIC = """
version: 1
streams: {{yard: {{source: {{type: synthetic, options: {options}}}, chain: [shots]}}}}
plugins: {{shots: {{type: shots}}}}
"""
FILE = """
version: 1
streams:
  clip: {{source: {{type: file, options: {{path: "{path}"}}}}, {rate}chain: [shots]}}
plugins: {{shots: {{type: shots}}}}
"""


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("{duration: 12s, cuts: [3s, 7s], width: 320, height: 180}", [("cut", 3), ("cut", 7)]),
        ("{duration: 12s, lights: [3s, 7s], width: 320, height: 180}", []),
        ("{duration: 20s, vfr: true, width: 320, height: 180, figures: 12}", []),
    ],
    ids=["cuts", "lights", "neither"],
)
def test_the_synthetic_scene_is_cut_where_it_says(options: str, expected: list[Any], tmp_path: Path) -> None:
    found = begun(run_text(SYNTHETIC.format(options=options), tmp_path))
    assert [kind for kind, _ in found] == [kind for kind, _ in expected]
    assert [at for _, at in found] == pytest.approx([at for _, at in expected], abs=0.07)


def of_clip(shared: Path, tmp_path: Path, name: str, rate: str = "") -> list[Event]:
    return run_text(FILE.format(path=shared / "media" / name, rate=rate), tmp_path)


@pytest.mark.real
@pytest.mark.parametrize(("rate", "near"), [("", 0), ("rate: 10, ", 3)])
def test_the_cuts_of_the_concert(shared: Path, tmp_path: Path, rate: str, near: int) -> None:
    events = of_clip(shared, tmp_path, "face_hamilton_4shots.mp4", rate)
    first = [event.data["first_frame"] for event in events if event.phase == "start"][1:]
    assert first == pytest.approx([20, 82, 211], abs=near)


@pytest.mark.real
def test_fades_cuts_and_a_dissolve(shared: Path, tmp_path: Path) -> None:
    events = of_clip(shared, tmp_path, "edge_fades_testvideo.mp4")
    found = [(e.data["kind"], e.data["first_frame"], e.data["blank"]) for e in events if e.phase == "start"]
    assert [(kind, blank) for kind, _, blank in found] == [
        ("start", True), ("cut", False), ("cut", True), ("fade", False), ("fade", True), ("fade", False),
        ("dissolve", False), ("fade", True),
    ]  # fmt: skip
    first = [frame for _, frame, _ in found]
    # by eye: the deer emerges from the black from 210 on and is gone in it at 360
    assert first == pytest.approx([0, 30, 180, 215, 356, 397, 529, 688], abs=3)
    assert first[1:3] == [30, 180]


@pytest.mark.real
@pytest.mark.parametrize(
    ("clip", "rate"),
    [
        ("cctv_one_by_one.mp4", "rate: 5, "),
        ("cctv_motion_none.mp4", ""),
        ("cctv_motion_ir_switch.mp4", ""),
        ("sport_basketball_gym.mp4", "rate: 15, "),
    ],
)
def test_one_camera_is_one_shot(shared: Path, tmp_path: Path, clip: str, rate: str) -> None:
    assert begun(of_clip(shared, tmp_path, clip, rate)) == []
