"""One person per crop: the answers of a mask net for each box, put together on one grid. Functions of arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
Image = NDArray[np.uint8]
Window = tuple[int, int, int, int]
"""left, top, right, bottom in whole source pixels, right and bottom exclusive"""


def window(xyxy: F32, margin: float, width: int, height: int) -> Window:
    """The box with sides `margin` times as long, as far as it lies in the picture; never empty."""
    left, top, right, bottom = (float(value) for value in xyxy)
    across, down = (right - left) * (margin - 1) / 2, (bottom - top) * (margin - 1) / 2
    x, y = min(max(round(left - across), 0), width - 1), min(max(round(top - down), 0), height - 1)
    return x, y, max(min(round(right + across), width), x + 1), max(min(round(bottom + down), height), y + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The masks' grid, over the whole picture."""

    width: int
    height: int
    scale_x: float
    """of its pixels per source pixel"""
    scale_y: float

    def inside(self, place: Window) -> tuple[slice, slice]:
        """Rows and columns that a window of the picture covers, at least one of each."""
        left, right = round(place[0] * self.scale_x), round(place[2] * self.scale_x)
        top, bottom = round(place[1] * self.scale_y), round(place[3] * self.scale_y)
        left, top = min(left, self.width - 1), min(top, self.height - 1)
        return slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))


def crop_masks(
    answers: list[F32], windows: list[Window], boxes: F32, grid: Grid, threshold: float
) -> NDArray[np.bool_]:
    """bool (N, H, W) on the grid, each person only inside its own box, no pixel with two.

    answers: probability (h, w) over each window. boxes: (N, 4) source pixels. A pixel of several boxes goes to the one
    whose net is surest of it.
    """
    import cv2

    masks = np.zeros((len(answers), grid.height, grid.width), np.bool_)
    best = np.zeros((grid.height, grid.width), np.float32)
    for row, (answer, place) in enumerate(zip(answers, windows, strict=True)):
        rows, columns = grid.inside(place)
        size = (columns.stop - columns.start, rows.stop - rows.start)
        sure = np.asarray(cv2.resize(answer, size, interpolation=cv2.INTER_LINEAR), np.float32)
        sure[_outside(rows, columns, grid.inside(window(boxes[row], 1.0, *_size(grid))))] = 0
        won = (sure >= threshold) & (sure > best[rows, columns])
        best[rows, columns] = np.where(won, sure, best[rows, columns])
        masks[:row, rows, columns] &= ~won
        masks[row, rows, columns] = won
    return masks


def _size(grid: Grid) -> tuple[int, int]:
    return max(round(grid.width / grid.scale_x), 1), max(round(grid.height / grid.scale_y), 1)


def _outside(rows: slice, columns: slice, own: tuple[slice, slice]) -> NDArray[np.bool_]:
    """bool, True for the part of a window (rows, columns) that isn't in the box `own`."""
    down, across = np.arange(rows.start, rows.stop), np.arange(columns.start, columns.stop)
    in_rows = (down >= own[0].start) & (down < own[0].stop)
    in_columns = (across >= own[1].start) & (across < own[1].stop)
    return np.asarray(~(in_rows[:, None] & in_columns[None]), np.bool_)


__all__ = ["Grid", "Window", "crop_masks", "window"]
