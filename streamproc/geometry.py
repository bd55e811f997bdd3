"""Boxes, polygons and lines as functions of arrays.

Boxes are float32 (N, 4) `xyxy` in pixels, right and bottom exclusive; points are (N, 2) `x, y`, y down.
"""

from __future__ import annotations

from math import ceil, floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]


def box_area(boxes: NDArray[Any]) -> NDArray[np.float32]:
    """Return the area of each of `boxes` (N, 4) in square pixels, float32 (N,)."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return np.asarray(sides[:, 0] * sides[:, 1], dtype=np.float32)


def intersection(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float32]:
    """Return the common area of every pair of boxes `a` (N, 4) and `b` (M, 4), float32 (N, M)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = np.maximum(high - low, 0)
    return np.asarray(sides[..., 0] * sides[..., 1], dtype=np.float32)


def iou(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float32]:
    """Return the intersection over union of every pair, float32 (N, M) in 0..1; 0 where both boxes are empty."""
    common = intersection(a, b)
    union = box_area(a)[:, None] + box_area(b)[None, :] - common
    return np.asarray(common / np.maximum(union, np.float32(1e-10)), dtype=np.float32)


def clip_boxes(boxes: NDArray[Any], width: int, height: int) -> Boxes:
    """Clip `boxes` to the picture, float32 (N, 4)."""
    limits = np.array([width, height, width, height], dtype=np.float32)
    return np.minimum(np.maximum(np.asarray(boxes, dtype=np.float32), 0), limits)


def window_of(box: tuple[float, float, float, float], width: int, height: int) -> tuple[int, int, int, int]:
    """Return the pixels that a box in fractions 0..1 touches: left, top, right, bottom; at least one pixel."""
    left, right = _span(box[0], box[2], width)
    top, bottom = _span(box[1], box[3], height)
    return (left, top, right, bottom)


def _span(low: float, high: float, length: int) -> tuple[int, int]:
    # a fraction such as 0.3 isn't exact, so a pixel is only touched by more than a rounding error
    start = min(floor(low * length + 1e-6), length - 1)
    return start, min(max(ceil(high * length - 1e-6), start + 1), length)


def in_polygon(points: NDArray[Any], polygon: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which of `points` (N, 2) lie inside `polygon` (K, 2), bool (N,); even-odd rule, so it may cross itself.

    Crossing-number test, vectorised over points and edges (Shimrat, CACM 1962, algorithm 112).
    """
    x, y = points[:, :1], points[:, 1:2]
    x1, y1 = polygon[:, 0], polygon[:, 1]
    after = np.concatenate([polygon[1:], polygon[:1]])  # np.roll takes ten times as long for a few corners
    x2, y2 = after[:, 0], after[:, 1]
    spans = (y1 > y) != (y2 > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing_x = (x2 - x1) * (y - y1) / (y2 - y1) + x1
    return np.asarray((spans & (x < crossing_x)).sum(axis=1) % 2 == 1)


def side_of_line(points: NDArray[Any], a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Return the signed distance in pixels of `points` (N, 2) from the line a -> b, float64 (N,).

    Positive on the right hand of someone walking from a to b on the screen (y down), negative on the left.
    """
    way = np.asarray(b, dtype=np.float64) - np.asarray(a, dtype=np.float64)
    length = max(float(np.hypot(way[0], way[1])), 1e-12)
    off = np.asarray(points, dtype=np.float64) - np.asarray(a, dtype=np.float64)
    return np.asarray((way[0] * off[:, 1] - way[1] * off[:, 0]) / length)


def polygon_distance(points: NDArray[Any], polygon: NDArray[Any]) -> NDArray[np.float64]:
    """Return the distance of `points` (N, 2) to the border of `polygon` (K, 2), >= 0, float64 (N,)."""
    a = np.asarray(polygon, dtype=np.float64)
    way = np.concatenate([a[1:], a[:1]]) - a
    off = np.asarray(points, dtype=np.float64)[:, None, :] - a[None]
    along = (off * way).sum(axis=2) / np.maximum((way * way).sum(axis=1), 1e-12)
    nearest = np.clip(along, 0, 1)[..., None] * way
    return np.asarray(np.sqrt(((off - nearest) ** 2).sum(axis=2)).min(axis=1))
