"""Keypoints over time: the one-euro filter for points that are visible now and then. Functions of arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc_plugins.one_euro import OneEuro, one_euro
from streamproc_plugins.pose.bottom_up import PARTS

F64 = NDArray[np.float64]

NEVER_NS = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class PointFilter(OneEuro):
    """The filter's settings, and which points it takes; sizes are those of the body."""

    lost_ns: int = 10**9
    """a point hidden for longer starts afresh"""
    sure: float = 0.2
    """score from which a point is visible"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Filtered:
    """The filter's memory of one person."""

    xy: F64
    """float64 (17, 2), pixels"""
    speed: F64
    """float64 (17, 2), pixels per second"""
    at_ns: NDArray[np.int64]
    """int64 (17,): time of each point's last measurement; -1 never"""

    @classmethod
    def none(cls) -> Filtered:
        """The memory of a new person."""
        return cls(xy=np.zeros((PARTS, 2)), speed=np.zeros((PARTS, 2)), at_ns=np.full(PARTS, NEVER_NS, np.int64))

    def plain(self) -> list[Any]:
        """JSON values."""
        return [self.xy.tolist(), self.speed.tolist(), self.at_ns.tolist()]

    @classmethod
    def read(cls, plain: list[Any]) -> Filtered:
        """The memory from a `plain` value."""
        return cls(xy=np.array(plain[0]), speed=np.array(plain[1]), at_ns=np.array(plain[2], np.int64))


def smooth(
    before: Filtered, now_ns: int, points: NDArray[np.float32], size_px: float, settings: PointFilter
) -> tuple[Filtered, NDArray[np.float32]]:
    """The memory with `points` in it, and the points smoothed; float32 (17, 3), scores as they were.

    points: (17, 3) x, y, score in pixels at media time now_ns, later than all before. size_px: of the person, such as
    the square root of its area, > 0. Hidden points stay as they are, and out of the memory.
    """
    xy = points[:, :2].astype(np.float64)
    measured = points[:, 2] >= settings.sure
    known = (before.at_ns != NEVER_NS) & (now_ns - before.at_ns <= settings.lost_ns)
    dt = np.where(known, (now_ns - before.at_ns) / 1e9, 1.0)[:, None]
    filtered, speed = one_euro(xy, before.xy, before.speed, dt, size_px, settings)
    going_on, begins = (measured & known)[:, None], (measured & ~known)[:, None]
    memory = Filtered(
        xy=np.where(going_on, filtered, np.where(begins, xy, before.xy)),
        speed=np.where(going_on, speed, np.where(begins, 0.0, before.speed)),
        at_ns=np.where(measured, now_ns, before.at_ns),
    )
    out = points.copy()
    out[:, :2] = np.where(going_on, filtered, xy)
    return memory, out


__all__ = ["Filtered", "PointFilter", "smooth"]
