"""The unmoving part of the synthetic scene: a yard with a wall, a road and pavement, from a camera on a pole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamproc.frames import Image

WALL, VERGE, ROAD, KERB = 0.0, 0.31, 0.37, 0.56
"""where each band begins, as a part of the height"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Backdrop:
    """A view, by day and by night."""

    day: Image
    night: Image


def px_per_m(y: float, height: int) -> float:
    """Pixels per metre for something that stands on the ground at row `y`."""
    return height * (0.062 + 0.125 * (y / height - ROAD))


def backdrop(width: int, height: int, random: np.random.Generator) -> Backdrop:
    """uint8 (height, width, 3) RGB each; another generator, another view."""
    colours = np.zeros((height, width, 3), dtype=np.float32)
    rows = (np.arange(height)[:, None] / height).astype(np.float32)
    columns = (np.arange(width)[None, :] / width).astype(np.float32)
    tint = random.uniform(0.85, 1.1) * random.uniform(0.97, 1.03, size=3)
    for start, colour in (
        (WALL, np.array([139, 106, 90]) * tint),
        (VERGE, np.array([84, 98, 58])),
        (ROAD, np.array([86, 87, 92])),
        (KERB, np.array([148, 143, 134]) * tint),
    ):
        colours[int(start * height) :] = colour
    _wall(colours, random)
    _ground(colours, rows, columns)
    grain = _grain(width, height, random)
    colours += grain[..., None] * np.where(rows < VERGE, 0.7, 1.0)[..., None]
    lit = 0.82 + 0.3 * (1 - columns) * (0.4 + 0.6 * rows)
    lit *= 1 - 0.25 * ((columns - 0.5) ** 2 + (rows - 0.5) ** 2)
    lamp = np.exp(-(((columns - random.uniform(0.3, 0.7)) / 0.28) ** 2) - ((rows - 0.72) / 0.3) ** 2)
    day = colours * lit[..., None]
    night = colours * (0.2 + 0.55 * lamp)[..., None] * np.array([1.0, 0.93, 0.8], dtype=np.float32)
    return Backdrop(day=_bytes(day), night=_bytes(night))


def _bytes(picture: NDArray[np.floating]) -> Image:
    return np.asarray(np.clip(np.rint(picture), 0, 255), dtype=np.uint8)


def _wall(colours: NDArray[np.float32], random: np.random.Generator) -> None:
    """Bricks, windows and a door in the upper band, in place."""
    height, width = colours.shape[:2]
    bottom = int(VERGE * height)
    brick_h, brick_w = max(3, height // 60), max(6, width // 45)
    rows, columns = np.arange(bottom)[:, None], np.arange(width)[None, :]
    course = rows // brick_h
    shifted = columns + (course % 2) * (brick_w // 2)
    shade = random.uniform(0.82, 1.12, size=(bottom // brick_h + 1, width // brick_w + 2)).astype(np.float32)
    colours[:bottom] *= shade[course, shifted // brick_w][..., None]
    mortar = (rows % brick_h == 0) | (shifted % brick_w == 0)
    colours[:bottom][mortar] = (158, 150, 140)
    count = 4
    door = int(random.integers(0, count))
    for index in range(count):
        left = int(width * (index + 0.5 + random.uniform(-0.1, 0.1)) / count - width * 0.045)
        top, low = (0.07, VERGE) if index == door else (0.04, 0.2)
        box = (slice(int(top * height), int(low * height)), slice(max(0, left), left + int(width * 0.09)))
        colours[box] = (235, 230, 220)
        rim = max(2, height // 120)
        inner = colours[box][rim : None if index == door else -rim, rim:-rim]
        inner[:] = (70, 50, 40) if index == door else (52, 66, 80)
        if index != door and inner.size:
            inner += np.linspace(45, 0, inner.shape[0], dtype=np.float32)[:, None, None]
            inner[:, inner.shape[1] // 2 - rim // 2 : inner.shape[1] // 2 + rim] = (235, 230, 220)


def _ground(colours: NDArray[np.float32], rows: NDArray[np.float32], columns: NDArray[np.float32]) -> None:
    """Lane marks, kerb and paving joints in perspective, in place."""
    away = 1 / (rows - 0.12).clip(0.02)  # farther up is farther away
    middle = (ROAD + KERB) / 2
    dashes = (np.abs(rows - middle) < 0.006) & ((columns * 9) % 1 < 0.55)
    colours[np.broadcast_to(dashes, colours.shape[:2])] = (196, 194, 182)
    kerb = (rows > KERB - 0.004) & (rows < KERB + 0.012)
    colours[np.broadcast_to(kerb, colours.shape[:2])] = (186, 183, 176)
    paved = rows > KERB + 0.012
    across = (away * 5.2) % 1 < 0.045 * away
    along = np.abs(((columns - 0.5) * away * 4.4 + 100.5) % 1) < 0.02 * away
    joints = (across | along) & paved
    colours[joints] *= 0.8


def _grain(width: int, height: int, random: np.random.Generator) -> NDArray[np.float32]:
    """float32 (height, width): stains and grit of several sizes, mean about 0."""
    import cv2

    total = np.zeros((height, width), dtype=np.float32)
    for cells, strength in ((6, 10.0), (24, 7.0), (96, 6.0), (width, 7.0)):
        small = random.normal(0, 1, size=(max(2, cells * height // width), cells)).astype(np.float32)
        total += strength * np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))
    return total
