"""Assignment of poses to track boxes of the same frame, and to poses of the frame before."""

from __future__ import annotations

from collections.abc import Container

import numpy as np
from numpy.typing import NDArray

from streamproc import Tracks
from streamproc.evaluation.oks import oks
from streamproc.geometry import iou

F32 = NDArray[np.float32]

SURE = 0.2
"""keypoint score from which a point counts as visible"""
_LEAST_PX2 = 64.0


def point_boxes(points: F32, sure: float = SURE) -> F32:
    """Boxes float32 (N, 4) xyxy around the visible keypoints (N, 17, 3); all zero with fewer than two of them."""
    scored = points[:, :, 2] >= sure
    low = np.where(scored[..., None], points[..., :2], np.inf).min(axis=1, initial=np.inf)
    high = np.where(scored[..., None], points[..., :2], -np.inf).max(axis=1, initial=-np.inf)
    boxes = np.concatenate([low, high], axis=1)
    return np.asarray(np.where(scored.sum(axis=1)[:, None] >= 2, boxes, 0), np.float32)


def areas(points: F32, sure: float = SURE) -> NDArray[np.float64]:
    """Area of people (N, 17, 3) in square pixels for `oks`, float64 (N,), > 0: half of the box around visible points.

    The half because COCO's area is that of the person's outline.
    """
    sides = np.diff(point_boxes(points, sure).reshape(-1, 2, 2), axis=1)[:, 0].astype(np.float64)
    return np.asarray(np.maximum(0.5 * sides[:, 0] * sides[:, 1], _LEAST_PX2), np.float64)


def pose_owners(points: F32, tracks: Tracks, labels: Container[str] = (), least: float = 0.2) -> NDArray[np.int64]:
    """Track id of each pose (N, 17, 3), int64 (N,); 0 where no track detected in this frame has it.

    Each track takes at most one pose. A pose fits a box as the part of its visible keypoints that lies inside, times
    the overlap (IoU) of both boxes; `least`: the fit it needs.
    """
    ids = np.zeros(len(points), np.int64)
    rows = [
        row
        for row, (label, state) in enumerate(zip(tracks.label, tracks.state, strict=True))
        if state != "lost" and (not labels or label in labels)
    ]
    if not len(points) or not rows:
        return ids
    boxes = tracks.xyxy[rows]
    scored = points[:, None, :, 2] >= SURE
    x, y = points[:, None, :, 0], points[:, None, :, 1]
    left, top, right, bottom = (boxes[None, :, None, side] for side in range(4))
    inside = (x >= left) & (x <= right) & (y >= top) & (y <= bottom) & scored
    part = inside.sum(axis=2) / np.maximum(scored.sum(axis=2), 1)
    fit = part * iou(point_boxes(points), boxes)
    for row, column in assigned(fit, least):
        ids[row] = tracks.track_id[rows[column]]
    return ids


def assigned(fit: NDArray[np.floating], least: float) -> list[tuple[int, int]]:
    """Pairs (row, column) of the assignment with the greatest sum of `fit` (N, M), those of at least `least`."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(-fit)
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if fit[r, c] >= least]


def alike(found: F32, before: F32, growth: NDArray[np.float64] | float = 1.0) -> NDArray[np.float64]:
    """OKS of poses (N, 17, 3) with those of a moment before (M, 17, 3), float64 (N, M); only points visible then count.

    growth: (M,), by how much the areas of those before are enlarged, which makes them less exacting.
    """
    truth = before.copy()
    truth[:, :, 2] = before[:, :, 2] >= SURE
    return oks(found, truth, areas(before) * growth)


__all__ = ["SURE", "alike", "areas", "assigned", "point_boxes", "pose_owners"]
