"""Grouping of differing pixels.

Masks are uint8 (h, w), 0 or 1. Each step works on a window around the pixels that the step before has left, wider by
its own reach, so its answer is that of the same step over the whole picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]
Window = tuple[slice, slice]
"""rows and columns of the picture"""

_LEAST_ACTIVE = 0.05
"""part of a blob that must have changed a moment ago"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Blobs:
    """Groups of pixels that differ, each large enough."""

    window: Window
    large: NDArray[np.bool_]
    """bool, of the window's size: the pixels of all groups, still ones too"""
    boxes: NDArray[np.float32]
    """float32 (N, 4) xyxy of the groups that move, in pixels of the picture, largest first; none overlap"""
    strength: NDArray[np.float32]
    """float32 (N,), 0..1: part of the box that differs"""


class Grouping:
    """Joins the pixels of a picture of `width` times `height` to groups of at least `least` pixels."""

    def __init__(self, width: int, height: int, least: float) -> None:
        import cv2

        self._cv2: Any = cv2
        self._width, self._height = width, height
        self._least = least
        self._core = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
        reach = max(round(max(width, height) / 28), 3) | 1
        self._bridge = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
        self._margin = 2 * (reach // 2)  # closing carries a pixel over half of it and looks over the other half

    def blobs(
        self, differs: Mask, moved: Mask, dismiss: Callable[[Window], NDArray[np.bool_]] | None = None
    ) -> Blobs | None:
        """The groups in `differs`; None where none is large enough.

        moved: the pixels that changed a moment ago.
        dismiss: bool, of the window's size: which of its pixels to leave out, such as shadows.
        """
        window = self._around(differs, (slice(0, self._height), slice(0, self._width)), 1)
        solid = None if window is None else self._opened(differs[window])
        if window is not None and solid is not None and dismiss is not None:
            # opening a part of the differences leaves a part of the opened whole
            inner = self._around(solid, window, 1)
            if inner is None:
                return None
            solid = self._opened(solid[within(inner, window)] & ~dismiss(inner))
            window = inner
        if window is None or solid is None:
            return None
        outer = self._around(solid, window, self._margin)
        return None if outer is None else self._grouped(placed(solid, window, outer), moved[outer], outer)

    def _around(self, mask: Mask, window: Window, margin: int) -> Window | None:
        """The window around the pixels of `mask`, which covers `window`; None where there are too few."""
        if self._cv2.countNonZero(mask) < self._least:
            return None
        x, y, width, height = self._cv2.boundingRect(mask)
        left, top = x + window[1].start, y + window[0].start
        rows = slice(max(top - margin, 0), min(top + height + margin, self._height))
        return rows, slice(max(left - margin, 0), min(left + width + margin, self._width))

    def _opened(self, mask: Mask) -> Mask:
        return np.asarray(self._cv2.morphologyEx(mask, self._cv2.MORPH_OPEN, self._core), np.uint8)

    def _grouped(self, solid: Mask, moved: Mask, window: Window) -> Blobs:
        cv2 = self._cv2
        joined = cv2.morphologyEx(solid, cv2.MORPH_CLOSE, self._bridge)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8, ltype=cv2.CV_16U)
        size = np.bincount(labels[solid > 0], minlength=count)
        active = np.bincount(labels[(moved & solid) > 0], minlength=count)
        large = size >= self._least
        large[0] = False
        moving = large & (active >= np.maximum(_LEAST_ACTIVE * size, self._least / 4))
        left, top = stats[:, 0] + window[1].start, stats[:, 1] + window[0].start
        corners = np.stack([left, top, left + stats[:, 2], top + stats[:, 3]], axis=1)
        boxes, filled = merged(corners[moving], size[moving])
        sides = boxes[:, 2:] - boxes[:, :2]
        strength = np.clip(filled / np.maximum(sides[:, 0] * sides[:, 1], 1), 0, 1).astype(np.float32)
        return Blobs(window=window, large=large[labels], boxes=boxes.astype(np.float32), strength=strength)


def within(window: Window, other: Window) -> Window:
    """`window` of the picture as a window of `other`, which holds it."""
    rows, columns = window
    down, right = other[0].start, other[1].start
    return slice(rows.start - down, rows.stop - down), slice(columns.start - right, columns.stop - right)


def placed(mask: Mask, window: Window, outer: Window) -> Mask:
    """`mask`, which covers `window`, in a picture of the size of `outer`, which holds all of its pixels that are 1."""
    inner = tuple(
        slice(max(one.start, other.start), min(one.stop, other.stop)) for one, other in zip(window, outer, strict=True)
    )
    target = np.zeros([side.stop - side.start for side in outer], np.uint8)
    target[within((inner[0], inner[1]), outer)] = mask[within((inner[0], inner[1]), window)]
    return target


def merged(boxes: NDArray[Any], filled: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Boxes that overlap as one, until none do; `filled` of each is added up."""
    apart: list[tuple[NDArray[Any], float]] = []
    waiting = list(zip(boxes, filled.tolist(), strict=True))
    while waiting:
        box, amount = waiting.pop()
        for place, (other, more) in enumerate(apart):
            if (np.maximum(box[:2], other[:2]) < np.minimum(box[2:], other[2:])).all():
                del apart[place]
                union = np.concatenate([np.minimum(box[:2], other[:2]), np.maximum(box[2:], other[2:])])
                waiting.append((union, amount + more))
                break
        else:
            apart.append((box, amount))
    apart.sort(key=lambda pair: -pair[1])
    amounts = np.array([amount for _, amount in apart], np.float64)
    return np.array([box for box, _ in apart], np.float64).reshape(-1, 4), amounts


__all__ = ["Blobs", "Grouping", "Mask", "Window", "merged"]
