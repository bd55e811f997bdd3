"""Likeness of detections and tracks, by overlaps that allow for doubt, and the best assignment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

_TIE = 1e-9


def grow(boxes: Array, margin: Array) -> Array:
    """`boxes` (n, 4) xyxy made wider by `margin` (n, 2) pixels on each side: left and right, top and bottom."""
    return np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], axis=1)


def overlap(a: Array, b: Array) -> Array:
    """Intersection over union of every pair of xyxy boxes, float64 (n, m) in 0..1."""
    common = _common(a, b)
    union = _area(a)[:, None] + _area(b)[None, :] - common
    return common / np.maximum(union, 1e-9)


def pairwise_overlap(a: Array, b: Array) -> Array:
    """Intersection over union of each of `a` (n, 4) with the box of `b` (n, 4) in the same row: float64 (n,)."""
    sides = np.maximum(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0)
    common = sides[:, 0] * sides[:, 1]
    return np.asarray(common / np.maximum(_area(a) + _area(b) - common, 1e-9))


def buffered_overlap(tracks: Array, detections: Array, margin: Array) -> Array:
    """Overlap of predicted with detected boxes, both grown by the margin of the track's row (n, 2).

    Boxes of objects that move far between two frames, or had no detection for a while, need not touch to be alike
    (C-BIoU, Yang et al. 2023); here the margin is the filter's own doubt, so it is near zero at a high frame rate.
    """
    a = grow(tracks, margin)[:, None, :]
    edge = np.concatenate([-margin, margin], axis=1)[:, None, :]
    b = detections[None, :, :] + edge
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    sides = np.maximum(high - low, 0)
    common = sides[..., 0] * sides[..., 1]
    size_a, size_b = a[..., 2:] - a[..., :2], b[..., 2:] - b[..., :2]
    union = size_a[..., 0] * size_a[..., 1] + size_b[..., 0] * size_b[..., 1] - common
    return np.asarray(common / np.maximum(union, 1e-9))


def side_agreement(a: Array, b: Array) -> Array:
    """Agreement of widths and heights `a` (n, 2) and `b` (m, 2): shorter over longer, float64 (n, m, 2) in 0..1."""
    small, large = np.minimum(a[:, None], b[None]), np.maximum(a[:, None], b[None])
    return np.asarray(small / np.maximum(large, 1e-9))


_CLIPPED_EDGE = 0.12
"""how far the edge that still fits may be off, in heights of the taller box"""
_CLIPPED_HEIGHT = 0.3
"""least height of the lower box, in heights of the taller one"""
_CLIPPED_WIDTH = 0.6
"""least overlap of the horizontal extents, intersection over union"""


def clipped_likeness(a: Array, b: Array) -> Array:
    """Likeness of boxes `a` (n, 4) and `b` (m, 4) if one shows only the upper or lower part of the other's object.

    Horizontal overlap (intersection over union), weighted by how closely the top or the bottom edges agree: float64
    (n, m) in 0..1; 0 where the extents differ, no such edge fits or the lower box is too low.
    """
    span_a, span_b = a[:, None, :], b[None, :, :]
    common = np.minimum(span_a[..., 2], span_b[..., 2]) - np.maximum(span_a[..., 0], span_b[..., 0])
    whole = np.maximum(span_a[..., 2], span_b[..., 2]) - np.minimum(span_a[..., 0], span_b[..., 0])
    wide = common / np.maximum(whole, 1e-9)
    height_a, height_b = span_a[..., 3] - span_a[..., 1], span_b[..., 3] - span_b[..., 1]
    taller = np.maximum(np.maximum(height_a, height_b), 1e-9)
    off = np.minimum(np.abs(span_a[..., 1] - span_b[..., 1]), np.abs(span_a[..., 3] - span_b[..., 3])) / taller
    fits = (
        (wide >= _CLIPPED_WIDTH) & (off <= _CLIPPED_EDGE) & (np.minimum(height_a, height_b) >= _CLIPPED_HEIGHT * taller)
    )
    return np.asarray(np.where(fits, wide * (1 - off), 0.0))


def inside(a: Array, b: Array) -> Array:
    """Share of each box of `a` (n, 4) that lies in each of `b` (m, 4): float64 (n, m) in 0..1."""
    return _common(a, b) / np.maximum(_area(a)[:, None], 1e-9)


def assign(likeness: Array, least: float) -> tuple[Indices, Indices]:
    """Pairs (rows, columns) with the largest sum of `likeness` (n, m), none of them below `least` > 0.

    Equal sums are decided in favour of the order of the rows and columns, so that a run can be repeated.
    """
    from scipy.optimize import linear_sum_assignment

    if likeness.size == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    fits = likeness >= least
    if likeness.size == 1:
        alone = fits[:, 0].nonzero()[0]
        return alone, alone
    order = np.arange(likeness.shape[0])[:, None] * np.arange(likeness.shape[1])[None, :]
    value = np.where(fits, likeness + _TIE * order / max(order.size, 1), 0.0)
    rows, columns = linear_sum_assignment(value, maximize=True)
    retained = fits[rows, columns]
    return rows[retained].astype(np.int64), columns[retained].astype(np.int64)


def distinct(boxes: Array, scores: Array, groups: Indices, limit: float) -> Indices:
    """Indices, ascending, of the boxes left when of two of a group that overlap above `limit` the better stays."""
    if len(boxes) < 2:
        return np.arange(len(boxes), dtype=np.int64)
    clash = (overlap(boxes, boxes) > limit) & (groups[:, None] == groups[None, :])
    np.fill_diagonal(clash, val=False)
    if not clash.any():
        return np.arange(len(boxes), dtype=np.int64)
    order = np.argsort(-scores, kind="stable")
    chosen: list[int] = []
    gone = np.zeros(len(boxes), bool)
    for index in order.tolist():
        if not gone[index]:
            chosen.append(index)
            gone |= clash[index]
    return np.array(sorted(chosen), np.int64)


def _area(boxes: Array) -> Array:
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return np.asarray(sides[:, 0] * sides[:, 1])


def _common(a: Array, b: Array) -> Array:
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = np.maximum(high - low, 0)
    return np.asarray(sides[..., 0] * sides[..., 1])
