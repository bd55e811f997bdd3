"""Doubtful boxes: fractions, or width and height in place of right and bottom."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from streamproc.results import Detections, Result, Tracks

_LOOKED_AT = 200
"""boxes of a plugin that are checked"""
_ENOUGH = 20
"""boxes from which on their spread means something"""
_FRACTIONS = 3
_SPREAD_PX = 8.0
_STILL = 0.25
"""right and bottom spread by less than this part of left and top"""


class BoxDoubts:
    """Checks the first boxes of one plugin."""

    def __init__(self) -> None:
        self._boxes: list[NDArray[np.float32]] = []
        self._count = 0

    def look(self, results: Iterable[Result]) -> str:
        """Check the results of a call; return a sentence once the boxes are doubtful, else an empty text."""
        if self._count >= _LOOKED_AT:
            return ""
        found = [r.xyxy for r in results if isinstance(r, Detections) and not isinstance(r, Tracks) and len(r)]
        if not found:
            return ""
        self._boxes += found
        self._count += sum(map(len, found))
        sentence = doubt(np.concatenate(self._boxes))
        if sentence or self._count >= _LOOKED_AT:
            self._boxes, self._count = [], _LOOKED_AT
        return sentence


def doubt(xyxy: NDArray[np.float32]) -> str:
    """Return a sentence on what is wrong with these boxes, float32 (N, 4); empty where nothing is."""
    wide = (xyxy[:, 2:] > xyxy[:, :2]).all(axis=1)
    if wide.sum() >= _FRACTIONS and xyxy.max() <= 1:
        return "its boxes lie between 0 and 1; Detections.xyxy are pixels of the source: multiply by width and height"
    low, high = np.std(xyxy[:, :2], axis=0), np.std(xyxy[:, 2:], axis=0)
    if len(xyxy) >= _ENOUGH and (low > _SPREAD_PX).all() and (high < _STILL * low).all():
        return (
            "left and top of its boxes change while right and bottom hardly do, as width and height would; "
            "Detections.xyxy are left, top, right, bottom: add left and top to width and height"
        )
    return ""


__all__ = ["BoxDoubts", "doubt"]
