"""Scores of any detector on one scale, on which 0.5 is where it is meant to be used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scale:
    """Straight from 0 to 0.5 below the operating score, and from there to 1: nothing changes where that is 0.5."""

    operating: float = 0.5
    """above 0 and below 1"""

    def common(self, score: Array) -> Array:
        """Scores of the detector, (n,) in 0..1, on the common scale; values below 0 stay below 0."""
        if self.operating == 0.5:
            return score
        low, high = score * (0.5 / self.operating), 1 - (1 - score) * (0.5 / (1 - self.operating))
        return np.where(score < self.operating, low, high)

    def own(self, common: Array) -> Array:
        """The way back."""
        if self.operating == 0.5:
            return common
        low, high = common * (2 * self.operating), 1 - (1 - common) * (2 * (1 - self.operating))
        return np.where(common < 0.5, low, high)

    def threshold(self, score: float) -> float:
        """One score of the detector on the common scale."""
        return float(self.common(np.array([score], np.float64))[0])
