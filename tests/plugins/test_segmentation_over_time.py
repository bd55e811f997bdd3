"""`segmentation_smoothing` and `class_areas`: flicker goes, motion stays, large areas give events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from streamproc import Flow, Frame, MissingInput, PluginError, Segmentation, seconds
from streamproc.models import ModelStore
from streamproc.plugin import FramePlugin, Output, Results
from streamproc.testing import Fault, make_frame, make_frames, make_info, plugin_plan, run_chain, run_plugin
from streamproc_plugins.segmentation import (
    ClassAreas,
    ClassAreasPlugin,
    Foreground,
    SegmentationPlugin,
    SegmentationSmoothing,
)
from streamproc_plugins.segmentation.options import SmoothingOptions
from streamproc_plugins.segmentation.rle import decode

LABELS = ("background", "person", "car")
SIZE = (64, 96)
INFO = make_info(width=96, height=64, rate=10)


def of(class_map: NDArray[Any]) -> Segmentation:
    return Segmentation(class_map=class_map.astype(np.uint8), labels=LABELS)


def flow(x: float = 0.0, dt_ns: int = 100_000_000) -> Flow:
    uv = np.zeros((*SIZE, 2), np.float32)
    uv[..., 0] = x
    return Flow(uv=uv, dt_ns=dt_ns)


def smoothed(
    past: Sequence[Iterable[Any]], frames: Sequence[Frame] | None = None, **options: Any
) -> list[Segmentation]:
    """The plugin's result, with the flow that `past` holds and not the engine's."""
    frames = frames or make_frames(len(past), info=INFO)
    plugin = SegmentationSmoothing(SmoothingOptions.model_validate(options))
    plugin.open(None)  # type: ignore[arg-type]
    out: list[Segmentation] = []
    for frame, given in zip(frames, past, strict=True):
        for found in plugin.process(frame, Results({("given", type(one)): one for one in given})):
            assert isinstance(found, Segmentation)
            out.append(found)
    return out


def flicker(found: Sequence[Segmentation]) -> float:
    """Part of the pixels that change their class from one result to the next."""
    return float(np.mean([(a.class_map != b.class_map).mean() for a, b in pairwise(found)]))


def uncertain(count: int, still: NDArray[Any] | None = None) -> list[Segmentation]:
    """A block of people, each pixel taken for background in a quarter of the results."""
    rng = np.random.default_rng(0)
    truth = np.zeros(SIZE, np.uint8) if still is None else still
    truth[16:48, 24:72] = 1
    return [of(np.where(rng.random(SIZE) < 0.25, 0, truth)) for _ in range(count)]


def test_flicker_goes_from_a_picture_that_stands_still() -> None:
    raw = uncertain(30)
    steady = smoothed([[one, flow()] for one in raw], time_constant="500ms")
    assert flicker(steady[10:]) < 0.05 * flicker(raw[10:])
    assert steady[-1].class_map[20:44, 28:68].mean() > 0.95
    assert steady[-1].labels == LABELS


def moving(step: int) -> list[NDArray[np.uint8]]:
    maps = []
    for index in range(10):
        one = np.zeros(SIZE, np.uint8)
        one[16:48, 8 + step * index : 28 + step * index] = 1
        maps.append(one)
    return maps


def overlap(found: Segmentation, truth: NDArray[np.uint8]) -> float:
    a, b = found.class_map > 0, truth > 0
    return float((a & b).sum() / (a | b).sum())


def test_moving_class_is_carried_along() -> None:
    truth = moving(6)
    carried = smoothed([[of(one), flow(6)] for one in truth])
    assert overlap(carried[-1], truth[-1]) > 0.95
    left = smoothed([[of(one), flow(0)] for one in truth])
    assert overlap(left[-1], truth[-1]) < 0.75


def test_even_motion_is_assumed_between_results() -> None:
    """Flow of the last 25 ms only: a quarter of the way since the result before."""
    truth = moving(6)
    steady = smoothed([[of(one), flow(1.5, dt_ns=25_000_000)] for one in truth])
    assert overlap(steady[-1], truth[-1]) > 0.95


def test_frames_between_results_carry_the_last() -> None:
    truth = moving(4)
    found = smoothed([[of(one), flow(4)] if index % 5 == 0 else [flow(4)] for index, one in enumerate(truth)])
    assert len(found) == 10
    assert min(overlap(one, known) for one, known in zip(found, truth, strict=True)) > 0.95


def test_long_silence_gives_no_result() -> None:
    found = smoothed([[of(moving(0)[0]), flow()], *[[flow()]] * 9], lost_after="500ms")
    assert len(found) == 6


def test_result_after_a_gap_begins_anew() -> None:
    full, none = of(np.ones(SIZE)), of(np.zeros(SIZE))
    late = [make_frame(index=0, info=INFO), make_frame(index=1, pts_s=9, info=INFO)]
    assert (smoothed([[full, flow()], [none, flow()]], late)[1].class_map == 0).all()
    small = Segmentation(class_map=np.zeros((8, 8), np.uint8), labels=LABELS)
    assert smoothed([[full, flow()], [small, flow()]])[1].class_map.shape == (8, 8)
    assert (smoothed([[full, flow()], [none]])[1].class_map == 0).all()  # without flow nothing is carried
    assert (smoothed([[full, flow()], [none, flow()]])[1].class_map == 1).all()


def test_missing_segmentation_is_an_error() -> None:
    with pytest.raises(MissingInput, match="put `segmentation` in front"):
        run_plugin(SegmentationSmoothing, make_frames(2, info=INFO))


class Every(FramePlugin[Any]):
    """The left half is a person."""

    gives = (Segmentation,)

    def process(self, frame: Frame, past: Results) -> Output:
        class_map = np.zeros(SIZE, np.uint8)
        class_map[:, :48] = 1
        return [of(class_map)]


def test_heavy_net_may_run_at_lower_rate() -> None:
    rng = np.random.default_rng(1)
    rgb = rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    frames = [make_frame(rgb=rgb, index=index, info=INFO) for index in range(20)]
    chain = [plugin_plan(Every, settings={"rate": 2.0}), plugin_plan(SegmentationSmoothing)]
    found = run_chain(chain, frames, watch=SegmentationSmoothing).results
    assert len(found) == 20
    for one in found:
        assert isinstance(one, Segmentation)
        assert (one.class_map[:, :47] == 1).all()
        assert (one.class_map[:, 49:] == 0).all()


# areas


def covered(part: float, label: int = 1) -> list[Segmentation]:
    class_map = np.zeros(100, np.uint8)
    class_map[: round(part * 100)] = label
    return [of(class_map.reshape(10, 10))]


def test_areas_are_parts_of_the_picture() -> None:
    class_map = np.zeros((10, 10), np.uint8)
    class_map[:, :2], class_map[:, 5:] = 1, 2
    run = run_plugin(ClassAreasPlugin, make_frames(1), past=[[of(class_map)]], foreground=[])
    (areas,) = run.all(ClassAreas)
    assert areas.label == LABELS
    np.testing.assert_allclose(areas.area, [0.3, 0.2, 0.5])
    assert areas.of("car") == 0.5
    assert areas.of("cow") == 0
    (front,) = run.all(Foreground)
    np.testing.assert_array_equal(front.mask, class_map > 0)
    assert front.label == ("person", "car")


def test_foreground_has_the_chosen_labels() -> None:
    class_map = np.arange(12).reshape(3, 4) % 3
    run = run_plugin(ClassAreasPlugin, make_frames(1), past=[[of(class_map)]], foreground=["car"])
    np.testing.assert_array_equal(run.all(Foreground)[0].mask, class_map == 2)
    assert run_plugin(ClassAreasPlugin, make_frames(1), past=[[of(class_map)]]).all(Foreground) == []


def test_large_area_is_one_event() -> None:
    parts = [0.1] * 10 + [0.4] * 20 + [0.28] * 10 + [0.1] * 20
    frames = make_frames(len(parts), info=INFO)
    past = [covered(part) for part in parts]
    options: dict[str, Any] = {
        "limits": {"person": 0.3},
        "window": "0s",
        "leave": 0.9,
        "update_every": "0s",
        "mask": "counts",
    }
    events = run_plugin(ClassAreasPlugin, frames, past=past, **options).events
    assert [(event.type, event.phase) for event in events] == [("segment.area", "start"), ("segment.area", "end")]
    start, end = events
    assert (start.start_ns, start.pts_ns) == (seconds(1), seconds(1.5))
    assert start.data["label"] == "person"
    assert start.data["area"] == pytest.approx(0.4)
    assert start.data["box"] == [0, 0, 96, 25.6]
    np.testing.assert_array_equal(decode(start.data["mask"]), covered(0.4)[0].class_map == 1)
    assert end.end_ns == seconds(3.9)  # 0.28 is above 0.9 x 0.3
    assert end.data["duration_s"] == pytest.approx(2.9)
    assert end.data["most_area"] == pytest.approx(0.4)
    assert end.episode == start.episode


def test_an_area_about_the_limit_does_not_ring() -> None:
    rng = np.random.default_rng(3)
    parts = 0.3 + rng.normal(0, 0.02, 100)
    past = [covered(part) for part in parts]
    events = run_plugin(ClassAreasPlugin, make_frames(100, info=INFO), past=past, limits={"person": 0.29}).events
    assert [event.phase for event in events].count("start") == 1


@pytest.mark.parametrize("rate", [2, 25])
def test_the_rate_does_not_matter(rate: int) -> None:
    info = make_info(width=96, height=64, rate=rate)
    frames = make_frames(10 * rate, info=info)
    past = [covered(0.5 if 2 <= frame.pts_s < 6 else 0) for frame in frames]
    start, end = run_plugin(ClassAreasPlugin, frames, past=past, limits={"person": 0.3}).events
    assert start.start_ns == seconds(2)
    assert end.end_ns == pytest.approx(seconds(6), abs=seconds(1 / rate))


def test_each_label_has_its_own_limit() -> None:
    class_map = np.zeros((10, 10), np.uint8)
    class_map[:2], class_map[2:4] = 1, 2
    past = [[of(class_map)]] * 20
    events = run_plugin(
        ClassAreasPlugin, make_frames(20, info=INFO), past=past, limits={"person": 0.15, "car": 0.25}
    ).events
    assert [(event.data["label"], event.phase) for event in events] == [("person", "start"), ("person", "end")]


def test_gap_ends_open_areas() -> None:
    near = make_frames(20, info=INFO)
    far = [make_frame(index=index, pts_s=20 + index / 10, info=INFO) for index in range(20, 30)]
    chain = [plugin_plan(_Full), plugin_plan(ClassAreasPlugin, limits={"person": 0.5})]
    events = run_chain(chain, [*near, *far]).events
    assert [event.phase for event in events] == ["start", "end", "start", "end"]
    assert events[1].end_ns == seconds(1.9)
    broken = run_chain(chain, [*near, Fault("broken")]).events
    assert [event.phase for event in broken] == ["start", "end"]


class _Full(FramePlugin[Any]):
    gives = (Segmentation,)

    def process(self, frame: Frame, past: Results) -> Output:
        return [of(np.ones((4, 4)))]


def test_label_unknown_to_the_segmentation_is_named() -> None:
    with pytest.raises(PluginError, match="'persn'; did you mean 'person'"):
        run_plugin(ClassAreasPlugin, make_frames(1), past=[covered(0.5)], limits={"persn": 0.1})


# the real net


@pytest.mark.real
def test_a_still_picture_under_noise_flickers_less(shared: Path, tmp_path: Path) -> None:
    bgr = cv2.imread(str(shared / "models" / "pictures" / "bird_segmentation.bmp"))
    assert bgr is not None
    frames = noisy(np.ascontiguousarray(bgr[..., ::-1]))
    raw, steady = both(frames, shared, tmp_path)
    assert flicker(steady[4:]) < 0.4 * flicker(raw[4:])


@pytest.mark.real
def test_a_shop_before_a_fixed_camera_flickers_less(shared: Path, tmp_path: Path) -> None:
    frames = clip(shared / "media" / "cctv_retail02_1080p_hevc.mp4", 12)
    raw, steady = both(frames, shared, tmp_path)
    assert flicker(steady[4:]) < 0.6 * flicker(raw[4:])
    assert np.mean([(a.class_map == b.class_map).mean() for a, b in zip(raw, steady, strict=True)]) > 0.93


def noisy(rgb: NDArray[np.integer[Any]], count: int = 12) -> list[Frame]:
    rng = np.random.default_rng(0)
    pictures = [np.clip(rgb + rng.normal(0, 12, rgb.shape), 0, 255).astype(np.uint8) for _ in range(count)]
    info = make_info(width=rgb.shape[1], height=rgb.shape[0], rate=10)
    return [make_frame(rgb=one, index=index, info=info) for index, one in enumerate(pictures)]


def clip(path: Path, count: int) -> list[Frame]:
    """Every third frame of the beginning, ten a second."""
    video = cv2.VideoCapture(str(path))
    pictures = [video.read()[1] for _ in range(3 * count)][::3]
    video.release()
    info = make_info(width=pictures[0].shape[1], height=pictures[0].shape[0], rate=10)
    return [
        make_frame(rgb=np.ascontiguousarray(bgr[..., ::-1], np.uint8), index=index, info=info)
        for index, bgr in enumerate(pictures)
    ]


def both(frames: list[Frame], shared: Path, tmp_path: Path) -> tuple[list[Segmentation], list[Segmentation]]:
    """The small net's answer, and the same smoothed along the engine's flow."""
    models = ModelStore(mirrors=[shared / "models"], cache=tmp_path / "cache", download=False)
    raw = run_plugin(SegmentationPlugin, frames, models=models, model="deeplab-voc-small").all(Segmentation)
    by_time = {frame.pts_ns: one for frame, one in zip(frames, raw, strict=True)}

    class Again(FramePlugin[Any]):
        gives = (Segmentation,)

        def process(self, frame: Frame, past: Results) -> Output:
            return [by_time[frame.pts_ns]]

    run = run_chain([plugin_plan(Again), plugin_plan(SegmentationSmoothing)], frames, watch=SegmentationSmoothing)
    return raw, run.all(Segmentation)
