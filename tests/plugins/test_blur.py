"""Anonymisation: covered regions can't be recognised, and missing results cover everything."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from streamproc import (
    Detections,
    Faces,
    Frame,
    FramePlugin,
    Options,
    Output,
    PluginError,
    Replacement,
    Result,
    Results,
    Segmentation,
    StreamPlugin,
)
from streamproc.testing import make_detections, make_frame, make_info, make_tracks, plugin_plan, run_chain, run_plugin
from streamproc_plugins.annotate import Annotate
from streamproc_plugins.blur import Blur, BlurOptions, anonymise
from tests.plugins.faces import make_faces

INFO = make_info(width=96, height=64, rate=10)
NOISE = np.random.default_rng(7).integers(0, 256, (64, 96, 3), dtype=np.uint8)
FACE = [30.0, 20.0, 50.0, 44.0]


def colours(part: NDArray[np.uint8]) -> int:
    return len(np.unique(part.reshape(-1, 3), axis=0))


def blurred(past: Sequence[Sequence[Result]], **options: Any) -> list[NDArray[np.uint8]]:
    """The covered noise, frame by frame."""
    frames = [make_frame(rgb=NOISE, index=n, info=INFO) for n in range(len(past))]
    return [found.rgb for found in run_plugin(Blur, frames, past=past, **options).all(Replacement)]


@pytest.mark.parametrize("method", ["mosaic", "fill"])
def test_box_loses_its_details_and_nothing_else_changes(method: Any) -> None:
    out = anonymise(NOISE, np.array([[10.2, 5.5, 39.5, 44.9]]), method=method, blocks=4)
    inside = np.zeros((64, 96), np.bool_)
    inside[5:45, 10:40] = True
    assert colours(out[inside]) <= (12 if method == "mosaic" else 1)
    assert np.array_equal(out[~inside], NOISE[~inside])
    assert not np.array_equal(NOISE[inside], out[inside])


def test_equal_mean_colours_give_equal_pictures() -> None:
    one, two = (
        (90 + 60 * ((np.indices((60, 60)) // step).sum(axis=0) % 2))[..., None].repeat(3, axis=2).astype(np.uint8)
        for step in (1, 6)
    )
    assert not np.array_equal(one, two)
    box = np.array([[0, 0, 60, 60]])
    assert np.array_equal(anonymise(one, box, blocks=5), anonymise(two, box, blocks=5))


def test_shapes_are_covered_and_boxes_may_overlap_borders() -> None:
    mask = np.zeros((64, 96), np.bool_)
    mask[10:30, 10:30] = np.tri(20, dtype=np.bool_)
    out = anonymise(NOISE, np.zeros((0, 4)), masks=[mask], method="fill")
    assert colours(out[mask]) == 1
    assert np.array_equal(out[~mask], NOISE[~mask])
    out = anonymise(NOISE, np.array([[-20, -20, 5, 5], [90, 60, 400, 400], [200, 200, 300, 300]]), method="fill")
    assert colours(out[:5, :5]) == colours(out[60:, 90:]) == 1
    assert np.array_equal(out[5:60, 5:90], NOISE[5:60, 5:90])
    polygon = np.array([[50, 10], [90, 10], [70, 50]])
    assert colours(anonymise(NOISE, np.zeros((0, 4)), polygons=[polygon], method="fill")[12:30, 65:75]) == 1
    assert np.array_equal(anonymise(NOISE, np.zeros((0, 4))), NOISE)


def test_leaky_options_are_refused() -> None:
    with pytest.raises(ValueError, match="blocks is 40, expected 1 to 8"):
        anonymise(NOISE, np.zeros((0, 4)), blocks=40)
    with pytest.raises(ValueError, match="not finite"):
        anonymise(NOISE, np.array([[0, 0, np.nan, 5]]))
    with pytest.raises(ValidationError, match="less than or equal to 8"):
        BlurOptions.model_validate({"blocks": 20})
    with pytest.raises(ValidationError, match="nothing is to be covered"):
        BlurOptions.model_validate({"faces": False})
    with pytest.raises(ValidationError, match="a polygon of 2 different points encloses nothing"):
        BlurOptions.model_validate({"zones": {"a": [[0, 0], [1, 1]]}})
    with pytest.raises(ValidationError, match=r"doesn't end in \.mp4"):
        BlurOptions.model_validate({"path": "a.avi"})


def test_faces_are_covered_with_a_margin() -> None:
    (out,) = blurred([[make_faces(FACE)]], method="fill", margin=0.25)
    changed = (out != NOISE).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) == (25, 14, 55, 50)
    assert colours(out[14:50, 25:55]) == 1


def test_people_are_covered_from_boxes_tracks_and_maps() -> None:
    options = {"faces": False, "labels": ["person"], "method": "fill", "margin": 0, "hold": "0s"}
    car = make_detections([60, 0, 90, 20], label="car")
    person = make_detections(FACE)
    (out,) = blurred([[person]], **options)
    assert colours(out[20:44, 30:50]) == 1
    (out,) = blurred([[car]], **options)
    assert np.array_equal(out, NOISE)
    (out,) = blurred([[make_tracks({3: FACE}, state="lost")]], **options)
    assert colours(out[20:44, 30:50]) == 1
    grid = np.zeros((8, 12), np.uint8)
    grid[2:4, 3:6] = 1
    (out,) = blurred([[Segmentation(class_map=grid, labels=("ground", "person"))]], **options)
    assert colours(out[16:32, 24:48]) == 1
    assert np.array_equal(out[48:], NOISE[48:])


def test_label_without_a_map_hides_everything() -> None:
    found = Segmentation(class_map=np.zeros((8, 12), np.uint8), labels=("ground", "person"))
    with pytest.raises(PluginError, match="no segmentation has the label 'persons'; did you mean 'person'"):
        blurred([[found]], faces=False, labels=["persons"])


def test_zones_are_drawn_once_and_cover_every_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    drawn: list[int] = []
    fill = cv2.fillPoly

    def counted(*given: Any) -> Any:
        drawn.append(1)
        return fill(*given)

    monkeypatch.setattr(cv2, "fillPoly", counted)
    zones = {"a": [[0, 0], [0.5, 0], [0.5, 0.5]], "b": [[1, 1], [0.8, 1], [0.8, 0.8]]}
    first, *others = blurred([[]] * 4, faces=False, zones=zones, method="fill")
    assert len(drawn) == 2
    assert all(np.array_equal(first, other) for other in others)


def test_zones_are_covered_whoever_is_there() -> None:
    (out,) = blurred([[]], faces=False, zones={"window": [[0, 0], [0.5, 0], [0.5, 0.5], [0, 0.5]]}, method="fill")
    assert colours(out[:32, :48]) == 1
    assert np.array_equal(out[40:], NOISE[40:])


@pytest.mark.parametrize("rate", [5.0, 10.0, 30.0])
def test_missed_face_stays_covered_for_a_while(rate: float) -> None:
    info = make_info(width=96, height=64, rate=rate)
    past = [[make_faces(FACE)], *[[make_faces()]] * round(rate)]
    frames = [make_frame(rgb=NOISE, index=n, info=info) for n in range(len(past))]
    outs = [f.rgb for f in run_plugin(Blur, frames, past=past, method="fill", hold="600ms").all(Replacement)]
    covered = [not np.array_equal(out, NOISE) for out in outs]
    assert covered == [frame.pts_ns <= 600_000_000 for frame in frames]


def test_a_face_that_moves_leaves_nothing_covered_behind() -> None:
    past = [[make_faces([10.0 + 3 * n, 10, 34.0 + 3 * n, 34])] for n in range(10)]
    out = blurred(past, method="fill", margin=0)[-1]
    assert np.array_equal(out[:, :36], NOISE[:, :36])


def hidden(rgb: NDArray[np.uint8]) -> bool:
    """Whether nothing but a few coarse blocks is left."""
    return colours(rgb) <= 25


def test_it_covers_everything_where_a_result_is_missing() -> None:
    outs = blurred([[make_faces()], [], [make_detections(FACE)], [make_faces()]])
    assert [hidden(out) for out in outs] == [False, True, True, False]
    outs = blurred([[make_faces(), make_detections()], [make_faces()], [make_detections()]], labels=["person"])
    assert [hidden(out) for out in outs] == [False, True, True]
    # the second detector has given something before: without it a person may be missed
    outs = blurred([[make_detections(), make_tracks({})], [make_detections()]], faces=False, labels=["person"])
    assert len(outs) == 2


class Finder(FramePlugin[Options]):
    """A face detector that fails at every other frame."""

    gives = (Faces,)

    def process(self, frame: Frame, past: Results) -> Output:
        if frame.index % 2:
            raise ValueError("out of memory")
        return [make_faces(FACE)]


class Second(FramePlugin[Options]):
    """A detector of people that fails at every third frame."""

    gives = (Detections,)

    def process(self, frame: Frame, past: Results) -> Output:
        if frame.index % 3 == 2:
            raise ValueError("out of memory")
        return [make_detections()]


class Recorder(StreamPlugin[Options]):
    """Stores the pictures that it gets."""

    pixels = True
    pictures: list[NDArray[np.uint8]] = []  # noqa: RUF012

    def process(self, frame: Frame, past: Results) -> Output:
        self.pictures.append(frame.rgb)
        return ()


def test_a_detector_that_fails_lets_nothing_through() -> None:
    Recorder.pictures.clear()
    frames = [make_frame(rgb=NOISE, index=n, info=INFO) for n in range(6)]
    chain = [plugin_plan(Finder), plugin_plan(Second), plugin_plan(Blur, labels=["person"]), plugin_plan(Recorder)]
    run_chain(chain, frames)
    assert [hidden(rgb) for rgb in Recorder.pictures] == [False, True, True, True, False, True]
    assert all(colours(rgb[20:44, 30:50]) <= 25 for rgb in Recorder.pictures)


def read_video(path: Path) -> list[NDArray[np.uint8]]:
    film = cv2.VideoCapture(str(path))
    out: list[NDArray[np.uint8]] = []
    while True:
        there, bgr = film.read()
        if not there:
            film.release()
            return out
        out.append(np.asarray(bgr[..., ::-1], np.uint8))


def test_videos_of_blur_and_annotate_show_nobody(tmp_path: Path) -> None:
    frames = [make_frame(rgb=NOISE, index=n, info=INFO) for n in range(5)]

    class Found(Finder):
        def process(self, frame: Frame, past: Results) -> Output:
            return [make_faces(FACE)]

    chain = [
        plugin_plan(Found, name="faces"),
        plugin_plan(Blur, path=str(tmp_path / "{stream}-blurred.mp4"), crf=0, method="fill"),
        plugin_plan(Annotate, path=str(tmp_path / "{stream}-drawn.mp4"), crf=0, draw=["clock"]),
    ]
    run_chain(chain, frames)
    for name in ("test-blurred.mp4", "test-drawn.mp4"):
        pictures = read_video(tmp_path / name)
        assert len(pictures) == 5
        for rgb in pictures:
            assert rgb[24:42, 34:48].astype(int).std(axis=(0, 1)).max() < 3
            assert rgb[54:].astype(int).std() > 20


def test_held_boxes_survive_a_restart() -> None:
    import logging

    from streamproc import PluginContext
    from streamproc.models import ModelStore

    def opened() -> Blur:
        plugin = Blur(BlurOptions(method="fill"))
        plugin.open(PluginContext(name="b", stream=INFO, models=ModelStore(), log=logging.getLogger("test")))
        return plugin

    def observe(plugin: Blur, index: int, *results: Result) -> NDArray[np.uint8]:
        frame = make_frame(rgb=NOISE, index=index, info=INFO)
        (found,) = plugin.process(frame, Results({(f"p{n}", type(r)): r for n, r in enumerate(results)})) or ()
        assert isinstance(found, Replacement)
        return found.rgb

    first, second = opened(), opened()
    observe(
        first,
        0,
        make_faces(FACE),
    )
    second.restore(json.loads(json.dumps(first.state())))
    assert colours(observe(second, 1, make_faces())[20:44, 30:50]) == 1
    assert colours(observe(second, 2)) == 1
