"""Differences of two grey pictures of one scene, a change of the light of the whole left out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc_plugins.motion.scratch import Scratch

Gray = NDArray[np.uint8]
Array = NDArray[np.float32]

_MOST_GAIN = 1.6
_BLACK = 4
"""added to grey levels, so that the noise of black isn't taken for light"""
_WHITE = 255
_MOST_SAMPLES = 8191
_SAME = 0.05
"""grey levels by which no pixel becomes another one"""
_LEVELS = np.arange(256, dtype=np.float32)


class Light:
    """Compares pictures of one size; looked_at: bool (h, w), the part from which the light is measured."""

    def __init__(self, looked_at: NDArray[np.bool_]) -> None:
        import cv2

        self._cv2: Any = cv2
        places = np.flatnonzero(looked_at)
        # a step that isn't whole, so that they lie on all columns
        chosen = np.linspace(0, max(len(places) - 1, 0), min(len(places), _MOST_SAMPLES)).astype(np.intp)
        self._places = places[chosen]

    def differs(self, picture: Gray, other: Gray, limit: float, work: Scratch) -> Gray:
        """1 where pixels differ by more than `limit` from `other`, be it as it is or in this light: `work.moved`."""
        cv2, into = self._cv2, work.moved
        cv2.absdiff(picture, other, dst=work.plain)
        cv2.threshold(work.plain, int(limit), 1, cv2.THRESH_BINARY, dst=into)
        gain = self.gain(picture, other)
        if _equal(gain) or not cv2.countNonZero(into):
            return into
        np.copyto(work.picture, picture)
        cv2.LUT(other, in_light(_LEVELS, gain, np.empty_like(_LEVELS)), dst=work.expected)
        cv2.absdiff(work.picture, work.expected, dst=work.expected)
        beyond = np.greater(work.expected, limit, out=work.plain.view(np.bool_))
        np.logical_and(into, beyond, out=into.view(np.bool_))
        return into

    def differs_from_mean(self, picture: Gray, mean: Array, limit: Array, work: Scratch) -> Gray:
        """As `differs`, with a limit for each pixel: `work.differs`. Distance of each from the mean: `work.off`."""
        cv2 = self._cv2
        np.copyto(work.picture, picture)
        cv2.absdiff(work.picture, mean, dst=work.off)
        either, gain = work.off, self.gain(picture, mean)
        if not _equal(gain):
            in_light(mean, gain, work.expected)
            cv2.absdiff(work.picture, work.expected, dst=work.expected)
            either = cv2.min(work.off, work.expected, dst=work.either)
        np.greater(either, limit, out=work.differs.view(np.bool_))
        return work.differs

    def gain(self, picture: Gray, other: NDArray[Any]) -> float:
        """Gain in brightness of `picture`: the median over a sample of pixels, at most 1.6 times or 1/1.6."""
        a, b = picture.ravel().take(self._places), other.ravel().take(self._places)
        half = len(a) // 2
        if max(np.count_nonzero(a > b), np.count_nonzero(a < b)) < max(half, 1):
            return 1.0  # the middle is among those that are equal, in which a selection is slow
        ratio = (a + np.float32(_BLACK)) / (b + np.float32(_BLACK))
        below = half - 1 + len(a) % 2
        ratio.partition(half if below == half else (below, half))
        return min(max((float(ratio[below]) + float(ratio[half])) / 2, 1 / _MOST_GAIN), _MOST_GAIN)


def in_light(levels: Array, gain: float, into: Array) -> Array:
    """Grey levels in a light `gain` times as strong; clipped white (black) doesn't follow it."""
    np.multiply(levels, np.float32(gain), out=into)
    np.add(into, np.float32(_BLACK * (gain - 1)), out=into)
    np.maximum(into, np.float32(0), out=into)
    return np.minimum(into, np.float32(_WHITE), out=into)


def _equal(gain: float) -> bool:
    return abs(gain - 1) * (_WHITE + _BLACK) < _SAME


__all__ = ["Light", "in_light"]
