"""Differences of two pictures, and mixtures of a first and a last one. Functions of arrays.

The change between neighbours is the content score of PySceneDetect's detectors (Castellano): mean differences of hue,
saturation, value and edges. Hue and saturation count as much as the pixel is bright: those of dark pixels are noise.
That a dissolve is a mixture of two pictures with a growing share of the second is its definition in film editing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
Gray = NDArray[np.uint8]
Array = NDArray[np.float32]

WIDTH, HEIGHT = 64, 36
"""of the compared pictures: it hides motion of a few pixels in the full picture, and shows another view"""
SMALL = (32, 18)
"""width, height of the pictures stored for dissolves"""
_EDGES = 4.0
"""weight of a grey level's difference in edge strength: edges are few"""
_FLAT = 0.3
"""deviation of the detail, in grey levels, below which there is none"""
_STILL = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PictureForms:
    """A small picture in the forms that are compared, float32 (HEIGHT, WIDTH) or with three channels."""

    rgb: Rgb
    hsv: Array
    """hue 0..180, saturation and value 0..255"""
    gray: Gray
    edges: Array

    @property
    def level(self) -> float:
        """Mean grey level, 0..255."""
        return float(self.gray.mean())


def picture_forms(rgb: Rgb) -> PictureForms:
    """The forms of a small picture, uint8 (HEIGHT, WIDTH, 3)."""
    import cv2

    gray = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV).astype(np.float32)
    across, down = cv2.Sobel(gray, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(gray, cv2.CV_32F, 0, 1, scale=1 / 8)
    return PictureForms(rgb=rgb, hsv=hsv, gray=gray, edges=np.hypot(across, down))


def change(a: PictureForms, b: PictureForms) -> float:
    """Difference of two pictures, >= 0: mean over hue, saturation, value and edges, in levels of 255."""
    bright = np.minimum(a.hsv[..., 2], b.hsv[..., 2]) / 255
    coloured = np.minimum(a.hsv[..., 1], b.hsv[..., 1]) / 255
    off = np.abs(a.hsv - b.hsv)
    hue = np.minimum(off[..., 0], 180 - off[..., 0]) * (255 / 90)
    parts = (hue * bright * coloured, off[..., 1] * bright, off[..., 2], _EDGES * np.abs(a.edges - b.edges))
    return float(sum(part.mean() for part in parts)) / len(parts)


def detail(gray: NDArray[np.uint8] | Array) -> Array:
    """A picture without its light: the picture minus its blurred self, float32."""
    import cv2

    plain = gray.astype(np.float32)
    return np.asarray(plain - cv2.GaussianBlur(plain, (0, 0), gray.shape[1] / 20), np.float32)


def likeness(a: Gray, b: Gray) -> float:
    """Part of one grey picture found in another, -1..1: the median over its blocks of their correlations.

    Before, the one is shifted to where it fits best, by up to an eighth of its size. Near 1 for the same view in other
    light, after a jerk of the camera or with a person in front of less than half of it; low for another view.
    """
    import cv2

    height, width = a.shape
    top, left = height // 8, width // 8
    first, second = detail(a), detail(b)
    inner = np.ascontiguousarray(first[top : height - top, left : width - left])
    _, _, _, (x, y) = cv2.minMaxLoc(cv2.matchTemplate(second, inner, cv2.TM_CCORR_NORMED))
    same = second[y : y + inner.shape[0], x : x + inner.shape[1]]
    one, other = _blocks(inner), _blocks(same)
    spread = np.maximum(one.std(axis=1), other.std(axis=1))
    textured = spread > max(_FLAT, float(np.median(spread)) / 4)
    if not textured.any():
        return 0.0
    product = ((one - one.mean(axis=1, keepdims=True)) * (other - other.mean(axis=1, keepdims=True))).mean(axis=1)
    alike = product / (one.std(axis=1) * other.std(axis=1) + _STILL)
    return float(np.median(alike[textured]))


def _blocks(picture: Array) -> Array:
    """Float32 (16, K): the pixels of each of 4 x 4 blocks; rows and columns left over at the end go."""
    height, width = picture.shape[0] // 4, picture.shape[1] // 4
    blocks = picture[: 4 * height, : 4 * width].reshape(4, height, 4, width)
    return blocks.transpose(0, 2, 1, 3).reshape(16, height * width)


def shrunk(gray: Gray) -> Gray:
    """A grey picture at the size stored for dissolves."""
    import cv2

    return np.asarray(cv2.resize(gray, SMALL, interpolation=cv2.INTER_AREA), np.uint8)


def mixture(pictures: NDArray[np.uint8]) -> tuple[NDArray[np.float64], float]:
    """Shares of the last picture in each of (N, h, w), and how well mixing the first and the last explains them.

    Each picture is fitted by first + share * (last - first). The second number is the least R^2 of the pictures
    between the first and the last, 1: nothing else is in them, 0 or less: they show content of their own.
    """
    plain = pictures.reshape(len(pictures), -1).astype(np.float64)
    way = plain[-1] - plain[0]
    length = max(float(way @ way), _STILL)
    gone = plain - plain[0]
    shares = gone @ way / length
    left = ((gone - shares[:, None] * way) ** 2).sum(axis=1)
    return shares, 1 - float(left.max()) / length


def dissolve(pictures: NDArray[np.uint8], fit: float = 0.9) -> int | None:
    """Index of the first picture of (N, h, w) in which the last one shows, if they dissolve from the first to the last.

    It has to be over: the first two and the last two are all but the same.
    """
    if len(pictures) < 6:
        return None
    shares, explained = mixture(pictures)
    steps = np.diff(shares)
    still = abs(shares[1]) < 0.06 and abs(1 - shares[-2]) < 0.06 and abs(1 - shares[-3]) < 0.06
    between = int(((shares > 0.12) & (shares < 0.88)).sum())
    if not still or explained < fit or steps.min() < -0.06 or steps.max() > 0.45 or between < 2:
        return None
    return int(np.argmax(shares > 0.06))


__all__ = [
    "HEIGHT",
    "WIDTH",
    "Gray",
    "PictureForms",
    "Rgb",
    "change",
    "detail",
    "dissolve",
    "likeness",
    "picture_forms",
    "shrunk",
]
