"""Warping along optical flow: answers known by arithmetic, and the truth of a Middlebury pair."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from streamproc_plugins.warp import inverse, move_points, on_grid, trusted, warp


def uniform(right: float, down: float, hw: tuple[int, int] = (48, 64)) -> NDArray[np.float32]:
    return np.tile(np.array([right, down], np.float32), (*hw, 1))


def texture(hw: tuple[int, int] = (48, 64)) -> NDArray[np.float32]:
    noise = np.random.default_rng(3).random(hw, np.float32)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 2), np.float32)


def test_whole_pixel_shift_moves_every_value() -> None:
    before = texture()
    now = warp(before, uniform(3, -2))
    np.testing.assert_allclose(now[:-2, 3:], before[2:, :-3], atol=1e-6)


def test_class_maps_keep_their_classes_and_their_dtype() -> None:
    classes = np.zeros((48, 64), np.uint8)
    classes[10:20, 10:20] = 7
    now = warp(classes, uniform(2.4, 0), "nearest")
    assert now.dtype == np.uint8
    assert set(np.unique(now)) == {0, 7}
    assert now[12, 12] == 7
    assert now[12, 11] == 0


def test_the_inverse_of_a_smooth_flow_leads_back() -> None:
    y, x = np.mgrid[0:48, 0:64].astype(np.float32)
    uv = np.stack([2 * np.sin(y / 9), 1.5 * np.cos(x / 11)], axis=2).astype(np.float32)
    back = inverse(uv)
    there = np.stack([x, y], axis=2) + back
    again = move_points(there, uv)
    np.testing.assert_allclose(again[6:-6, 6:-6], np.stack([x, y], axis=2)[6:-6, 6:-6], atol=0.02)


def test_ground_that_something_uncovers_is_not_trusted() -> None:
    uv = uniform(0, 0)
    uv[16:32, 20:30] = (8, 0)  # a block moves right by 8 over ground at rest
    good = trusted(uv)
    assert not good[20:28, 21:27].any()  # where it was
    assert good[:12].all()
    assert good[20:28, 31:37].all()  # where it is now


def test_flow_from_outside_is_not_trusted() -> None:
    good = trusted(uniform(5, 0))
    assert not good[:, :5].any()
    assert good[:, 5:].all()


def test_flow_on_another_grid_counts_its_pixels() -> None:
    bigger = on_grid(uniform(2, 1), (96, 192))
    assert bigger.shape == (96, 192, 2)
    np.testing.assert_allclose(bigger[50, 50], [6, 2])


def test_points_move_in_source_pixels() -> None:
    moved = move_points(np.array([[40.0, 30.0], [80, 60]]), uniform(2, 1), scale=0.5)
    np.testing.assert_allclose(moved, [[44, 32], [84, 62]])
    assert move_points(np.zeros((0, 2)), uniform(1, 1)).shape == (0, 2)


@pytest.mark.real
def test_picture_warped_by_true_flow_matches_the_next(shared: Path) -> None:
    folder = shared / "data" / "flow" / "RubberWhale"
    first, second = (cv2.imread(str(folder / f"frame{n}.png"), cv2.IMREAD_GRAYSCALE) for n in (10, 11))
    assert first is not None
    assert second is not None
    raw = (folder / "flow10.flo").read_bytes()
    width, height = struct.unpack("<ii", raw[4:12])
    uv = np.frombuffer(raw[12:], np.float32).reshape(height, width, 2).copy()
    known = np.abs(uv).max(axis=2) < 1e6
    uv[~known] = 0
    sure = trusted(uv) & cv2.erode(known.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    error = np.abs(warp(first, uv).astype(np.float32) - second)[sure].mean()
    still = np.abs(first.astype(np.float32) - second)[sure].mean()
    assert error < 0.35 * still
