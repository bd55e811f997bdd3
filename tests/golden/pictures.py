"""Folders of pictures for the golden runs: integer arithmetic only, so that they are the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

PALETTE = {
    "ann": ("person", (220, 40, 40)),
    "bob": ("person", (40, 200, 40)),
    "cat": ("person", (40, 40, 220)),
    "bag": ("backpack", (220, 200, 40)),
    "car": ("car", (200, 40, 200)),
}
"""label and colour of each thing in the street"""
STREET_LACKS = frozenset([*range(118, 142), 171, 172])
"""pictures of the street that can't be read: gaps in its time"""
PAN_LACKS = frozenset(range(26, 43))


def write_folders(root: Path) -> None:
    """Write the folders `dock`, `gate`, `pan` and `street` below `root`."""
    _write(root / "dock", (square(n, 11) for n in range(48)))
    _write(root / "gate", (square(n, 17) for n in range(30)))
    _write(root / "pan", (None if n in PAN_LACKS else panned(n) for n in range(64)))
    _write(root / "street", (None if n in STREET_LACKS else street(n) for n in range(240)))


def square(number: int, step: int) -> Image:
    """A bright square of changing size on a ground that changes with time."""
    rgb = np.full((48, 64, 3), 30 + number * step % 90, np.uint8)
    x, side = number * step % 40, 8 + number % 9
    rgb[12 : 12 + side, x : x + side] = (200, 180 - number, 90 + number)
    return rgb


def panned(number: int, right: int = 2) -> Image:
    """A texture that moves right by `right` pixels, and a little more at every fourth picture, and down by one."""
    shift = number * right + number // 4 * 2
    return np.ascontiguousarray(np.roll(_texture(), (number, shift), axis=(0, 1))[:96, :128])


def street(number: int) -> Image:
    """Ten pictures a second: people who hide behind a pillar and each other, a bag that is left, a car."""
    rgb = np.full((108, 192, 3), 90, np.uint8)
    _paint(rgb, "car", 200 - 4 * (number - 30), 30, (36, 18))
    _paint(rgb, "bag", 120 if number > 60 else -50, 88, (10, 10))
    _paint(rgb, "cat", 120 if number < 60 else 120 + 2 * (number - 60), 62, (14, 36))
    _paint(rgb, "bob", 190 - number, 56, (14, 38))
    _paint(rgb, "ann", number - 10, 50, (16, 40))
    rgb[40:108, 64:88] = 60  # the pillar
    return rgb


def _paint(rgb: Image, name: str, x: int, y: int, size: tuple[int, int]) -> None:
    left, right = max(0, x), max(0, x + size[0])
    rgb[y : y + size[1], left:right] = PALETTE[name][1]


def _texture() -> Image:
    """Smooth noise (192, 256, 3), the same all round."""
    y, x = np.indices((192, 256), dtype=np.int64)
    noise = ((x * 73856093) ^ (y * 19349663) ^ (x * y * 83492791)) // 64 % 256
    for axis in (0, 1):
        noise = np.sum([np.roll(noise, shift, axis) for shift in range(-5, 6)], axis=0) // 11
    low, high = int(noise.min()), int(noise.max())
    return np.repeat(((noise - low) * 255 // (high - low)).astype(np.uint8)[..., None], 3, axis=2)


def _write(folder: Path, pictures: Iterator[Image | None]) -> None:
    """As PPM; None gives a file that is no picture."""
    folder.mkdir(parents=True)
    for number, rgb in enumerate(pictures):
        data = b"not a picture\n"
        if rgb is not None:
            data = b"P6\n%d %d\n255\n" % (rgb.shape[1], rgb.shape[0]) + rgb.tobytes()
        (folder / f"{number:04}.ppm").write_bytes(data)
