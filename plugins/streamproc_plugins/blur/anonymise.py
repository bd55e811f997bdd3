"""Parts of a picture made unrecognisable for good: functions of arrays.

A mild blur can be undone and a fine mosaic be guessed; here a handful of coarse colours is left of a part, or none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Method = Literal["mosaic", "fill"]

MOST_BLOCKS = 8
GREY = (96, 96, 96)
_LEVELS = 32
"""colours of a mosaic are rounded to steps of this: pictures of a moving face add up to less"""


def anonymise(
    rgb: Image,
    boxes: NDArray[Any],
    *,
    method: Method = "mosaic",
    blocks: int = 5,
    masks: Sequence[NDArray[np.bool_]] = (),
    polygons: Sequence[NDArray[Any]] = (),
) -> Image:
    """A copy of a picture uint8 (h, w, 3) in which the parts named can't be recognised, however it is enlarged.

    boxes: (N, 4) xyxy in pixels; whole pixels that they touch are covered. masks: bool (h, w) each. polygons: (K, 2) in
    pixels each. method: `mosaic` leaves `blocks` (1 to 8) mean colours along the longer side of a part, `fill` one grey
    for all. Raises `ValueError` for boxes that aren't finite or more blocks: nothing is let through by mistake.
    """
    if not 1 <= blocks <= MOST_BLOCKS:
        raise ValueError(f"blocks is {blocks}, expected 1 to {MOST_BLOCKS}: more would leave a face to be recognised")
    found = np.asarray(boxes, np.float64).reshape(-1, 4)
    if not np.isfinite(found).all():
        raise ValueError("boxes hold numbers that are not finite; cover the whole picture instead")
    out = rgb.copy()
    height, width = rgb.shape[:2]
    for left, top, right, bottom in touched(found, width, height):
        part = out[top:bottom, left:right]
        if part.size:
            part[:] = covered(rgb[top:bottom, left:right], method, blocks)
    for shape in [*masks, *(drawn(polygon, width, height) for polygon in polygons)]:
        _cover_shape(out, rgb, shape, method, blocks)
    return out


def anonymised_whole(rgb: Image, method: Method = "mosaic", blocks: int = 5) -> Image:
    """A copy of which nothing can be recognised."""
    return covered(rgb, method, blocks)


def covered(part: Image, method: Method, blocks: int) -> Image:
    """Replacement of a part uint8 (h, w, 3), h and w > 0."""
    import cv2

    if method == "fill":
        return np.full(part.shape, GREY, np.uint8)
    height, width = part.shape[:2]
    longer = max(height, width)
    grid = (max(round(blocks * width / longer), 1), max(round(blocks * height / longer), 1))
    means = cv2.resize(part, (min(grid[0], width), min(grid[1], height)), interpolation=cv2.INTER_AREA)
    coarse = np.asarray(means, np.uint8) // _LEVELS * _LEVELS + _LEVELS // 2
    return np.asarray(cv2.resize(coarse.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def touched(boxes: NDArray[np.float64], width: int, height: int) -> NDArray[np.int64]:
    """Whole pixels that boxes (N, 4) touch, cut to the picture, int64 (N, 4)."""
    low = np.floor(boxes[:, :2])
    high = np.maximum(np.ceil(boxes[:, 2:]), low + 1)
    limits = np.array([width, height])
    return np.concatenate([np.clip(low, 0, limits), np.clip(high, 0, limits)], axis=1).astype(np.int64)


def grown(boxes: NDArray[Any], margin: float) -> NDArray[np.float64]:
    """Boxes (N, 4) larger by `margin` of their width and height on every side."""
    found = np.asarray(boxes, np.float64).reshape(-1, 4)
    room = (found[:, 2:] - found[:, :2]) * margin
    return np.concatenate([found[:, :2] - room, found[:, 2:] + room], axis=1)


def swollen(mask: NDArray[np.bool_], margin: float) -> NDArray[np.bool_]:
    """A mask (h, w) larger by `margin` of its own width or height, whichever is less, on every side."""
    import cv2

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return mask
    reach = int(np.ceil(margin * min(np.ptp(rows), np.ptp(columns)) + 1))
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel) > 0)


def drawn(polygon: NDArray[Any], width: int, height: int) -> NDArray[np.bool_]:
    """The pixels that a polygon (K, 2) covers or touches, bool (height, width)."""
    import cv2

    canvas = np.zeros((height, width), np.uint8)
    points = np.rint(np.asarray(polygon, np.float64)).astype(np.int32)
    cv2.fillPoly(canvas, [points], 1)
    cv2.polylines(canvas, [points], True, 1, 2)
    return canvas > 0


def _cover_shape(out: Image, rgb: Image, shape: NDArray[np.bool_], method: Method, blocks: int) -> None:
    rows, columns = np.flatnonzero(shape.any(axis=1)), np.flatnonzero(shape.any(axis=0))
    if not len(rows):
        return
    window = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
    inside = shape[window]
    out[window][inside] = covered(rgb[window], method, blocks)[inside]
