"""One person per crop: from a box to a square of the picture, and from the net's answer back to source pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc import Detections, Tracks
from streamproc.models import Fit

F32 = NDArray[np.float32]
Image = NDArray[np.uint8]

USUAL_BOX_SCORE = 0.3


def worth_a_look(
    found: Detections, labels: Sequence[str], min_score: float | None, min_height: float, most: int
) -> NDArray[np.int64]:
    """Rows of the boxes to look at, best first: of these labels (empty: any), sure, large, and detected in this frame.

    min_score: None for 0.3, or the score at which the detector is used where that is lower.
    """
    if min_score is None:
        min_score = min(USUAL_BOX_SCORE, found.operating_score or USUAL_BOX_SCORE)
    good = (found.score >= min_score) & (found.xyxy[:, 3] - found.xyxy[:, 1] >= min_height)
    good &= found.xyxy[:, 2] - found.xyxy[:, 0] >= 2
    if isinstance(found, Tracks):
        good &= np.array([state != "lost" for state in found.state], np.bool_)
    if labels:
        good &= np.array([label in labels for label in found.label], np.bool_)
    rows = np.flatnonzero(good)
    return rows[np.argsort(-found.score[rows], kind="stable")[:most]]


def square(rgb: Image, xyxy: NDArray[Any], margin: float) -> tuple[Image, tuple[int, int]]:
    """The square around the middle of a box, its side `margin` times the box's longer side; black outside the picture.

    rgb: uint8 (h, w, 3). Gives uint8 (side, side, 3) and the picture's x, y of its upper left corner, in whole pixels.
    """
    left, top, right, bottom = (float(v) for v in xyxy)
    side = max(round(margin * max(right - left, bottom - top)), 2)
    x, y = round((left + right - side) / 2), round((top + bottom - side) / 2)
    inner = rgb[max(y, 0) : max(y + side, 0), max(x, 0) : max(x + side, 0)]
    if inner.shape[:2] == (side, side):
        return np.ascontiguousarray(inner), (x, y)
    canvas = np.zeros((side, side, 3), np.uint8)
    down, across = min(max(-y, 0), side), min(max(-x, 0), side)
    canvas[down : down + inner.shape[0], across : across + inner.shape[1]] = inner
    return canvas, (x, y)


def keypoints_back(answer: NDArray[Any], hw: tuple[int, int], fit: Fit, corner: tuple[int, int]) -> F32:
    """MoveNet's answer (1, 1, 17, 3) y, x, score in 0..1 of the input as float32 (17, 3) x, y, score in the picture.

    hw: height and width of the input. fit: how the crop lies in it. corner: x, y of the crop's upper left corner.
    """
    rows = np.asarray(answer, np.float32).reshape(-1, 3)
    xy = fit.points_back(rows[:, 1::-1] * np.array([hw[1], hw[0]], np.float32))
    points = np.concatenate([xy + np.array(corner, np.float32), rows[:, 2:]], axis=1)
    return np.asarray(points, np.float32)


def inside_picture(points: F32, width: int, height: int) -> F32:
    """The same keypoints (..., 3) with scores in 0..1, and 0 for those outside the picture."""
    outside = (points[..., :2] < 0).any(axis=-1) | (points[..., 0] > width) | (points[..., 1] > height)
    out = points.copy()
    out[..., 2] = np.where(outside, 0, np.clip(points[..., 2], 0, 1))
    return out


__all__ = ["inside_picture", "keypoints_back", "square", "worth_a_look"]
