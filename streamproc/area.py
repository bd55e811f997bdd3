"""An area filter for grey pictures, by matrix products.

OpenCV's filter goes pixel by pixel unless a picture shrinks by whole numbers. Where `p` pixels become `q` on each side,
and `p` is a power of two, every weight and every sum is exact in float32: the result equals OpenCV's, bit by bit.
"""

from __future__ import annotations

import threading
from functools import cache
from math import gcd, prod

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Array = NDArray[np.float32]

_MOST_FROM, _MOST_TO = 32, 6
"""limits beyond which the products have so many zeros that OpenCV is faster"""
_BAND = 1 << 17
"""pixels per product: they fit the processor's cache, and BLAS doesn't start threads for so few"""


def shrink_by_area(image: Image, width: int, height: int) -> Image | None:
    """Shrink uint8 (h, w) as `cv2.INTER_AREA` does; return None where this isn't exact or not faster."""
    (tall, wide), across, down = image.shape, gcd(image.shape[1], width), gcd(image.shape[0], height)
    columns, rows = _weights(wide // across, width // across), _weights(tall // down, height // down)
    if columns is None or rows is None or len(columns) == len(rows) == 1:
        return None
    small = np.empty((down, len(rows), width), np.uint8)
    blocks = image.reshape(down, -1, wide)
    step = max(_BAND // blocks[0].size, 1)
    for start in range(0, down, step):
        band = blocks[start : start + step]
        stored = _scratch.array(0, band.shape)
        np.copyto(stored, band)
        lines = np.matmul(rows, stored, out=_scratch.array(1, (len(band), len(rows), wide)))
        lines = lines.reshape(-1, columns.shape[1])
        pixels = np.matmul(lines, columns.T, out=_scratch.array(0, (len(lines), len(columns))))
        small[start : start + step] = np.rint(pixels, out=pixels).reshape(len(band), len(rows), width)
    return small.reshape(height, width)


class _Scratch(threading.local):
    """Memory of this thread, reused: requesting it from the system takes longer than the products."""

    def __init__(self) -> None:
        self._parts = [np.empty(0, np.float32), np.empty(0, np.float32)]

    def array(self, part: int, shape: tuple[int, ...]) -> Array:
        size = prod(shape)
        if self._parts[part].size < size:
            self._parts[part] = np.empty(size, np.float32)
        return self._parts[part][:size].reshape(shape)


_scratch = _Scratch()


@cache
def _weights(pixels: int, to: int) -> Array | None:
    """Return the weights float32 (to, pixels) of source pixels in target pixels; None where they aren't exact."""
    if to > min(pixels, _MOST_TO) or pixels > _MOST_FROM or pixels & (pixels - 1):
        return None
    edges = np.arange(to + 1) * (pixels / to)
    places = np.arange(pixels)
    covered = np.minimum(edges[1:, None], places + 1) - np.maximum(edges[:-1, None], places)
    exact = np.rint(np.clip(covered, 0, 1) * to) / pixels
    weights: Array = exact.astype(np.float32)
    weights.flags.writeable = False
    return weights


__all__ = ["shrink_by_area"]
