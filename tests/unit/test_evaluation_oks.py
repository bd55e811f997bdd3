"""Object keypoint similarity: values that follow from its definition."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from streamproc.evaluation.oks import SIGMAS, oks


def pose(seed: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.uniform(0, 100, (17, 2)), np.full((17, 1), 2.0)], axis=1)


def test_pose_is_like_itself_and_no_distant_one() -> None:
    a = pose(1)
    far = a + np.array([10_000, 0, 0])
    assert np.allclose(oks(np.stack([a, far]), np.stack([a]), np.array([400.0])), [[1], [0]])


def test_each_keypoint_counts_by_its_own_tolerance() -> None:
    a = pose(2)
    area = 900.0
    moved = a.copy()
    moved[:, 0] += 2 * SIGMAS * np.sqrt(area)  # e is 1/2 for each
    assert oks(moved[None], a[None], np.array([area]))[0, 0] == pytest.approx(np.exp(-0.5))


def test_keypoints_that_nobody_saw_dont_count() -> None:
    a = pose(3)
    truth = a.copy()
    truth[5:, 2] = 0
    found = a.copy()
    found[5:, :2] += 1e6
    found[0, :2] += 1e6
    assert oks(found[None], truth[None], np.array([100.0]))[0, 0] == pytest.approx(4 / 5)
    truth[:, 2] = 0
    assert oks(found[None], truth[None], np.array([100.0]))[0, 0] == 0


def test_none_against_some_is_an_empty_table() -> None:
    assert oks(np.zeros((0, 17, 3)), np.stack([pose(1), pose(2)]), np.ones(2)).shape == (0, 2)
    assert oks(np.stack([pose(1)]), np.zeros((0, 17, 3)), np.ones(0)).shape == (1, 0)


def test_unmeasurable_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"area holds 0\.0, expected"):
        oks(pose(1)[None], pose(1)[None], np.zeros(1))
    with pytest.raises(ValueError, match=r"found.*\(1, 16, 3\)"):
        oks(pose(1)[None, :16], pose(1)[None], np.ones(1))
