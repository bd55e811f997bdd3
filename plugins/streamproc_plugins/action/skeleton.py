"""A person's keypoints over time as a net's input: functions of arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

_HIPS = (11, 12)
_SHOULDERS = (5, 6)


def normalised_skeleton(keypoints: F32, min_score: float = 0.2) -> F32:
    """A sequence (T, 17, 3) of x, y in pixels and score, whatever the person's place and size; float32, of this shape.

    The middle of the hips (or, without them, of all points), its median over the sequence, becomes 0, 0; the
    unit is the body's length from hips to shoulders, its median too (or a third of the height of all points). The
    person's motion within the sequence remains. A point with a lower score takes its place at the nearest moment at
    which it is known, or 0, 0 if it never is; its score becomes 0.
    """
    points = np.asarray(keypoints, np.float32)
    known = points[..., 2] >= min_score
    if not known.any():
        return np.zeros_like(points)
    xy = _filled(points[..., :2], known)
    ever = np.asarray(known.any(axis=0), np.bool_)
    hips, shoulders = (_middle(xy, ever, pair) for pair in (_HIPS, _SHOULDERS))
    centre = np.median(hips, axis=0)
    body = float(np.median(np.hypot(*(hips - shoulders).T)))
    tall = float(np.median(xy[:, ever, 1].max(axis=1) - xy[:, ever, 1].min(axis=1))) / 3
    unit = max(body if ever[[*_HIPS, *_SHOULDERS]].any() and body > 1e-3 else tall, 1.0)
    out = np.zeros_like(points)
    out[..., :2] = np.where(ever[:, None], (xy - centre) / unit, 0)
    out[..., 2] = np.where(known, points[..., 2], 0)
    return out


def _filled(xy: F32, known: NDArray[np.bool_]) -> F32:
    """Points (T, K, 2) with unknown ones taken from the nearest moment at which the same point is known."""
    times = np.arange(len(xy))
    # distance of every moment to every known moment of each point, (T, T, K)
    away = np.abs(times[:, None] - times[None, :])[..., None] + np.where(known, 0, len(xy) + 1)[None]
    nearest = away.argmin(axis=1)
    return np.asarray(xy[nearest, np.arange(xy.shape[1])], np.float32)


def _middle(xy: F32, ever: NDArray[np.bool_], pair: tuple[int, int]) -> F32:
    """The middle of a pair of points over time (T, 2), or of all points that are ever known."""
    there = [point for point in pair if ever[point]]
    return np.asarray(xy[:, there if there else ever].mean(axis=1), np.float32)


__all__ = ["normalised_skeleton"]
