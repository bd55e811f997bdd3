"""The decoder for all people of a picture: joints that are known come back, however near the people stand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from streamproc.errors import ModelError
from streamproc.models import ModelStore, Tensor
from streamproc_plugins.pose.bottom_up import (
    EDGES,
    HEADS,
    DecodeSettings,
    PoseHeads,
    check_heads,
    decode_poses,
    instance_scores,
    pose_heads,
    real_maps,
)
from tests.nets import answering_net, model_folder
from tests.plugins.people import lying, posenet_maps, standing

GRID = (33, 33)


def heads_of(people: list[NDArray[np.float32]]) -> PoseHeads:
    maps = {name: values[0] for name, values in posenet_maps(people, GRID).items()}
    return pose_heads(maps, 16.0)


def same(found: NDArray[np.float32], people: list[NDArray[np.float32]], within: float) -> None:
    """Every person is found once, in any order."""
    assert len(found) == len(people)
    away = np.abs(found[:, None, :, :2] - np.stack(people)[None]).max(axis=(2, 3))
    assert sorted(away.argmin(axis=1).tolist()) == list(range(len(people)))
    assert away.min(axis=1).max() < within


def test_people_apart_come_back_exactly() -> None:
    people = [standing(100.3, 80.7), standing(380.2, 200.1, 1.5), lying(60, 440)]
    found, score = decode_poses(heads_of(people))
    same(found, people, within=0.01)
    assert score.min() > 0.9
    assert (np.diff(score) <= 0).all()


def test_people_side_by_side_keep_their_own_limbs() -> None:
    people = [standing(200, 150, 2), standing(290, 150, 2)]
    found, _ = decode_poses(heads_of(people))
    same(found, people, within=3)


def test_an_empty_picture_has_nobody() -> None:
    nothing = PoseHeads(
        scores=np.zeros((5, 7, 17), np.float32), short=np.zeros((5, 7, 17, 2), np.float32),
        mid=np.zeros((5, 7, 2, 16, 2), np.float32), stride=16,
    )  # fmt: skip
    found, score = decode_poses(nothing)
    assert found.shape == (0, 17, 3)
    assert score.shape == (0,)


def test_somebody_at_the_border_has_no_joints_outside() -> None:
    person = standing(256, 460)
    found, _ = decode_poses(heads_of([person]))
    assert len(found) == 1
    outside = person[:, 1] > 512
    assert outside.any()
    assert (found[0, outside, 2] == 0).all()
    assert found[0, ~outside, 2].min() > 0.5


def test_no_more_people_than_asked_for() -> None:
    crowd = [standing(40 + 100 * column, 40 + 160 * row) for row in range(3) for column in range(5)]
    assert len(decode_poses(heads_of(crowd))[0]) == 15
    assert len(decode_poses(heads_of(crowd), DecodeSettings(max_people=4))[0]) == 4


def test_joints_of_a_better_person_count_once() -> None:
    points = np.concatenate([standing(0, 0), np.full((17, 1), 0.8)], axis=1).astype(np.float32)
    half = points.copy()
    half[9:, 0] += 100
    assert np.allclose(instance_scores(np.stack([points, points, half]), 10), [0.8, 0, 0.8 * 8 / 17])


def test_the_tree_reaches_every_joint_once() -> None:
    assert sorted(child for _, child in EDGES) == list(range(1, 17))


def test_quantised_maps_become_real_numbers(tmp_path: Path) -> None:
    tensor = Tensor(name="float_heatmaps", shape=(1, 1, 2, 17), dtype="uint8", scale=0.5, zero_point=100)
    net = ModelStore().load(str(folder_of(tmp_path, GRID)))
    net.outputs = (tensor,)
    values = np.full((1, 1, 2, 17), 104, np.uint8)
    assert (real_maps(net, [values], ["float_heatmaps"])["float_heatmaps"] == np.full((1, 2, 17), 2)).all()


def test_net_without_the_heads_is_refused_with_shapes(tmp_path: Path) -> None:
    good = ModelStore().load(str(folder_of(tmp_path / "good", GRID)))
    assert check_heads(good, "bodypix") == 16
    small = ModelStore().load(str(folder_of(tmp_path / "small", GRID, drop=3)))
    with pytest.raises(ModelError, match=r"float_mid_offsets float32 \(1, 33, 33, 61\).*\(1, 33, 33, 64\)"):
        check_heads(small, "bodypix")


def folder_of(folder: Path, grid: tuple[int, int], drop: int = 0) -> Path:
    answers = posenet_maps([standing(100, 100)], grid)
    if drop:
        answers["float_mid_offsets"] = answers["float_mid_offsets"][..., :-drop].copy()
    side = 16 * (grid[0] - 1)
    spec = {"height": side, "width": side, "layout": "NCHW", "colour": "rgb", "resize": "letterbox", "pad": 0}
    net = answering_net({name: answers[name] for name in HEADS}, (1, 3, side, side))
    return model_folder(folder / "net", net, task="pose", decode="bodypix", input=spec)
