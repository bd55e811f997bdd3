"""Motion on pictures whose right answer follows from how they are made, and on real footage with published ranges."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from streamproc import Detections, Event, Frame, Moment, PluginContext, Results
from streamproc.frames import PixelCache
from streamproc.media import AvPicture
from streamproc.media.orientation import Orientation
from streamproc.models import ModelStore
from streamproc.testing import PluginRun, check_plugin_contract, make_frame, make_info, run_plugin
from streamproc_plugins.motion import Motion, MotionOptions
from streamproc_plugins.motion.blobs import merged
from tests.plugins.real import run_text

INFO = make_info(width=240, height=160)
Picture = NDArray[np.float64]


def scene() -> Picture:
    """A textured ground, grey levels (160, 240)."""
    import cv2

    noise = np.random.default_rng(1).normal(0, 1, (160, 240))
    return np.asarray(120 + 60 * cv2.GaussianBlur(noise, (0, 0), 4), np.float64)


GROUND = scene()


def frames(paint: Callable[[float, Picture], Picture], times: Sequence[float]) -> list[Frame]:
    """The picture of a noisy camera of the ground after `paint(t, ground)`."""
    rng = np.random.default_rng(2)
    made = []
    for index, t in enumerate(times):
        gray = paint(t, GROUND.copy()) + rng.normal(0, 2, GROUND.shape)
        rgb = np.repeat(np.clip(gray, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
        made.append(make_frame(rgb=rgb, index=index, pts_s=t, info=INFO))
    return made


def steps(duration_s: float, fps: float = 10) -> list[float]:
    return [index / fps for index in range(round(duration_s * fps) + 1)]


def with_square(picture: Picture, x: float, y: float, side: int = 24, level: float = 40) -> Picture:
    picture[round(y) : round(y) + side, max(round(x), 0) : max(round(x) + side, 0)] = level
    return picture


def crossing(t: float, picture: Picture) -> Picture:
    """A dark square that enters at 2 s and is gone at 6.4 s."""
    return with_square(picture, -24 + 60 * (t - 2), 60) if t >= 2 else picture


def run(paint: Callable[[float, Picture], Picture], times: Sequence[float], **options: Any) -> PluginRun:
    return run_plugin(Motion, frames(paint, times), **options)


@pytest.mark.parametrize("fps", [4, 10, 30])
def test_moving_regions_are_found_from_start_to_end(fps: float) -> None:
    times = steps(9, fps)
    found = run(crossing, times)
    start, end = found.events
    assert (start.type, start.phase, end.phase) == ("motion", "start", "end")
    assert start.start_ns / 1e9 == pytest.approx(2.2, abs=0.35)
    assert end.end_ns is not None
    assert end.end_ns / 1e9 == pytest.approx(6.2, abs=0.4)
    (boxes,) = (found.all(Detections)[times.index(t)] for t in times if t == 4)
    assert boxes.label == ("motion",)
    # in the middle of its way: at x = 96
    assert boxes.xyxy[0] == pytest.approx([96, 60, 120, 84], abs=6)


def test_noise_alone_is_no_motion() -> None:
    found = run(lambda _, picture: picture, steps(6))
    assert found.events == []
    assert all(len(boxes) == 0 for boxes in found.all(Detections))


@pytest.mark.parametrize(
    "light",
    [
        lambda t, p: p * (1.5 if t > 3 else 1),
        lambda t, p: p * (0.3 if t > 3 else 1) + (10 if t > 3 else 0),
        lambda t, p: np.full_like(p, 255) if 3 < t < 4 else p,
        lambda t, p: np.zeros_like(p) if 3 < t < 3.5 else (255 - p if t > 3 else p),
        lambda t, p: p * (1 + 0.04 * t),
    ],
    ids=["brighter", "darker", "white flash", "night switch", "slowly brighter"],
)
def test_light_is_no_motion(light: Callable[[float, Picture], Picture]) -> None:
    assert run(light, steps(8)).events == []


def test_motion_returns_after_a_change_of_light() -> None:
    def paint(t: float, picture: Picture) -> Picture:
        lit = picture * (0.5 if t > 2 else 1)
        return with_square(lit, 60 * (t - 5), 60, level=200) if t > 5 else lit

    events = run(paint, steps(8)).events
    assert events[0].start_ns / 1e9 == pytest.approx(5.3, abs=0.3)


def test_a_soft_shadow_is_no_motion() -> None:
    def paint(t: float, picture: Picture) -> Picture:
        x = np.arange(240)
        shade = 1 - 0.3 / (1 + np.exp((np.abs(x - 40 * t) - 30) / 4))
        return np.asarray(picture * shade, np.float64)

    # the shadow is learnt as it enters: begin with it outside
    assert run(lambda t, p: paint(t - 3, p), steps(9)).events == []
    assert run(lambda t, p: paint(t - 3, p), steps(9), shadows=False).events != []


def test_object_put_down_becomes_background() -> None:
    def paint(t: float, picture: Picture) -> Picture:
        return with_square(picture, min(60 * (t - 2), 100), 60) if t >= 2 else picture

    found = run(paint, steps(9))
    assert [event.phase for event in found.events] == ["start", "end"]
    assert found.events[1].end_ns is not None
    # it stands from 3.7 s on
    assert found.events[1].end_ns / 1e9 == pytest.approx(3.8, abs=0.3)
    assert len(found.all(Detections)[-1]) == 0


def test_masked_area_gives_no_motion() -> None:
    mask = [[0, 0.3], [1, 0.3], [1, 0.6], [0, 0.6]]
    assert run(crossing, steps(9), masks=[mask]).events == []


def test_small_things_are_ignored() -> None:
    def fly(t: float, picture: Picture) -> Picture:
        return with_square(picture, 40 * t, 60, side=6)

    assert run(fly, steps(5)).events == []
    assert run(fly, steps(5), min_area=0.0004, contrast=8).events != []


def test_open_episode_ends_without_frames_or_stream() -> None:
    half = [t for t in steps(9) if t <= 4]
    last = run(crossing, half).events[-1]
    assert (last.phase, last.end_ns) == ("end", 4_000_000_000)
    plugin = opened()
    given = frames(crossing, half)
    for frame in given:
        list(plugin.process(frame, results()) or ())
    late = Moment(pts_ns=given[-1].pts_ns + 5_000_000_000, frame_index=given[-1].index)
    (ended,) = plugin.on_time(late, "idle") or ()
    assert isinstance(ended, Event)
    assert (ended.phase, ended.end_ns) == ("end", 4_000_000_000)


FORMS = {
    "10 bit": ("yuv420p10le", (768, 512), Orientation()),
    "gray": ("gray", (768, 512), Orientation()),
    "full range": ("yuvj420p", (768, 512), Orientation()),
    "odd size": ("yuv420p", (641, 427), Orientation()),
    "padded": ("yuv420p", (770, 514), Orientation()),
    "turned": ("yuv420p", (768, 512), Orientation(90)),
    "mirrored": ("yuv420p", (768, 512), Orientation(180, mirrored=True)),
    "packed": ("rgb24", (768, 512), Orientation()),
}


def enlarged(given: Sequence[Frame], pixels: str, size: tuple[int, int], orientation: Orientation) -> list[Frame]:
    """The same scene as a decoder would hold it."""
    import av
    import cv2

    made = []
    info = make_info(width=size[0], height=size[1])
    for frame in given:
        rgb = np.asarray(cv2.resize(frame.rgb, size, interpolation=cv2.INTER_NEAREST), np.uint8)
        stored = np.rot90(rgb, orientation.rotation // 90)
        stored = np.ascontiguousarray(stored[:, ::-1] if orientation.mirrored else stored)
        decoded = av.VideoFrame.from_ndarray(stored, "rgb24").reformat(format=pixels, threads=1)
        cache = PixelCache(AvPicture(decoded, orientation))
        made.append(Frame(stream=info, index=frame.index, pts_ns=frame.pts_ns, pixels=cache))
    return made


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("masks", [[], [[[0.6, 0], [1, 0], [1, 1], [0.6, 1]]]], ids=["", "masked"])
def test_every_form_of_picture_gives_the_same_events(form: str, masks: list[Any]) -> None:
    shown = frames(crossing, steps(9))
    wanted = run_plugin(Motion, shown, masks=masks).events
    found = run_plugin(Motion, enlarged(shown, *FORMS[form]), masks=masks).events
    assert [event.phase for event in found] == [event.phase for event in wanted] == ["start", "end"]
    for event, same in zip(found, wanted, strict=True):
        assert event.start_ns == pytest.approx(same.start_ns, abs=100_000_000)
        assert (event.end_ns or 0) == pytest.approx(same.end_ns or 0, abs=100_000_000)


def test_streams_side_by_side_disturb_nothing() -> None:
    shown = frames(crossing, steps(9))
    alone = emitted(started(), shown)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda _: emitted(started(), shown), range(4)))
    assert together == [alone] * 4


@pytest.mark.parametrize("at", [1, 31, 39, 62])
def test_restart_while_settling_changes_no_answer(at: int) -> None:
    def paint(t: float, picture: Picture) -> Picture:
        return with_square(picture * (0.5 if t > 3 else 1), 60 * (t - 5), 60, level=200)

    shown = frames(paint, steps(9))
    mask = [[0, 0], [0.2, 0], [0.2, 0.2], [0, 0.2]]
    whole, first, again = (started(masks=[mask]) for _ in range(3))
    answers = emitted(whole, shown)
    before = [item for frame in shown[:at] for item in first.process(frame, Results()) or ()]
    again.restore(json.loads(json.dumps(first.state())))
    assert emitted(again, shown[at:]) == answers[len(before) :]


def test_plugin_meets_the_contract() -> None:
    check_plugin_contract(Motion, frames(crossing, steps(5)))


def test_boxes_that_overlap_become_one() -> None:
    boxes = np.array([[0, 0, 10, 10], [30, 0, 40, 10], [8, 0, 32, 5], [0, 20, 5, 25]])
    joined, filled = merged(boxes, np.array([50.0, 60.0, 70.0, 20.0]))
    assert joined.tolist() == [[0, 0, 40, 10], [0, 20, 5, 25]]
    assert filled.tolist() == [180, 20]


def test_a_mask_without_area_is_refused() -> None:
    with pytest.raises(ValidationError, match="encloses nothing"):
        MotionOptions.model_validate({"masks": [[[0, 0], [1, 1]]]})


# --- real footage ---

CLOCK = [[0, 0.037], [0.253, 0.039], [0.254, 0.113], [0, 0.113]]
CORNER = [[0.783, 0], [0.746, 0.381], [1, 0.607], [1, 0]]
REAL = """
version: 1
streams:
  clip: {{source: {{type: file, options: {{path: "{path}"}}}}, rate: {rate}, chain: [motion]}}
plugins:
  motion: {{type: motion, options: {{masks: {masks}}}}}
"""


def ranges(shared: Path, tmp_path: Path, clip: str, masks: list[Any], rate: float) -> list[tuple[float, float]]:
    """Start and end in seconds of every `motion` in a clip."""
    text = REAL.format(path=shared / "media" / clip, masks=json.dumps(masks), rate=rate)
    ends = [event for event in run_text(text, tmp_path) if event.phase == "end"]
    return [(event.start_ns / 1e9, (event.end_ns or 0) / 1e9) for event in ends]


@pytest.mark.real
@pytest.mark.parametrize("clip", ["cctv_motion_none.mp4", "cctv_motion_ir_switch.mp4"])
def test_flash_and_night_switch_are_no_motion(shared: Path, tmp_path: Path, clip: str) -> None:
    assert ranges(shared, tmp_path, clip, [CLOCK, CORNER], rate=30) == []


@pytest.mark.real
def test_the_man_with_the_mop_is_one_motion(shared: Path, tmp_path: Path) -> None:
    ((start, end),) = ranges(shared, tmp_path, "cctv_motion_person_190_307.mp4", [CLOCK, CORNER], rate=30)
    assert start * 6 == pytest.approx(190, abs=6)  # 6 frames a second: within a second
    assert 290 <= end * 6 <= 307 + 12


@pytest.mark.real
def test_each_reaching_hand_is_motion_and_nothing_else(shared: Path, tmp_path: Path) -> None:
    fps = 29.833
    # found by eye, frame by frame: first and last frame with a hand or a bottle in the air, each within 10
    hands = [(170, 217), (336, 410), (471, 543), (655, 740), (812, 866), (920, 962), (1036, 1105)]
    found = ranges(shared, tmp_path, "edge_bottles_640x360.mp4", [], rate=10)
    assert len(found) == len(hands)
    for (start, end), (first, last) in zip(found, hands, strict=True):
        assert start == pytest.approx(first / fps, abs=1)
        assert end == pytest.approx(last / fps, abs=1)


def opened() -> Motion:
    import logging

    from streamproc import PluginContext
    from streamproc.models import ModelStore

    plugin = Motion(MotionOptions())
    plugin.open(PluginContext(name="motion", stream=INFO, models=ModelStore(), log=logging.getLogger(__name__)))
    return plugin


def results() -> Any:
    from streamproc import Results

    return Results()


def started(**options: Any) -> Motion:
    plugin = Motion(MotionOptions.model_validate(options))
    plugin.open(PluginContext(name="motion", stream=INFO, models=ModelStore(), log=logging.getLogger("test")))
    return plugin


def emitted(plugin: Motion, given: Sequence[Frame]) -> list[tuple[Any, ...]]:
    """All that it says of these frames, and at their end."""
    said: list[tuple[Any, ...]] = []
    output = [item for frame in given for item in plugin.process(frame, Results()) or ()]
    for item in [*output, *(plugin.flush(Moment.of(given[-1])) or ())]:
        if isinstance(item, Event):
            said.append((item.phase, item.episode, item.start_ns, item.end_ns, dict(item.data)))
        else:
            assert isinstance(item, Detections)
            said.append((item.xyxy.tolist(), item.score.tolist()))
    return said


def test_restart_in_the_middle_is_exact() -> None:
    shown = frames(crossing, steps(9))
    whole = emitted(started(), shown)
    first = started()
    before = [item for frame in shown[:45] for item in first.process(frame, Results()) or ()]
    assert [item.phase for item in before if isinstance(item, Event)] == ["start"]
    retained = json.loads(json.dumps(first.state()))
    again = started()
    again.restore(retained)
    rest = emitted(again, shown[45:])
    assert rest == whole[len(before) :]
    assert "end" in [item[0] for item in rest]
    assert len(json.dumps(retained)) < 700_000


def test_a_state_that_does_not_fit_is_refused() -> None:
    narrow = Motion(MotionOptions(width=120))
    narrow.open(PluginContext(name="motion", stream=INFO, models=ModelStore(), log=logging.getLogger("test")))
    with pytest.raises(ValueError, match=r"\(80, 120\), expected \(160, 240\)"):
        started().restore(narrow.state())
