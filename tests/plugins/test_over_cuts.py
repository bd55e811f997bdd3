"""Plugins with a memory at a cut that `shots` finds: a cut at 1 s that is known at 1.2 s."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamproc import (
    Caption,
    Classification,
    Event,
    Frame,
    FramePlugin,
    MissingInput,
    Moment,
    Options,
    Output,
    PluginContext,
    Poses,
    Result,
    Results,
    Segmentation,
    StreamPlugin,
    TimeReason,
    Tracks,
)
from streamproc.chain.ordered import process_in_order, read_state, restore_state
from streamproc.models import ModelStore
from streamproc.shots import Shot
from streamproc.testing import (
    check_plugin_contract,
    make_detections,
    make_frame,
    make_info,
    make_tracks,
    plugin_plan,
    run_chain,
    run_plugin,
)
from streamproc_plugins.action import Action, Fusion, FusionOptions, PoseAction, TrackAction, TrackActions
from streamproc_plugins.captioning import CaptionNet, Captions
from streamproc_plugins.pose import PoseEvents, PosePooling, PoseSmoothing
from streamproc_plugins.segmentation import SegmentationSmoothing
from streamproc_plugins.shots import Shots, ended_at_cut
from streamproc_plugins.tracking import Tracking
from tests.contract.test_plugins import captioner
from tests.nets import answering_net, brightness_clips, model_folder
from tests.plugins.people import hands_up, lying, poses, standing

INFO = make_info(width=96, height=64, rate=10)
SECOND = 1_000_000_000
COUNT = 25
CUT = 10
"""frame in which another view begins"""
KNOWN = 12
"""frame from which on that is known"""


def frames(fills: Sequence[int] | None = None) -> list[Frame]:
    """10 a second."""
    return [make_frame(index=i, fill=128 if fills is None else fills[i], info=INFO) for i in range(COUNT)]


def shot(index: int) -> Shot:
    """The result of `shots` at a frame."""
    if index < KNOWN:
        return Shot(number=1, start_ns=0, kind="start")
    return Shot(number=2, start_ns=CUT * SECOND // 10, kind="cut")


def beside(results: Sequence[Result]) -> list[list[Result]]:
    """With a `Shot` at each frame."""
    return [[result, shot(i)] for i, result in enumerate(results)]


def view(number: int) -> Any:
    """One of several pictures that have nothing in common."""
    noise = np.random.default_rng(number).integers(0, 256, (8, 12, 3))
    return np.kron(noise, np.ones((8, 8, 1))).astype(np.uint8)


def times(events: Sequence[Event]) -> list[tuple[str, float]]:
    return [(e.phase, (e.start_ns if e.end_ns is None else e.end_ns) / SECOND) for e in events]


class Cuts(StreamPlugin[Options]):
    """Emits the calls that it gets."""

    def process(self, frame: Frame, past: Results) -> Output:
        yield Event.instant(frame, "frame")

    def on_time(self, moment: Moment, reason: TimeReason) -> Output:
        yield Event(type=reason, phase="instant", start_ns=moment.pts_ns, end_ns=moment.pts_ns)

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        del state


def test_cut_arrives_before_its_frame() -> None:
    events = run_plugin(Cuts, frames(), past=[[shot(i)] for i in range(COUNT)]).events
    assert [event.type for event in events] == ["frame"] * KNOWN + ["cut"] + ["frame"] * (COUNT - KNOWN)
    cut = events[KNOWN]
    assert (cut.start_ns, cut.frame_index, cut.pts_ns) == (SECOND, KNOWN, KNOWN * SECOND // 10)


def test_the_first_call_knows_no_cut() -> None:
    events = run_plugin(Cuts, frames()[:5], past=[[shot(KNOWN)] for _ in range(5)]).events
    assert {event.type for event in events} == {"frame"}


def test_end_without_a_time_is_at_the_cut() -> None:
    class Staying(Cuts):
        def on_time(self, moment: Moment, reason: TimeReason) -> Output:
            yield Event(type="stay", phase="end", start_ns=0)

    events = run_plugin(Staying, frames(), past=[[shot(i)] for i in range(COUNT)]).events
    assert [event.end_ns for event in events if event.phase == "end"] == [SECOND]


def test_slower_plugin_gets_the_cut_too() -> None:
    class Cutter(FramePlugin[Options]):
        gives = (Shot,)

        def process(self, frame: Frame, past: Results) -> Output:
            yield shot(frame.index)

    chain = [plugin_plan(Cutter), plugin_plan(Cuts, settings={"rate": 2.0})]
    events = run_chain(chain, frames()).events
    assert [(event.type, event.frame_index) for event in events] == [
        ("frame", 0), ("frame", 5), ("frame", 10), ("cut", 15), ("frame", 15), ("frame", 20),
    ]  # fmt: skip


def test_cut_ends_outlive_a_missing_input() -> None:
    class Picky(Cuts):
        def process(self, frame: Frame, past: Results) -> Output:
            raise MissingInput("no picture")

    run = run_chain(
        [plugin_plan(Shots), plugin_plan(Picky)],
        [make_frame(index=i, rgb=view(int(i >= 20)), info=INFO) for i in range(40)],
    )
    assert run.types.count("cut") == 1


def test_shot_is_stored_with_the_state() -> None:
    before, after = Cuts(Options()), Cuts(Options())
    at_first, later = (Results({("shots", Shot): shot(i)}) for i in (0, KNOWN))
    list(process_in_order(before, frames()[0], at_first) or ())
    restore_state(after, read_state(before)[1])
    events = [item for item in process_in_order(after, frames()[KNOWN], later) or () if isinstance(item, Event)]
    assert [event.type for event in events] == ["cut", "frame"]


def test_episode_spanning_a_cut_ends_at_it() -> None:
    frame = make_frame(index=30, pts_s=3.0, info=INFO)
    begun = [Event.begin(frame, "a.b", episode=str(at), start_ns=at * SECOND) for at in (0, 2)]
    ends = [event.later("end", end_ns=frame.pts_ns, duration_s=1.5) for event in begun]
    first, second = ended_at_cut(ends, SECOND)
    assert (first.end_ns, first.data["duration_s"]) == (SECOND, 1.0)
    assert (second.end_ns, second.data["duration_s"]) == (3 * SECOND, 1.5)  # it lies behind the cut as a whole


def test_new_object_gets_a_new_id_after_cut() -> None:
    given = [make_detections([20, 10, 50, 60])] * COUNT
    without = run_plugin(Tracking, frames(), past=[[one] for one in given]).all(Tracks)
    assert {int(one.track_id[0]) for one in without if len(one)} == {1}
    found = run_plugin(Tracking, frames(), past=beside(given)).all(Tracks)
    observed = [(index, int(one.track_id[0])) for index, one in enumerate(found) if len(one)]
    assert {index: number for index, number in observed if index < KNOWN}.keys() == {*range(1, KNOWN)}
    assert {number for index, number in observed if index < KNOWN} == {1}
    assert {number for index, number in observed if index >= KNOWN} == {2}


def test_smoothing_begins_anew_with_other_people() -> None:
    given = [poses(standing(100 if i < CUT else 104, 80)) for i in range(COUNT)]
    found = run_plugin(PoseSmoothing, frames(), past=beside(given), min_cutoff=0.05, beta=0).all(Poses)
    before, known = found[KNOWN - 1], found[KNOWN]
    assert np.abs(before.keypoints[0, :, 0] - given[CUT].keypoints[0, :, 0]).max() > 2  # still drawn back
    assert np.allclose(known.keypoints, given[KNOWN].keypoints)
    ids = [int(one.track_id[0]) for one in found if one.track_id is not None]
    assert ids == [1] * KNOWN + [2] * (COUNT - KNOWN)


def test_pooling_takes_nothing_over_a_cut() -> None:
    given = [poses(standing(30 if i < CUT else 34, 10, 0.3)) for i in range(COUNT)]
    found = run_plugin(PosePooling, frames(), past=beside(given)).all(Poses)
    assert np.abs(found[KNOWN - 1].keypoints - given[CUT].keypoints).max() > 1
    assert np.allclose(found[KNOWN].keypoints, given[KNOWN].keypoints)


def test_lying_in_two_shots_is_two_people() -> None:
    given = [poses(lying(300, 200), track_id=[5])] * COUNT
    events = run_plugin(PoseEvents, frames(), past=beside(given), lying_for="300ms").events
    assert times(events) == [("start", 0.0), ("end", 1.0), ("start", 1.2), ("end", 2.4)]
    assert events[1].data["duration_s"] == 1.0


def test_cut_to_somebody_lying_is_no_fall() -> None:
    given = [poses(standing(300, 100) if i < CUT else lying(300, 250), track_id=[5]) for i in range(COUNT)]
    assert "pose.fall" in run_plugin(PoseEvents, frames(), past=[[one] for one in given]).types
    assert "pose.fall" not in run_plugin(PoseEvents, frames(), past=beside(given)).types


def test_maps_of_two_shots_are_not_blended() -> None:
    def of(label: int) -> Segmentation:
        return Segmentation(class_map=np.full((64, 96), label, np.uint8), labels=("background", "person"))

    given = [of(int(i >= CUT)) for i in range(COUNT)]
    slow: dict[str, Any] = {"time_constant": "1s", "hysteresis": 0.0}
    mixed = run_plugin(SegmentationSmoothing, frames(), past=[[one] for one in given], **slow).all(Segmentation)
    found = run_plugin(SegmentationSmoothing, frames(), past=beside(given), **slow).all(Segmentation)
    assert not mixed[KNOWN].class_map.any()
    assert found[KNOWN].class_map.all()


def test_a_window_of_captions_ends_at_a_cut() -> None:
    given = [make_tracks({1: [20 + 2 * i, 20, 40 + 2 * i, 50]}) for i in range(CUT)]
    given += [make_tracks({7: [60 - 2 * i, 20, 80 - 2 * i, 50]}) for i in range(COUNT - CUT)]
    run = run_plugin(Captions, frames(), past=beside(given))
    assert [(e.data["text"], e.start_ns / SECOND, (e.end_ns or 0) / SECOND) for e in run.events] == [
        ("A person walks to the right.", 0.0, 1.0),
        ("A person walks to the left.", 1.0, 2.4),
    ]
    assert run.all(Caption)[0].text == "A person walks to the right."


def test_cut_at_the_window_start_ends_nothing() -> None:
    given = [make_tracks({1: [20 + 2 * i, 20, 40 + 2 * i, 50]}) for i in range(COUNT)]
    events = run_plugin(Captions, frames(), past=beside(given), window="1s", repeat=True).events
    assert [(e.start_ns / SECOND, (e.end_ns or 0) / SECOND) for e in events] == [(0.0, 1.0), (1.0, 2.0)]


@pytest.fixture
def clip_net(tmp_path: Path) -> dict[str, Any]:
    """Options with a net that calls a clip of 4 pictures `bright` with its mean level / 255, else `dark`."""
    spec = {"height": 16, "width": 16, "layout": "NDHWC", "colour": "rgb", "frames": 4}
    net = brightness_clips(4, 16, 16)
    folder = model_folder(
        tmp_path / "levels", net, task="action", decode="sigmoid", labels=["bright", "dark"], input=spec
    )
    return {"model": str(folder), "rate": 10, "stride": "100ms"}


LIGHT = [255] * CUT + [0] * (COUNT - CUT)


def test_no_clip_along_a_track_spans_a_cut(clip_net: dict[str, Any]) -> None:
    given = [make_tracks({1: [20, 10, 60, 50]}) for _ in range(COUNT)]
    options = {**clip_net, "events": {"window": "0s"}}
    run = run_plugin(TrackAction, frames([255] * COUNT), past=beside(given), **options)
    # one answer a frame from the first four pictures on, and again from four behind frame 12 on
    assert len(run.all(TrackActions)) == (KNOWN - 3) + (COUNT - KNOWN - 3)
    assert times(run.events) == [("start", 0.3), ("end", 1.0), ("start", 1.5), ("end", 2.4)]


def test_no_sequence_of_keypoints_spans_a_cut(tmp_path: Path) -> None:
    net = answering_net({"scores": np.array([[2.0, 1.0]], np.float32)}, (1, 4, 17, 3))
    model = str(model_folder(tmp_path / "skeletons", net, task="action", labels=["wave", "stand"]))
    given = [poses(hands_up(50, 20), track_id=[3])] * COUNT
    run = run_plugin(PoseAction, frames(), past=beside(given), model=model, rate=10, stride="100ms")
    assert len(run.all(TrackActions)) == (KNOWN - 3) + (COUNT - KNOWN - 3)
    assert times(run.events) == [("start", 0.3), ("end", 1.0), ("start", 1.5), ("end", 2.4)]


def test_clip_in_two_shots_is_optional(clip_net: dict[str, Any]) -> None:
    past: list[list[Result]] = [[shot(i)] for i in range(COUNT)]
    found = run_plugin(Action, frames(LIGHT), past=past, **clip_net).all(Classification)
    all_of_them = run_plugin(Action, frames(LIGHT), past=past, **clip_net, across_cuts=True).all(Classification)
    assert len(all_of_them) == COUNT - 3
    # the one that ends at frame 12 begins at 9; those before it were given when the cut wasn't known yet
    assert len(found) == COUNT - 3 - 1


def test_a_caption_of_two_shots_is_left_out(tmp_path: Path) -> None:
    options = {**captioner(tmp_path), "rate": 10, "stride": "100ms"}
    past: list[list[Result]] = [[shot(i)] for i in range(COUNT)]
    assert len(run_plugin(CaptionNet, frames(), **options).all(Caption)) == COUNT - 3
    assert len(run_plugin(CaptionNet, frames(), past=past, **options).all(Caption)) == COUNT - 3 - 1


def test_old_answer_expires_at_a_cut() -> None:
    old = Classification(label=("day",), score=np.ones(1, np.float32), class_id=np.zeros(1, np.int64))
    new = Classification(label=("night",), score=np.ones(1, np.float32), class_id=np.ones(1, np.int64))
    plugin = Fusion(FusionOptions.model_validate({"max_age": "10s"}))
    log = logging.getLogger(__name__)
    plugin.open(PluginContext(name="fused", stream=INFO, models=ModelStore(), log=log))
    pictures = frames()

    def answer(index: int, name: str, said: Classification) -> list[Any]:
        past = Results({(name, Classification): said, ("shots", Shot): shot(index)})
        return list(process_in_order(plugin, pictures[index], past) or ())

    answer(0, "a", old)
    (early,) = answer(CUT, "b", new)
    (late,) = answer(KNOWN, "b", new)
    assert isinstance(early, Classification)
    assert isinstance(late, Classification)
    assert set(early.label) == {"day", "night"}
    assert late.label == ("night",)


@pytest.mark.parametrize(
    ("plugin", "given"),
    [
        (PoseSmoothing, poses(standing(40, 10, 0.3))),
        (Tracking, make_detections([20, 10, 50, 60])),
        (PoseEvents, poses(lying(40, 20, 0.3))),
        (Captions, make_tracks({1: [20, 20, 40, 50]})),
        (SegmentationSmoothing, Segmentation(class_map=np.ones((16, 24), np.uint8), labels=("none", "one"))),
    ],
)
def test_a_restart_between_two_shots_goes_on_exactly(plugin: Any, given: Result) -> None:
    check_plugin_contract(plugin, frames(), past=beside([given] * COUNT))


def test_real_shots_plugin_gives_the_cuts() -> None:
    """Two views, each with a person lying at the same place; only the pictures show the cut."""
    pictures = [make_frame(index=i, rgb=view(int(i >= 20)), info=INFO) for i in range(40)]

    class Lying(FramePlugin[Options]):
        """Always the same."""

        gives = (Poses,)

        def process(self, frame: Frame, past: Results) -> Output:
            yield poses(lying(300, 200), track_id=[5])

    chain = [plugin_plan(Shots), plugin_plan(Lying), plugin_plan(PoseEvents, events=("lying",), lying_for="0s")]
    emitted = [event for event in run_chain(chain, pictures).events if event.type == "pose.lying"]
    assert times(emitted)[:2] == [("start", 0.0), ("end", 2.0)]
    assert [event.phase for event in emitted] == ["start", "end", "start", "end"]
