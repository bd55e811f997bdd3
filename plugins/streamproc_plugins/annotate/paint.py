"""Drawing onto RGB pictures: colours, lines, tags whose size follows the picture's."""

from __future__ import annotations

import colorsys
from functools import lru_cache
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]
Spot = tuple[float, float]

_SHIFT = 3
"""bits behind the point with which cv2 draws"""
_GOLDEN = 0.61803398875
INK: Colour = (16, 18, 22)
PAPER: Colour = (245, 246, 248)


@lru_cache(maxsize=4096)
def colour_of(number: int) -> Colour:
    """A bright colour for a number; neighbours differ as much as can be (golden ratio of the colour circle)."""
    hue = (0.56 + number * _GOLDEN) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.72 if number % 2 else 0.58, 1.0)
    return (round(red * 255), round(green * 255), round(blue * 255))


def colour_of_name(name: str) -> Colour:
    """A colour for a name, the same in every run."""
    return colour_of(crc32(name.encode()) % 997)


def ink_on(ground: Colour) -> Colour:
    """Dark or light, whichever reads better on this ground."""
    return INK if 0.299 * ground[0] + 0.587 * ground[1] + 0.114 * ground[2] > 128 else PAPER


def plain(text: str) -> str:
    """The text in the letters that cv2's own fonts have."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)


class Canvas:
    """One picture being drawn on; coordinates are those of the source, `scale` times smaller or larger here."""

    def __init__(self, rgb: Image, scale: float = 1.0) -> None:
        import cv2

        self._cv2: Any = cv2
        self.rgb = rgb
        self.scale = scale
        self.height, self.width = rgb.shape[:2]
        self.unit = max(min(self.height, self.width * 0.75) / 480, 0.75)
        """1 for a picture 480 high: lines and letters grow with it"""
        self.thin = max(round(1.25 * self.unit), 1)
        self._font = cv2.FONT_HERSHEY_SIMPLEX
        self._size = 0.42 * self.unit
        self._weight = max(round(1.0 * self.unit), 1)

    def at(self, points: Any) -> NDArray[np.int32]:
        """Source pixels as cv2 wants them, int32 with a fraction."""
        return np.rint(np.asarray(points, np.float64) * (self.scale * (1 << _SHIFT))).astype(np.int32)

    def path(self, points: Any, colour: Colour, *, closed: bool = False, thick: float = 1.0) -> None:
        """A line through points (N, 2)."""
        weight = max(round(self.thin * thick), 1)
        spots = self.at(points).reshape(-1, 1, 2)
        self._cv2.polylines(self.rgb, [spots], closed, colour, weight, self._cv2.LINE_AA, _SHIFT)

    def box(self, xyxy: Any, colour: Colour, *, thick: float = 1.0) -> None:
        """The border of a box, a dark line around it so that it shows on any ground."""
        left, top, right, bottom = np.asarray(xyxy, np.float64).tolist()
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        self.path(corners, INK, closed=True, thick=2 * thick)
        self.path(corners, colour, closed=True, thick=thick)

    def dot(self, point: Any, colour: Colour, radius: float) -> None:
        """A filled circle; its radius in units."""
        x, y = self.at(point).tolist()
        size = max(round(radius * self.unit * (1 << _SHIFT)), 1)
        self._cv2.circle(self.rgb, (x, y), size, colour, -1, self._cv2.LINE_AA, _SHIFT)

    def fill(self, points: Any, colour: Colour, share: float) -> None:
        """A polygon (N, 2) that covers the picture below by `share`."""
        spots = self.at(points)
        low = np.clip(spots.min(axis=0) >> _SHIFT, 0, (self.width, self.height))
        high = np.clip((spots.max(axis=0) >> _SHIFT) + 1, 0, (self.width, self.height))
        if (high <= low).any():
            return
        part = self.rgb[low[1] : high[1], low[0] : high[0]]
        mask = np.zeros(part.shape[:2], np.uint8)
        self._cv2.fillPoly(mask, [spots - (low << _SHIFT)], 255, self._cv2.LINE_8, _SHIFT)
        self.tint(part, colour, share, mask)

    def text_size(self, text: str, size: float = 1.0) -> tuple[int, int]:
        """Width and height in pixels of this picture, with room around."""
        (width, height), base = self._cv2.getTextSize(text, self._font, self._size * size, self._weight)
        pad = self._pad()
        return (width + 2 * pad, height + base // 2 + 2 * pad)

    def tag(self, text: str, corner: Spot, ground: Colour, *, share: float = 1.0, size: float = 1.0) -> None:
        """Text on a filled ground whose upper left corner is at `corner`, pixels of this picture; always inside it."""
        text = plain(text)
        width, height = self.text_size(text, size)
        left = round(min(max(corner[0], 0), max(self.width - width, 0)))
        top = round(min(max(corner[1], 0), max(self.height - height, 0)))
        part = self.rgb[top : top + height, left : left + width]
        if share >= 1:
            part[:] = ground
        else:
            self.tint(part, ground, share, None)
        pad = self._pad()
        place = (left + pad, top + height - pad - round(2 * self.unit * size))
        ink = ink_on(ground)
        self._cv2.putText(
            self.rgb, text, place, self._font, self._size * size, ink, self._weight, self._cv2.LINE_AA
        )  # fmt: skip

    def tint(self, part: Image, colour: Colour, share: float, mask: Image | None) -> None:
        """Let `share` of a colour cover a part of the picture (h, w, 3), where a mask (h, w) isn't 0."""
        ground = np.empty_like(part)
        ground[:] = colour
        mixed = self._cv2.addWeighted(part, 1 - share, ground, share, 0)
        if mask is None:
            part[:] = mixed
        else:
            self._cv2.copyTo(mixed, mask, part)

    def _pad(self) -> int:
        return int(max(round(3 * self.unit), 2))
