"""Several frames speak for one: keypoints or heat maps carried along optical flow to the present and pooled.

Pfister, Charles and Zisserman, Flowing ConvNets for Human Pose Estimation in Videos, ICCV 2015. There the neighbourhood
reaches n frames to both sides; here it reaches back only, so that a live stream needn't wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc.errors import check_array
from streamproc_plugins.warp import move_points, warp

F32 = NDArray[np.float32]


def pool_heatmaps(maps: F32, flows: F32, weights: Sequence[float] | NDArray[Any]) -> F32:
    """Heat maps of the last of T frames, float32 (h, w, c): each frame's carried along flow to it, then weighed.

    maps: float32 (T, h, w, c), oldest first. flows: float32 (T - 1, h, w, 2), from each frame to the next, in pixels of
    the maps' grid (`warp.on_grid` brings a flow to it). weights: T numbers >= 0, not all 0; they are divided by their
    sum. Raises `ValueError` where they don't fit.
    """
    check_array("maps", maps, np.float32, (None, None, None, None))
    check_array("flows", flows, np.float32, (len(maps) - 1, *maps.shape[1:3], 2))
    weight = np.asarray(weights, np.float32)
    if weight.shape != (len(maps),) or not (weight >= 0).all() or not weight.sum() > 0:
        raise ValueError(f"weights are {weight.tolist()}, expected {len(maps)} numbers >= 0 that aren't all 0")
    weight = weight / weight.sum()
    # warping is linear, so the sum so far is carried instead of each map: T - 1 warps and not T (T - 1) / 2
    pooled = maps[0] * weight[0]
    for step, uv in enumerate(flows):
        pooled = warp(pooled, uv).reshape(pooled.shape) + maps[step + 1] * weight[step + 1]
    return np.asarray(pooled, np.float32)


def carry(points: F32, uv: F32, scale: float, times: float = 1.0) -> F32:
    """Keypoints (..., 3) of an earlier frame as they lie in the present one, scores as they were.

    uv: the flow between them (h, w, 2) in pixels of its grid, which is `scale` as wide as the picture. times: how many
    times as long as the flow the time between the two is, where it covers only the last part (even motion is assumed).
    """
    moved = points.copy()
    moved[..., :2] += (move_points(points[..., :2], uv, scale) - points[..., :2]) * np.float32(times)
    return moved


def pool_points(neighbours: F32, weights: NDArray[Any], sure: float) -> F32:
    """One pose float32 (17, 3) of T, each already carried to the present: (T, 17, 3), the present one last.

    weights: (T,) > 0. Places are the mean weighed by weight and score, over those with a score of at least `sure`;
    scores the weighed mean over all, so that a keypoint that only few frames saw is less sure. A keypoint that none
    saw stays as the present frame has it.
    """
    weight = np.asarray(weights, np.float64)[:, None]
    score = neighbours[..., 2].astype(np.float64)
    votes = np.where(score >= sure, weight * score, 0)
    total = votes.sum(axis=0)
    mean = (neighbours[..., :2] * votes[..., None]).sum(axis=0) / np.maximum(total, 1e-12)[:, None]
    out = neighbours[-1].copy()
    known = total > 0
    out[known, :2] = mean[known]
    out[known, 2] = ((weight * score).sum(axis=0) / weight.sum())[known]
    return np.asarray(out, np.float32)


__all__ = ["carry", "pool_heatmaps", "pool_points"]
