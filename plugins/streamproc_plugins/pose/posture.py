"""Posture from keypoints: functions of one pose (17, 3) x, y, score; None where it can't be measured.

y points down. Only keypoints with a score of at least `sure` count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
Point = tuple[float, float]

SHOULDERS, HIPS, KNEES, ANKLES = (5, 6), (11, 12), (13, 14), (15, 16)
HEAD = (0, 1, 2, 3, 4)
ARMS = ((5, 9), (6, 10))
"""shoulder and wrist, left and right"""

_STATURE_PER_TORSO = 3.4
"""stature over the distance from shoulders to hips of a grown-up: (0.818 - 0.530) of the stature lie between them
(Drillis and Contini's segment lengths, in Winter, Biomechanics and Motor Control of Human Movement), rounded down"""
_HEAD_ABOVE = 0.45
"""how far above the shoulders the nose is, in torso lengths"""


def middle(points: F32, joints: Sequence[int], sure: float) -> Point | None:
    """Mean place of the visible ones of these joints."""
    scored = [joint for joint in joints if points[joint, 2] >= sure]
    if not scored:
        return None
    x, y = points[scored, :2].mean(axis=0).tolist()
    return (x, y)


def torso_px(points: F32, sure: float) -> float | None:
    """Distance from the middle of the shoulders to that of the hips, pixels."""
    shoulders, hips = middle(points, SHOULDERS, sure), middle(points, HIPS, sure)
    return None if shoulders is None or hips is None else math.dist(shoulders, hips)


def stature_px(points: F32, sure: float) -> float | None:
    """Height of the body standing upright, estimated from its torso, pixels."""
    torso = torso_px(points, sure)
    return None if torso is None else torso * _STATURE_PER_TORSO


def lean_deg(points: F32, sure: float) -> float | None:
    """Angle of the body from upright, in the picture: 0 upright (or upside down) to 90 lying.

    The smaller of the torso's angle and that from the feet (knees, where the feet are hidden) to the shoulders, so
    that a person who bends down or sits isn't lying.
    """
    shoulders, hips = middle(points, SHOULDERS, sure), middle(points, HIPS, sure)
    feet = middle(points, ANKLES, sure) or middle(points, KNEES, sure)
    if shoulders is None:
        return None
    angles = [_from_vertical(base, shoulders) for base in (hips, feet) if base is not None]
    return min(angles) if hips is not None and angles else None


def hands_height(points: F32, sure: float) -> tuple[float, ...]:
    """Height, for each arm with a visible wrist and shoulder, of the wrist above the nose, in torso lengths.

    Below 0 under it. Without a visible part of the head, the nose is taken to be 0.45 torso lengths above the shoulder;
    without the hips, a torso is 1.2 shoulder widths long.
    """
    torso = torso_px(points, sure) or _torso_of_shoulders(points, sure)
    if not torso:
        return ()
    head = middle(points, HEAD, sure)
    heights = []
    for shoulder, wrist in ARMS:
        if min(points[shoulder, 2], points[wrist, 2]) >= sure:
            level = float(points[shoulder, 1]) - _HEAD_ABOVE * torso if head is None else head[1]
            heights.append((level - float(points[wrist, 1])) / torso)
    return tuple(heights)


def descent(times_s: Sequence[float], heights_px: Sequence[float], span_s: float) -> float:
    """Greatest mean speed downward over any part of at least `span_s`, pixels per second; 0 where nothing went down.

    times_s: rising. heights_px: y of the body at each, pixels.
    """
    t, y = np.asarray(times_s, np.float64), np.asarray(heights_px, np.float64)
    lasted = t[None, :] - t[:, None]
    long_enough = lasted >= span_s - 1e-9
    if not long_enough.any():
        return 0.0
    speed = (y[None, :] - y[:, None]) / np.where(long_enough, lasted, 1.0)
    return max(float(speed[long_enough].max()), 0.0)


def _from_vertical(low: Point, high: Point) -> float:
    across, up = abs(high[0] - low[0]), abs(high[1] - low[1])
    return math.degrees(math.atan2(across, up)) if across or up else 0.0


def _torso_of_shoulders(points: F32, sure: float) -> float | None:
    left, right = (points[joint] for joint in SHOULDERS)
    if min(left[2], right[2]) < sure:
        return None
    return 1.2 * math.dist(left[:2].tolist(), right[:2].tolist())


__all__ = ["descent", "hands_height", "lean_deg", "middle", "stature_px", "torso_px"]
