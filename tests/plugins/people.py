"""Skeletons with known joints, and the output of PoseNet's heads for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamproc import Poses
from streamproc_plugins.pose.bottom_up import EDGES

F32 = NDArray[np.float32]

STANDING = np.array(
    [
        (0, 0), (2, -2), (-2, -2), (5, 0), (-5, 0), (12, 20), (-12, 20), (16, 42), (-16, 42), (17, 62), (-17, 62),
        (8, 64), (-8, 64), (8, 92), (-8, 92), (8, 120), (-8, 120),
    ],
    np.float32,
)  # fmt: skip
"""(17, 2) x, y of a person facing the camera, nose at the origin, 120 px from there to the ankles"""

ARMS = (7, 8, 9, 10)


def standing(x: float, y: float, size: float = 1.0) -> F32:
    """Upright at a place, arms down: (17, 2)."""
    return np.asarray(STANDING * size + (x, y), np.float32)


def lying(x: float, y: float, size: float = 1.0) -> F32:
    """On the back, feet to the right: (17, 2)."""
    return np.asarray(STANDING[:, ::-1] * size * (1, -1) + (x, y), np.float32)


def tilted(x: float, y: float, degrees: float) -> F32:
    """Upright at a place, then turned about the ankles to the right; 90: lying: (17, 2)."""
    points = standing(x, y)
    pivot = points[[15, 16]].mean(axis=0)
    turn = np.radians(degrees)
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]], np.float32)
    return np.asarray((points - pivot) @ matrix + pivot, np.float32)


def bent(x: float, y: float) -> F32:
    """The upper body level, the legs upright: (17, 2)."""
    points = standing(x, y)
    hips = points[[11, 12]].mean(axis=0)
    upper = np.arange(11)
    away = points[upper] - hips
    points[upper] = hips + np.stack([-away[:, 1], away[:, 0]], axis=1)
    return points


def hands_up(x: float, y: float, arms: Sequence[int] = ARMS) -> F32:
    """Upright with these joints of the arms above the shoulders: (17, 2)."""
    points = standing(x, y)
    for joint in arms:
        shoulder = points[5 if joint % 2 else 6]
        points[joint, 1] = 2 * shoulder[1] - points[joint, 1]
    return points


def scored(xy: NDArray[np.floating], score: float = 0.9) -> F32:
    """(17, 3) from (17, 2), every joint equally sure."""
    return np.concatenate([xy, np.full((len(xy), 1), score, np.float32)], axis=1)


def poses(*people: F32, track_id: Sequence[int] | None = None) -> Poses:
    """`Poses` of people (17, 2) or (17, 3)."""
    points = [person if person.shape[1] == 3 else scored(person) for person in people]
    keypoints = np.stack(points) if points else np.zeros((0, 17, 3), np.float32)
    ids = None if track_id is None else np.array(track_id, np.int64)
    score = keypoints[:, :, 2].mean(axis=1).astype(np.float32)
    return Poses(keypoints=keypoints.astype(np.float32), score=score, track_id=ids)


def posenet_maps(people: Sequence[F32], hw: tuple[int, int], stride: float = 16.0) -> dict[str, F32]:
    """The outputs (1, h, w, c) of a perfect PoseNet on a grid `hw`, from people (17, 2) in input pixels."""
    cells = np.stack(np.meshgrid(np.arange(hw[1]), np.arange(hw[0])), axis=-1) * stride
    away = np.stack(people)[:, None, None] - cells[None, :, :, None]  # (N, h, w, 17, 2)
    square = np.square(away).sum(axis=-1)
    nearest = square.argmin(axis=0)[None, ..., None]
    short = np.take_along_axis(away, nearest, axis=0)[0]
    heat = np.take_along_axis(square, nearest[..., 0], axis=0)[0]
    logits = 5 - 2 * heat / stride**2
    mid = np.zeros((*hw, 2, 2, len(EDGES)), np.float32)
    for edge, ends in enumerate(EDGES):
        for way, (start, end) in enumerate((ends, ends[::-1])):
            owner = nearest[0, :, :, start, 0]
            to_end = np.take_along_axis(away[..., end, :], owner[None, ..., None], axis=0)[0]
            mid[:, :, way, 0, edge], mid[:, :, way, 1, edge] = to_end[..., 1], to_end[..., 0]
    maps = {
        "float_heatmaps": logits,
        "float_short_offsets": short[..., ::-1].swapaxes(-1, -2).reshape(*hw, -1),
        "float_mid_offsets": mid.reshape(*hw, -1),
    }
    return {name: np.asarray(values[None], np.float32) for name, values in maps.items()}


def bodypix_maps(people: Sequence[F32], hw: tuple[int, int], stride: float = 16.0) -> dict[str, F32]:
    """The outputs (1, h, w, c) of a perfect BodyPix: every person fills the box of its keypoints and a cell around."""
    cells = np.stack(np.meshgrid(np.arange(hw[1]), np.arange(hw[0])), axis=-1) * stride
    shapes = np.stack(people)
    low, high = shapes.min(axis=1)[:, None, None] - stride, shapes.max(axis=1)[:, None, None] + stride
    outside = np.maximum(np.maximum(low - cells, cells - high), 0).sum(axis=-1)  # (N, h, w)
    owner = outside.argmin(axis=0)
    long = shapes[owner] - cells[:, :, None]
    return {
        **posenet_maps(people, hw, stride),
        "float_segments": np.where(outside.min(axis=0) == 0, 5, -5)[None, ..., None].astype(np.float32),
        "float_long_offsets": np.asarray(long[..., ::-1].swapaxes(-1, -2).reshape(1, *hw, -1), np.float32),
    }
