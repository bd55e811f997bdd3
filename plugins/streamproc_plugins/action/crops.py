"""A person's picture, cut along a track: functions of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc.frames import resize

U8 = NDArray[np.uint8]


def window_round(xyxy: NDArray[Any], aspect: float, margin: float) -> tuple[int, int, int, int]:
    """Pixels round a box that has the shape of a net's input: left, top, right, bottom; may leave the picture.

    aspect: width / height of the input. margin: 1.2 adds a tenth of the box on each side. The box is in its middle.
    """
    width, height = (max(float(side), 1.0) * margin for side in (xyxy[2] - xyxy[0], xyxy[3] - xyxy[1]))
    width, height = max(width, height * aspect), max(height, width / aspect)
    x, y = float(xyxy[0] + xyxy[2]) / 2, float(xyxy[1] + xyxy[3]) / 2
    left, top = round(x - width / 2), round(y - height / 2)
    return left, top, left + max(round(width), 1), top + max(round(height), 1)


def crop(rgb: U8, window: tuple[int, int, int, int], size: tuple[int, int]) -> U8:
    """The pixels in a window as a picture of `size` (width, height), uint8 (h, w, 3); black where it leaves `rgb`."""
    left, top, right, bottom = window
    height, width = rgb.shape[:2]
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if x0 >= x1 or y0 >= y1:
        return np.zeros((size[1], size[0], 3), np.uint8)
    inside = rgb[y0:y1, x0:x1]
    if (x0, y0, x1, y1) != window:
        whole = np.zeros((bottom - top, right - left, 3), np.uint8)
        whole[y0 - top : y1 - top, x0 - left : x1 - left] = inside
        inside = whole
    return resize(np.ascontiguousarray(inside), *size)


__all__ = ["crop", "window_round"]
