"""The `pose` plugin: boxes or whole pictures to keypoints in source pixels, nets that don't fit refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streamproc import Detections, Frame, FramePlugin, MissingInput, ModelError, Options, PluginError, Poses, Results
from streamproc.models import Fit
from streamproc.testing import (
    make_detections,
    make_frame,
    make_frames,
    make_info,
    make_tracks,
    plugin_plan,
    run_chain,
    run_plugin,
)
from streamproc_plugins.pose import Pose
from streamproc_plugins.pose.matching import alike, areas, point_boxes, pose_owners
from streamproc_plugins.pose.top_down import keypoints_back, square
from tests.nets import answering_net, model_folder
from tests.plugins.people import posenet_maps, scored, standing

SPEC: dict[str, Any] = {"height": 32, "width": 32, "layout": "NCHW", "colour": "rgb", "resize": "letterbox", "pad": 0}


def movenet(folder: Path, answer: NDArray[np.float32] | None = None, **entry: Any) -> str:
    """A net that finds the nose at a quarter of the crop's width and an eighth of its height, everything else amid."""
    if answer is None:
        answer = np.full((1, 1, 17, 3), 0.5, np.float32)
        answer[0, 0, 0] = (0.125, 0.25, 0.9)
    net = answering_net({"keypoints": answer}, (1, 3, 32, 32))
    return str(model_folder(folder, net, **{"task": "pose", "decode": "movenet", "input": SPEC} | entry))


def bodypix(folder: Path, people: list[NDArray[np.float32]]) -> str:
    net = answering_net(posenet_maps(people, (17, 17)), (1, 3, 256, 256))
    spec = {**SPEC, "height": 256, "width": 256}
    return str(model_folder(folder, net, task="pose", decode="bodypix", input=spec))


def wide() -> Any:
    return make_frame(rgb=np.full((200, 400, 3), 90, np.uint8))


def test_crop_is_square_and_black_outside() -> None:
    rgb = np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)
    crop, corner = square(rgb, np.array([10, 4, 14, 14]), 1.2)
    assert corner == (6, 3)
    assert (crop == rgb[3:15, 6:18]).all()
    crop, corner = square(rgb, np.array([0, 0, 4, 20]), 1.0)
    assert corner == (-8, 0)
    assert (crop[:, :8] == 0).all()
    assert (crop[:, 8:] == rgb[:, :12]).all()


def test_answers_of_a_crop_become_source_pixels() -> None:
    answer = np.zeros((1, 1, 17, 3), np.float32)
    answer[0, 0, 3] = (0.5, 0.25, 0.7)
    back = keypoints_back(answer, (32, 32), Fit(scale_x=0.5, scale_y=0.5), (100, -20))
    assert back.shape == (17, 3)
    assert np.allclose(back[3], [100 + 0.25 * 64, -20 + 0.5 * 64, 0.7])


def test_each_person_box_gets_a_pose(tmp_path: Path) -> None:
    people = make_detections([100, 60, 140, 160], [300, 100, 310, 110])
    run = run_plugin(Pose, [wide()], past=[[people]], model=movenet(tmp_path / "net"))
    (poses,) = run.all(Poses)
    # the second box is too small to look at; the square round the first is 110 wide, from (65, 55)
    assert poses.track_id is None
    assert poses.keypoints.shape == (1, 17, 3)
    assert np.allclose(poses.keypoints[0, 0], [65 + 110 / 4, 55 + 110 / 8, 0.9], atol=0.01)
    assert poses.score[0] == pytest.approx((0.9 + 16 * 0.5) / 17, abs=1e-4)


def test_poses_get_track_ids_without_predicted_tracks(tmp_path: Path) -> None:
    model = movenet(tmp_path / "net")
    tracks = make_tracks({7: (100, 60, 140, 160), 9: (200, 60, 240, 160)})
    (poses,) = run_plugin(Pose, [wide()], past=[[tracks]], model=model).all(Poses)
    assert poses.track_id is not None
    assert poses.track_id.tolist() == [7, 9]
    lost = make_tracks({7: (100, 60, 140, 160)}, state="lost")
    (none,) = run_plugin(Pose, [wide()], past=[[lost]], model=model).all(Poses)
    assert none.keypoints.shape == (0, 17, 3)


def test_other_labels_and_unsure_boxes_are_skipped(tmp_path: Path) -> None:
    model = movenet(tmp_path / "net")
    dog, unsure = make_detections((0, 0, 50, 50), label="dog"), make_detections((0, 0, 50, 50), score=0.1)
    for boxes in (dog, unsure):
        (poses,) = run_plugin(Pose, [wide()], past=[[boxes]], model=model).all(Poses)
        assert len(poses.score) == 0
    (poses,) = run_plugin(Pose, [wide()], past=[[dog]], model=model, labels=[]).all(Poses)
    assert len(poses.score) == 1


def test_points_outside_the_picture_have_no_score(tmp_path: Path) -> None:
    people = make_detections([0, 100, 40, 200])
    (poses,) = run_plugin(Pose, [wide()], past=[[people]], model=movenet(tmp_path / "net")).all(Poses)
    nose = poses.keypoints[0, 0]
    assert nose[0] < 0
    assert nose[2] == 0


def test_bottom_up_finds_all_people_without_boxes(tmp_path: Path) -> None:
    people = [standing(60, 10, 0.6), standing(180, 20, 0.5)]
    model = bodypix(tmp_path / "net", people)
    (poses,) = run_plugin(Pose, [wide()], mode="bottom-up", model=model).all(Poses)
    # the picture is 400 wide and the net's input 256
    found = poses.keypoints[np.argsort(poses.keypoints[:, 0, 0]), :, :2]
    assert np.allclose(found, np.stack(people) * 400 / 256, atol=0.1)


def test_bottom_up_poses_get_track_ids(tmp_path: Path) -> None:
    people = [standing(60, 10, 0.6), standing(180, 20, 0.5)]
    boxes = point_boxes(np.stack([scored(np.float32(400 / 256) * person) for person in people]))
    tracks = make_tracks({4: boxes[1].tolist(), 8: (0, 0, 10, 10)})
    model = bodypix(tmp_path / "net", people)
    (poses,) = run_plugin(Pose, [wide()], past=[[tracks]], mode="bottom-up", model=model).all(Poses)
    assert poses.track_id is not None
    by_place = poses.track_id[np.argsort(poses.keypoints[:, 0, 0])]
    assert by_place.tolist() == [0, 4]


def test_top_down_without_boxes_names_the_input(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="bottom-up"):
        run_plugin(Pose, [wide()], model=movenet(tmp_path / "net"))


class Seldom(FramePlugin[Options]):
    """A person, in every other frame."""

    gives = (Detections,)

    def process(self, frame: Frame, past: Results) -> list[Detections]:
        return [] if frame.index % 2 else [make_detections((100, 60, 140, 160))]


def test_where_boxes_come_more_seldom_so_do_poses(tmp_path: Path) -> None:
    info = make_info(width=400, height=200)
    chain = [plugin_plan(Seldom), plugin_plan(Pose, model=movenet(tmp_path / "net"))]
    run = run_chain(chain, make_frames(24, info=info), watch=Pose)
    assert len(run.all(Poses)) == 12
    assert run.report.streams[0].plugins[-1].verdicts.get("failed", 0) == 0


def test_a_net_that_answers_nan_is_refused(tmp_path: Path) -> None:
    broken = np.full((1, 1, 17, 3), np.nan, np.float32)
    with pytest.raises(ModelError, match="answered numbers that are not finite"):
        run_plugin(Pose, [wide()], past=[[make_detections([100, 60, 140, 160])]], model=movenet(tmp_path / "m", broken))
    model = bodypix(tmp_path / "b", [standing(60, 10) * np.float32(np.nan)])
    with pytest.raises(ModelError, match="answered numbers that are not finite"):
        run_plugin(Pose, [wide()], mode="bottom-up", model=model)


def test_unfit_nets_are_refused_with_both_shapes(tmp_path: Path) -> None:
    wrong = movenet(tmp_path / "wrong", np.zeros((1, 1, 33, 3), np.float32))
    with pytest.raises(PluginError, match=r"\(1, 1, 33, 3\).*\(1, 1, 17, 3\)"):
        run_plugin(Pose, [wide()], past=[[make_detections()]], model=wrong)
    other = movenet(tmp_path / "other", input={**SPEC, "dtype": "uint8"})
    with pytest.raises(PluginError, match=r"float32 \(1, 3, 32, 32\).*uint8 \(1, 3, 32, 32\)"):
        run_plugin(Pose, [wide()], past=[[make_detections()]], model=other)
    with pytest.raises(PluginError, match="expected one whose decode is posenet or bodypix"):
        run_plugin(Pose, [wide()], mode="bottom-up", model=movenet(tmp_path / "single"))


def test_pose_belongs_to_one_box_around_it() -> None:
    person = scored(standing(100, 50))
    box = point_boxes(person[None])[0].tolist()
    both = np.stack([person, person])
    tracks = make_tracks({3: box, 5: [v + 400 for v in box]})
    assert sorted(pose_owners(both, tracks).tolist()) == [0, 3]
    assert pose_owners(both, make_tracks({3: box}, state="lost")).tolist() == [0, 0]
    assert pose_owners(both, make_tracks({3: box}, label="dog"), ("person",)).tolist() == [0, 0]


def test_the_area_and_likeness_of_poses() -> None:
    person = scored(standing(100, 50))
    assert areas(person[None])[0] == pytest.approx(0.5 * 34 * 122)
    assert alike(person[None], person[None])[0, 0] == pytest.approx(1)
    nobody = person * (1, 1, 0)
    assert alike(person[None], nobody[None].astype(np.float32))[0, 0] == 0
    assert point_boxes(np.zeros((0, 17, 3), np.float32)).shape == (0, 4)
