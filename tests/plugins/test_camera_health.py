"""Camera health on pictures whose right answer follows from how they are made, and on footage of healthy cameras."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streamproc import Event, Frame, Moment, TimeReason
from streamproc.testing import check_plugin_contract, make_frame, make_info, run_plugin
from streamproc_plugins.camera_health import CameraHealth, CameraHealthOptions
from tests.plugins.real import run_text

INFO = make_info(width=320, height=180, rate=5)
Picture = NDArray[np.float64]


def place(seed: int) -> Picture:
    """A view with detail of every size, (220, 360) grey levels."""
    import cv2

    noise = np.random.default_rng(seed).normal(0, 1, (220, 360))
    layers = [size**0.8 * 30 * cv2.GaussianBlur(noise, (0, 0), size) for size in (1.0, 2.5, 6.0)]
    return np.asarray(120 + sum(layers), np.float64)


YARD, STREET = place(1), place(2)


def observed(view: Picture = YARD, right: int = 0) -> Picture:
    return view[20:200, 20 + right : 340 + right].copy()


def blurred(picture: Picture, size: float) -> Picture:
    import cv2

    return np.asarray(cv2.GaussianBlur(picture, (0, 0), size), np.float64)


def frames(paint: Callable[[float], Picture], duration_s: float, fps: float = 5, noise: float = 2) -> list[Frame]:
    rng = np.random.default_rng(5)
    made = []
    for index in range(round(duration_s * fps)):
        gray = np.clip(paint(index / fps) + rng.normal(0, noise, (180, 320)), 0, 255).astype(np.uint8)
        rgb = np.repeat(gray[:, :, None], 3, axis=2)
        made.append(make_frame(rgb=rgb, index=index, pts_s=index / fps, info=INFO))
    return made


def emitted(events: list[Event]) -> list[tuple[str, str, float]]:
    """Type, phase and the time that the phase is about, in seconds."""
    ends = [event.start_ns if event.phase == "start" else event.end_ns or 0 for event in events]
    return [(e.type, e.phase, round(at / 1e9, 3)) for e, at in zip(events, ends, strict=True)]


def run(paint: Callable[[float], Picture], duration_s: float = 45, **options: Any) -> list[tuple[str, str, float]]:
    fps = options.pop("fps", 5)
    return emitted(run_plugin(CameraHealth, frames(paint, duration_s, fps), **options).events)


def between(bad: Callable[[], Picture]) -> Callable[[float], Picture]:
    """The yard, with something wrong from 15 to 30 s."""
    return lambda t: bad() if 15 <= t < 30 else observed()


@pytest.mark.parametrize("fps", [1, 5, 12.5])
@pytest.mark.parametrize(
    ("fault", "bad"),
    [
        ("black", lambda: np.full((180, 320), 4.0)),
        ("covered", lambda: 70 + np.linspace(0, 40, 320)[None, :] * np.ones((180, 1))),
        ("blurred", lambda: blurred(observed(), 3)),
        ("moved", lambda: observed(right=16)),
        ("moved", lambda: observed(STREET)),
    ],
    ids=["black", "covered", "blurred", "moved", "another view"],
)
def test_fault_has_start_and_end(fault: str, bad: Callable[[], Picture], fps: float) -> None:
    found = run(between(bad), fps=fps)
    assert [(name, phase) for name, phase, _ in found] == [(f"camera.{fault}", "start"), (f"camera.{fault}", "end")]
    # to the sample, of which there is one a second
    assert [at for _, _, at in found] == pytest.approx([15, 30], abs=1)


def test_frozen_picture_is_reported_after_a_while() -> None:
    given = frames(lambda _: observed(), 45)
    held = [
        make_frame(rgb=(given[75] if 75 <= n < 150 else frame).rgb, index=n, pts_s=n / 5, info=INFO)
        for n, frame in enumerate(given)
    ]
    run_ = run_plugin(CameraHealth, held)
    assert emitted(run_.events) == [("camera.frozen", "start", 15), ("camera.frozen", "end", 30)]
    assert run_.events[0].pts_ns == 25_000_000_000
    assert run_.events[1].data["duration_s"] == 15


def test_event_says_how_far_the_view_moved() -> None:
    def shift(paint: Callable[[], Picture]) -> Any:
        events = run_plugin(CameraHealth, frames(between(paint), 25)).events
        return events[0].data["shift"]

    # a point at x is now at x - 16, of 320
    assert shift(lambda: observed(right=16)) == pytest.approx([-0.05, 0], abs=0.005)
    assert shift(lambda: observed(STREET)) is None


def test_lasting_new_view_is_accepted() -> None:
    def paint(t: float) -> Picture:
        return observed() if t < 15 else observed(STREET) if t < 60 else blurred(observed(STREET), 3)

    found = run_plugin(CameraHealth, frames(paint, 75, fps=2), accept_after="20s")
    assert emitted(found.events)[:3] == [
        ("camera.moved", "start", 15), ("camera.moved", "end", 35), ("camera.blurred", "start", 60),
    ]  # fmt: skip
    assert found.events[1].data["accepted"] is True


@pytest.mark.parametrize(
    "paint",
    [
        lambda t: observed() * (0.4 if 15 <= t < 30 else 1),
        lambda t: observed() * (1.2 - 0.015 * t),
        lambda t: np.full((180, 320), 255.0) if 15 <= t < 18 else observed(),
        lambda t: np.zeros((180, 320)) if 15 <= t < 18 else observed(),
        lambda t: observed(right=round(np.sin(9 * t))),
    ],
    ids=["light switched", "slowly darker", "short flash", "short black", "trembles"],
)
def test_light_and_short_troubles_are_no_fault(paint: Callable[[float], Picture]) -> None:
    assert run(paint) == []


def test_people_in_front_are_no_fault() -> None:
    def paint(t: float) -> Picture:
        picture = observed()
        picture[40:, 60:160] = 60 + 20 * np.sin(t)
        return picture

    assert run(lambda t: paint(t) if 15 <= t < 30 else observed()) == []


def test_times_are_options() -> None:
    black = between(lambda: np.zeros((180, 320)))
    assert run(black, after="20s") == []
    assert run_plugin(CameraHealth, frames(black, 25), after="2s").events[0].pts_ns == 17_000_000_000


def test_open_faults_end_with_the_stream() -> None:
    found = run(lambda t: observed() if t < 15 else np.zeros((180, 320)), 30)
    assert found == [("camera.black", "start", 15), ("camera.black", "end", 29.8)]


@pytest.mark.parametrize("reason", ["idle", "lost"])
def test_a_camera_that_is_away_shows_no_fault(reason: TimeReason) -> None:
    plugin = opened()
    black = frames(lambda t: observed() if t < 15 else np.zeros((180, 320)), 25, fps=1)
    begun = [event for frame in black for event in plugin.process(frame, results()) or ()]
    assert [event.phase for event in begun if isinstance(event, Event)] == ["start"]
    soon, late = (Moment(pts_ns=at * 1_000_000_000, frame_index=24) for at in (30, 31))
    assert list(plugin.on_time(soon, reason) or ()) == []
    (ended,) = plugin.on_time(late, reason) or ()
    assert isinstance(ended, Event)
    assert (ended.phase, ended.end_ns) == ("end", black[-1].pts_ns)
    assert list(plugin.on_time(late, reason) or ()) == []


def test_only_one_picture_a_second_is_looked_at() -> None:
    given = frames(lambda _: observed(), 4, fps=10)
    forms: list[int] = []
    plugin = opened()
    for frame in given:
        before = "small_gray" if not frame.pixels._forms else ""
        list(plugin.process(frame, results()) or ())
        forms += [frame.index] if before and frame.pixels._forms else []
    assert forms == [0, 10, 20, 30]


@pytest.mark.parametrize("at", [8, 16, 21, 31])
def test_it_goes_on_exactly_after_a_restart(at: int) -> None:
    """The contract's check restores it in the middle: in each phase of an episode."""
    given = frames(between(lambda: observed(right=16)), 2 * at, fps=2)
    check_plugin_contract(CameraHealth, given)


def opened() -> CameraHealth:
    import logging

    from streamproc import PluginContext
    from streamproc.models import ModelStore

    plugin = CameraHealth(CameraHealthOptions())
    plugin.open(PluginContext(name="health", stream=INFO, models=ModelStore(), log=logging.getLogger(__name__)))
    return plugin


def results() -> Any:
    from streamproc import Results

    return Results()


# --- the synthetic scene, and real footage ---

SYNTHETIC = """
version: 1
streams: {{yard: {{source: {{type: synthetic, options: {options}}}, rate: 2, chain: [health]}}}}
plugins: {{health: {{type: camera_health}}}}
"""
FILE = """
version: 1
streams:
  clip: {{source: {{type: file, options: {{path: "{path}"}}}}, rate: {rate}, chain: [health]}}
plugins: {{health: {{type: camera_health}}}}
"""
SMALL = "rate: 5, width: 320, height: 180"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("duration: 40s", []),
        ("duration: 40s, lights: [10s, 25s]", []),
        (
            "duration: 40s, freezes: [{at: 10s, length: 15s}]",
            [("camera.frozen", "start", 10), ("camera.frozen", "end", 25)],
        ),
        ("duration: 30s, cuts: [15s]", [("camera.moved", "start", 15), ("camera.moved", "end", 29.8)]),
    ],
    ids=["healthy", "lights", "freeze", "cut"],
)
def test_the_synthetic_scene(options: str, expected: list[Any], tmp_path: Path) -> None:
    found = emitted(run_text(SYNTHETIC.format(options=f"{{{options}, {SMALL}}}"), tmp_path))
    assert [(name, phase) for name, phase, _ in found] == [(name, phase) for name, phase, _ in expected]
    assert [at for _, _, at in found] == pytest.approx([at for _, _, at in expected], abs=1.01)


@pytest.mark.real
@pytest.mark.parametrize(
    ("clip", "rate"),
    [
        ("cctv_one_by_one.mp4", 1),
        ("cctv_motion_none.mp4", 6),
        ("cctv_motion_person_190_307.mp4", 6),
        ("cctv_motion_ir_switch.mp4", 6),
        ("edge_bottles_640x360.mp4", 6),
    ],
)
def test_nothing_is_wrong_with_healthy_cameras(shared: Path, tmp_path: Path, clip: str, rate: int) -> None:
    assert emitted(run_text(FILE.format(path=shared / "media" / clip, rate=rate), tmp_path)) == []
