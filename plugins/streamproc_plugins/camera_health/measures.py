"""Measures of a picture's quality and view. Functions of grey pictures (h, w), uint8 or float32, 0..255."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]
Array = NDArray[np.float32]

BLOCKS = 6
"""a picture is judged by the median of BLOCKS x BLOCKS parts, so that a person before some of them doesn't matter"""
_FINE = 1.0
_COARSE = 4.0
"""deviations in pixels of the blurs between which detail is measured"""
_EPS = 1e-6
_OVERLAP = 0.4
"""least correlation of the common part of two views, for one to be the other one shifted"""


def blocks(picture: Array) -> Array:
    """Float32 (BLOCKS * BLOCKS, K): the pixels of each block; rows and columns left over at the end go."""
    height, width = picture.shape[0] // BLOCKS, picture.shape[1] // BLOCKS
    tiles = picture[: BLOCKS * height, : BLOCKS * width].reshape(BLOCKS, height, BLOCKS, width)
    return np.asarray(tiles.transpose(0, 2, 1, 3).reshape(BLOCKS * BLOCKS, height * width), np.float32)


def detail(gray: Gray) -> Array:
    """A picture minus its blurred self, which stays the same in other light, float32 (h, w)."""
    import cv2

    plain = gray.astype(np.float32)
    return np.asarray(plain - cv2.GaussianBlur(plain, (0, 0), _COARSE), np.float32)


def flat_share(gray: Gray, contrast: float) -> float:
    """Part of the picture, 0..1, whose blocks vary by less than `contrast` levels: a wall, a hand before the lens."""
    import cv2

    calm = cv2.GaussianBlur(gray, (0, 0), 1.5)
    return float((blocks(detail(np.asarray(calm, np.uint8))).std(axis=1) < contrast).mean())


def sharpness(gray: Gray, contrast: float = 1.0) -> float | None:
    """Median over the blocks of fine detail against coarse, independent of light; None with too little detail."""
    import cv2

    plain = gray.astype(np.float32)
    fine, coarse = cv2.GaussianBlur(plain, (0, 0), _FINE), cv2.GaussianBlur(plain, (0, 0), _COARSE)
    small, large = blocks(plain - fine).std(axis=1), blocks(fine - coarse).std(axis=1)
    clear = large > contrast
    return float(np.median(small[clear] / large[clear])) if clear.mean() > 0.1 else None


def view_agreement(learned: Array, now: Array, contrast: float = 1.0) -> float | None:
    """Median over the blocks of the correlation of their detail, -1..1; None where the learned view has too little."""
    one, other = blocks(learned), blocks(now)
    one, other = one - one.mean(axis=1, keepdims=True), other - other.mean(axis=1, keepdims=True)
    first, second = one.std(axis=1), other.std(axis=1)
    clear = first > contrast
    if clear.mean() <= 0.1:
        return None
    return float(np.median(((one * other).mean(axis=1) / (first * second + _EPS))[clear]))


def shift(learned: Array, now: Array) -> tuple[float, float] | None:
    """Shift of the view, right and down in fractions of the picture; None if it is another one altogether."""
    import cv2

    window = cv2.createHanningWindow(learned.shape[::-1], cv2.CV_32F)
    # copies, because it multiplies the pictures that it is given by the window where they needn't be padded
    (right, down), _ = cv2.phaseCorrelate(learned.copy(), now.copy(), window)
    height, width = learned.shape
    x, y = round(right), round(down)
    first = learned[max(-y, 0) : height - max(y, 0), max(-x, 0) : width - max(x, 0)]
    second = now[max(y, 0) : height - max(-y, 0), max(x, 0) : width - max(-x, 0)]
    if min(first.shape) < 2 or float(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < _OVERLAP:
        return None
    return float(right) / width, float(down) / height


def frozen(before: Gray, now: Gray) -> bool:
    """Whether two pictures are the same but for rounding: noise, a leaf or a clock would have changed one of them."""
    return int(np.abs(now.astype(np.int16) - before).max()) <= 1


__all__ = [
    "BLOCKS",
    "Array",
    "Gray",
    "blocks",
    "detail",
    "flat_share",
    "frozen",
    "sharpness",
    "shift",
    "view_agreement",
]
