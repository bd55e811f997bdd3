"""A polygon of the picture in pixels, and how deep points lie in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamproc.geometry import in_polygon
from streamproc_plugins.rules.observations import Observation

Array = NDArray[np.float64]

_FAR = 1e9
_EDGE = 1e-3
"""fractions; a polygon side on the picture's border is no border: nothing can cross it"""


class Area:
    """corners: fractions 0-1 of a picture of `size` (width, height)."""

    def __init__(self, corners: tuple[tuple[float, float], ...], size: tuple[int, int]) -> None:
        parts = np.array(corners, np.float64)
        self.polygon: Array = parts * size
        after = np.roll(parts, -1, axis=0)
        on_edge = np.zeros(len(parts), np.bool_)
        for side in (0.0, 1.0):
            on_edge |= ((abs(parts - side) < _EDGE) & (abs(after - side) < _EDGE)).any(axis=1)
        inner = ~on_edge
        self._from = self.polygon[inner]
        self._way = (after * size)[inner] - self._from
        self._length = np.maximum((self._way**2).sum(axis=1), 1e-12)
        self._deepest = self._find_deepest()

    def depth(self, points: Array) -> Array:
        """Signed distance of points (N, 2) from the border in pixels, positive inside, float64 (N,)."""
        inside = in_polygon(points, self.polygon)
        return np.where(inside, 1.0, -1.0) * self._distance(points)

    def depths(self, observed: list[Observation]) -> list[tuple[float, float]]:
        """Depth of each anchor, and of the places where the tracks began."""
        if not observed:
            return []
        points = np.array([[observation.point, observation.born] for observation in observed], np.float64)
        found = self.depth(points.reshape(-1, 2)).reshape(-1, 2)
        return [(float(now), float(born)) for now, born in found]

    def margin(self, reach: float) -> float:
        """`reach`, the pixels beyond the border that count as surely across; less in a zone too thin for it."""
        return min(reach, self._deepest / 2)

    def _distance(self, points: Array) -> Array:
        if not len(self._from):
            return np.full(len(points), _FAR)
        off = points[:, None, :] - self._from[None]
        along = np.minimum(np.maximum((off * self._way).sum(axis=2) / self._length, 0), 1)
        return np.asarray(np.sqrt(((off - along[..., None] * self._way) ** 2).sum(axis=2)).min(axis=1))

    def _find_deepest(self) -> float:
        low, high = self.polygon.min(axis=0), self.polygon.max(axis=0)
        steps = (np.arange(32) + 0.5) / 32
        x, y = np.meshgrid(low[0] + steps * (high[0] - low[0]), low[1] + steps * (high[1] - low[1]))
        return max(float(self.depth(np.stack([x.ravel(), y.ravel()], axis=1)).max()), 0.0)
