"""Distance beyond a border at which a point counts as across, in pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_TREMBLES = 4.0
"""standard deviations of the measured jitter: white noise goes further once in 30,000 frames"""
_SWINGS = 2.0
"""times the largest swing"""
_HALF_LIFE_NS = 10_000_000_000
_MOST = 0.5
"""of the box's size: no detector's jitter needs more"""
SETTLED_NS = 5_000_000_000
"""time on one side, without a break, after which the side is sure, whatever the jitter"""


@dataclass(slots=True, kw_only=True)
class Swings:
    """Swings of a track over a border and back while it lingers there: a memory that halves in ten seconds."""

    side: bool | None = None
    since_ns: int | None = None
    """when it moved to this side, None: it began there"""
    peak: float = 0.0
    """furthest from the border since, pixels"""
    strayed: float = 0.0
    strayed_ns: int = 0

    def observe(self, now_ns: int, side: bool, distance: float, size: float) -> None:
        """Update with the side and the distance from the border in pixels; a change of sides ends a swing."""
        if side is not self.side:
            if self.since_ns is not None:
                # a track that has been further away doesn't linger
                small = self.peak < _MOST * size
                self.strayed = max(self.strayed_at(now_ns), self.peak) if small else 0.0
                self.strayed_ns = now_ns
            self.since_ns = None if self.side is None else now_ns
            self.side, self.peak = side, 0.0
        self.peak = max(self.peak, distance)

    def strayed_at(self, now_ns: int) -> float:
        """The largest swing lately, pixels."""
        return float(self.strayed * 0.5 ** ((now_ns - self.strayed_ns) / _HALF_LIFE_NS))


def reach(share: float, size: float, jitter: float, strayed: float, held_ns: int) -> float:
    """Distance in pixels that must be reached.

    share: of the box's `size` (pixels), the least. jitter: standard deviation of the place around a smooth path,
    pixels. strayed: largest swing over the border and back, pixels. held_ns: how long the point has been on that side
    without a break.
    """
    least = share * size
    if held_ns >= SETTLED_NS:
        return least
    return max(least, min(max(_TREMBLES * jitter, _SWINGS * strayed), _MOST * size))


def scatter(places: Sequence[float]) -> float:
    """Standard deviation of places in order of time around the rising path nearest to them.

    That path is their isotonic regression, by pooling adjacent violators (Barlow et al., Statistical Inference under
    Order Restrictions, 1972).
    """
    pools: list[tuple[float, int]] = []
    for place in places:
        mean, count = place, 1
        while pools and pools[-1][0] >= mean:
            before, many = pools.pop()
            mean, count = (before * many + mean * count) / (many + count), many + count
        pools.append((mean, count))
    path = (mean for mean, count in pools for _ in range(count))
    left = sum((place - on_path) ** 2 for place, on_path in zip(places, path, strict=True))
    # of white noise such a path takes as many levels as there are records in it: the sum of 1 / k up to n
    levels = sum(1 / k for k in range(1, len(places) + 1))
    return math.sqrt(left / (len(places) - levels)) if len(places) > levels else 0.0


__all__ = ["SETTLED_NS", "Swings", "reach", "scatter"]
