"""Annotated video, read back."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from pydantic import ValidationError

from streamproc import Caption, Classification, Event, Faces, Frame, FramePlugin, Options, Poses, Result, Segmentation
from streamproc.frames import Image
from streamproc.models import ModelStore
from streamproc.plugin import PluginContext, Results
from streamproc.testing import make_detections, make_frame, make_info, make_tracks, plugin_plan, run_chain, run_plugin
from streamproc_plugins.action import AttentionMap
from streamproc_plugins.annotate import Annotate, AnnotateOptions
from streamproc_plugins.annotate.layers import draw_lines, draw_poses
from streamproc_plugins.annotate.paint import Canvas, colour_of
from streamproc_plugins.rules import RuleView

INFO = make_info("gate 3/a", width=320, height=240)
TIMES = [0.0, 0.04, 0.2, 0.21, 0.5, 1.0]


def frames(times: list[float] | None = None) -> list[Frame]:
    return [make_frame(fill=90, index=index, pts_s=t, info=INFO) for index, t in enumerate(times or TIMES)]


def read(path: Path) -> tuple[list[float], list[Image]]:
    with av.open(str(path)) as container:
        found = [
            (float(f.time or 0), np.asarray(f.to_ndarray(format="rgb24"), np.uint8)) for f in container.decode(video=0)
        ]
    return [time for time, _ in found], [picture for _, picture in found]


def drawn(tmp_path: Path, results: list[Result], **options: Any) -> Image:
    """The last picture of a video with these results in each frame."""
    chosen = {"draw": ["boxes"], "crf": 10, "path": str(tmp_path / "v.mp4"), **options}
    run_plugin(Annotate, frames(), past=[results for _ in TIMES], **chosen)
    return read(tmp_path / "v.mp4")[1][-1]


def changed(picture: Image) -> Any:
    return np.abs(picture.astype(int) - 90).max(axis=2) > 25


def test_video_has_the_source_timing_and_stream_name(tmp_path: Path) -> None:
    run_chain([plugin_plan(Annotate, path=str(tmp_path / "sub" / "{stream}.mp4"))], frames())
    (path,) = (tmp_path / "sub").iterdir()
    assert path.name == "test.mp4"
    times, pictures = read(path)
    assert times == pytest.approx(TIMES, abs=1e-4)
    assert pictures[0].shape == (240, 320, 3)


@pytest.mark.parametrize(
    "names", [("cam/1", "cam_1", "cam 1"), (".", "..", "_"), ("x" * 400, "x" * 401), ("\udce4", "\udce5")]
)
def test_streams_of_any_name_write_a_file_each(names: tuple[str, ...], tmp_path: Path) -> None:
    for name in names:
        plugin = Annotate(AnnotateOptions(path=str(tmp_path / "{stream}.mp4")))
        info = make_info(name, width=64, height=48)
        context = PluginContext(name="drawn", stream=info, models=ModelStore(), log=logging.getLogger(__name__))
        plugin.open(context)
        list(plugin.process(make_frame(info=info), Results()))
        plugin.close()
    assert len(list(tmp_path.glob("*.mp4"))) == len(names)


def test_track_is_drawn_in_its_colour(tmp_path: Path) -> None:
    picture = drawn(tmp_path, [make_tracks({4: (100, 80, 160, 200)})])
    marks = changed(picture)
    assert marks[100:180, 98:103].any(axis=1).all()
    assert marks[198:203, 100:160].any(axis=0).all()
    assert not marks[100:180, 110:150].any()
    assert not marks[:, 200:].any()
    # the tag above the box is filled with the track's colour, but for its letters
    tag = picture[70:78, 102:130].reshape(-1, 3)
    assert np.abs(np.quantile(tag, 0.8, axis=0) - colour_of(4)).max() < 30


def test_detections_are_drawn_where_nothing_tracks(tmp_path: Path) -> None:
    boxes = make_detections((100, 80, 160, 200))
    assert changed(drawn(tmp_path, [boxes])).any()
    far = make_tracks({1: (200, 80, 260, 200)})
    assert not changed(drawn(tmp_path, [boxes, far]))[:, :150].any()


def test_masks_have_colours_of_their_own(tmp_path: Path) -> None:
    masks = np.zeros((2, 60, 80), np.bool_)  # a quarter of the picture's size
    masks[0, 10:30, 5:20], masks[1, 10:30, 50:70] = True, True
    found = replace(make_detections((20, 40, 80, 120), (200, 40, 280, 120)), masks=masks)
    picture = drawn(tmp_path, [found], draw=["masks"])
    marks = changed(picture)
    assert marks[44:116, 24:76].all()
    assert marks[44:116, 204:276].all()
    assert not marks[:, 90:190].any()
    assert not marks[130:].any()
    first, second = picture[60:100, 40:60].mean(axis=(0, 1)), picture[60:100, 230:250].mean(axis=(0, 1))
    assert np.abs(first - second).max() > 30


def test_last_segmentation_is_drawn(tmp_path: Path) -> None:
    def given(rows: slice) -> type[FramePlugin[Options]]:
        class Given(FramePlugin[Options]):
            gives = (Segmentation,)

            def process(self, frame: Frame, past: Any) -> Any:
                class_map = np.zeros((12, 16), np.uint8)
                class_map[rows] = 1
                return [Segmentation(class_map=class_map, labels=("background", "person"))]

        return Given

    chain = [plugin_plan(given(slice(0, 3)), name="raw"), plugin_plan(given(slice(9, 12)), name="steady")]
    run_chain([*chain, plugin_plan(Annotate, path=str(tmp_path / "v.mp4"), draw=["segmentation"])], frames())
    marks = changed(read(tmp_path / "v.mp4")[1][-1])
    assert not marks[:100].any()
    assert marks[185:].all()


def test_the_other_plugins_pictures_stay_as_they_are(tmp_path: Path) -> None:
    given = frames()
    run_plugin(Annotate, given, past=[[make_tracks({1: (10, 10, 90, 90)})]] * len(TIMES), path=str(tmp_path / "v.mp4"))
    assert all((frame.rgb == 90).all() for frame in given)


def test_zones_and_lines_come_from_the_rules(tmp_path: Path) -> None:
    view = RuleView(
        zone=("yard",),
        zone_points=np.array([[20, 40], [120, 40], [120, 200], [20, 200]], np.float32),
        zone_start=np.array([0, 4]),
        occupancy=np.array([2]),
        line=("gate",),
        line_points=np.array([[200, 20], [200, 220]], np.float32),
        line_start=np.array([0, 2]),
        crossings=np.array([[3, 1]]),
        direction=("out", "in"),
    )
    picture = drawn(tmp_path, [view], draw=["zones", "lines"])
    inside, outside = picture[150, 70].astype(int), picture[150, 160].astype(int)
    assert np.abs(inside - outside).max() > 8
    assert changed(picture)[30:210, 199:202].any(axis=1).all()
    assert not changed(drawn(tmp_path, [view], draw=["boxes"])).any()


def test_every_other_kind_of_result_leaves_its_mark(tmp_path: Path) -> None:
    points = np.zeros((1, 17, 3), np.float32)
    points[0, :, :2] = np.random.default_rng(3).uniform(60, 180, (17, 2))
    points[0, :, 2] = 0.9
    face = Faces(
        xyxy=np.array([[50, 50, 100, 110]], np.float32),
        score=np.ones(1, np.float32),
        landmarks=np.full((1, 5, 2), 75, np.float32),
        cluster=("ada",),
    )
    grid = np.zeros((12, 16), np.uint8)
    grid[6:, 8:] = 1
    for layer, result in {
        "poses": Poses(keypoints=points, score=np.ones(1, np.float32)),
        "faces": face,
        "segmentation": Segmentation(class_map=grid, labels=("nothing", "road")),
    }.items():
        assert changed(drawn(tmp_path, [result], draw=[layer])).mean() > 0.003, layer
    named = Classification(label=("playing",), score=np.ones(1, np.float32), class_id=np.zeros(1, np.int64))
    sentence = Caption(text="a rather long sentence about a dog that runs over a wide field with a red ball " * 2)
    marks = changed(drawn(tmp_path, [named, sentence], draw=["captions"]))
    assert marks[:30, 200:].any()
    assert marks[180:, :].any()


class There(FramePlugin[Options]):
    """A person on the left."""

    gives = (Poses,)
    x = 80.0

    def process(self, frame: Frame, past: Any) -> Any:
        points = np.full((1, 17, 3), 0.9, np.float32)
        points[0, :, 0] = self.x
        points[0, :, 1] = np.arange(60, 145, 5)
        return [Poses(keypoints=points, score=np.ones(1, np.float32))]


class Here(There):
    """The same person on the right."""

    x = 240.0


def test_poses_made_of_others_stand_for_them(tmp_path: Path) -> None:
    chain = [plugin_plan(There), plugin_plan(Here), plugin_plan(Annotate, path=str(tmp_path / "v.mp4"), draw=["poses"])]
    run_chain(chain, frames())
    marks = changed(read(tmp_path / "v.mp4")[1][0])
    assert marks[:, 200:280].any()
    assert not marks[:, :120].any()


def test_limbs_stand_out_on_their_own_colour() -> None:
    canvas = Canvas(np.full((240, 320, 3), colour_of(0), np.uint8))
    points = np.zeros((1, 17, 3), np.float32)
    points[0, [5, 7]] = [(100, 60, 0.9), (100, 180, 0.9)]  # an upper arm
    draw_poses(canvas, Poses(keypoints=points, score=np.ones(1, np.float32)))
    arm = canvas.rgb[80:160, 92:109].astype(int)
    assert (arm.max(axis=2).min(axis=1) < 80).all()
    assert (np.abs(arm[:, 8] - colour_of(0)).max(axis=1) < 30).all()


def test_counts_stand_at_the_start_of_a_line() -> None:
    canvas = Canvas(np.full((240, 320, 3), 90, np.uint8))
    view = RuleView(
        zone=(), zone_points=np.zeros((0, 2), np.float32), zone_start=np.zeros(1, np.int64),
        occupancy=np.zeros(0, np.int64), line=("gate",), line_points=np.array([[100, 40], [100, 200]], np.float32),
        line_start=np.array([0, 2]), crossings=np.array([[1, 2]]), direction=("in", "out"),
    )  # fmt: skip
    draw_lines(canvas, view)
    marks = changed(canvas.rgb)
    assert marks[42:54, 110:140].all(axis=1).any()
    assert not marks[80:, 110:].any()


class Alarm(FramePlugin[Options]):
    """Emits one event at the first frame."""

    def process(self, frame: Frame, past: Any) -> Any:
        return [Event.instant(frame, "zone.entered", zone="yard", label="person")] if frame.index == 0 else []


def test_event_is_shown_for_its_media_time(tmp_path: Path) -> None:
    options: dict[str, Any] = {"path": str(tmp_path / "v.mp4"), "draw": ["events"], "event_for": "300ms"}
    run_chain([plugin_plan(Alarm), plugin_plan(Annotate, **options)], frames())
    marks = [changed(picture)[180:].any() for picture in read(tmp_path / "v.mp4")[1]]
    assert marks == [True, True, True, True, False, False]


class Says(FramePlugin[Options]):
    """A sentence in every frame, and the event with it."""

    gives = (Caption,)
    text = "a sentence that is so long that it reaches well into the lower left corner of the picture"

    def process(self, frame: Frame, past: Any) -> Any:
        yield Caption(text=self.text)
        yield Event.instant(frame, "caption", text=self.text)


def last_picture(path: Path, *chain: type[FramePlugin[Options]], **options: Any) -> Image:
    run_chain([*map(plugin_plan, chain), plugin_plan(Annotate, path=str(path), crf=10, **options)], frames())
    return read(path)[1][-1]


def test_events_stand_above_the_sentences(tmp_path: Path) -> None:
    layers = ["captions", "events"]
    words = last_picture(tmp_path / "a.mp4", Says, draw=["captions"])
    both = last_picture(tmp_path / "b.mp4", Alarm, Says, draw=layers)
    rows = np.flatnonzero(changed(words).any(axis=1))
    assert np.abs(both[rows[0] :].astype(int) - words[rows[0] :]).max() < 40
    above = changed(both)[: rows[0]]
    assert above[-30:, 5:60].any()
    # the sentence stands there: its event isn't drawn a second time
    assert not changed(last_picture(tmp_path / "c.mp4", Says, draw=layers))[: rows[0]].any()


class Seldom(FramePlugin[Options]):
    """Names the picture in the first frame only."""

    gives = (Classification,)

    def process(self, frame: Frame, past: Any) -> Any:
        named = Classification(label=("playing",), score=np.ones(1, np.float32), class_id=np.zeros(1, np.int64))
        return [named] if frame.index == 0 else []


def test_classification_is_shown_until_too_old(tmp_path: Path) -> None:
    options: dict[str, Any] = {"path": str(tmp_path / "v.mp4"), "draw": ["captions"], "event_for": "300ms"}
    run_chain([plugin_plan(Seldom), plugin_plan(Annotate, **options)], frames())
    marks = [changed(picture)[:30].any() for picture in read(tmp_path / "v.mp4")[1]]
    assert marks == [True, True, True, True, False, False]


def test_attention_is_drawn_within_its_region(tmp_path: Path) -> None:
    """A grid of two rows and four columns over the right half; the net looked at the lower row's last region."""
    weights = np.full((3, 2, 4), 0.02, np.float32)
    weights[-1, 1, 3] = 0.9
    looked = AttentionMap(weights=weights, region=(0.5, 0.0, 1.0, 1.0))
    marks = changed(drawn(tmp_path, [looked], draw=["attention"]))
    assert marks[190:235, 290:318].mean() > 0.9
    assert not marks[:, :230].any()
    assert not marks[:90].any()
    assert not changed(drawn(tmp_path, [looked], draw=["boxes"])).any()


def test_video_may_be_smaller_and_odd_sized(tmp_path: Path) -> None:
    assert drawn(tmp_path, [make_tracks({1: (100, 80, 160, 200)})], scale=0.51).shape[:2] == (122, 164)


@pytest.mark.parametrize(
    ("path", "words"),
    [("out/{camera}.mp4", "only placeholder"), ("out/{.mp4", "can't be read"), ("out/video.avi", "doesn't end in")],
)
def test_senseless_path_is_refused(path: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        AnnotateOptions(path=path)
