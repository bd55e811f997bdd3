"""The area filter of grey pictures, against whole numbers and against OpenCV."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from streamproc.area import shrink_by_area
from streamproc.frames import resize

Image = NDArray[np.uint8]
EXACT = [(768, 432, 240, 135), (640, 360, 240, 135), (640, 480, 240, 180), (1280, 720, 240, 135), (96, 48, 30, 12)]


def noise(width: int, height: int, seed: int = 5) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def by_whole_numbers(image: Image, width: int, height: int) -> Image:
    """Each pixel repeated until both grids meet, the mean of each cell, ties to even."""
    tall, wide = image.shape
    fine = image.repeat(height, axis=0).repeat(width, axis=1).astype(np.int64)
    total = fine.reshape(height, tall, width, wide).sum(axis=(1, 3))
    whole, rest = np.divmod(total, tall * wide)
    up = (2 * rest > tall * wide) | ((2 * rest == tall * wide) & (whole % 2 == 1))
    return np.asarray(whole + up, np.uint8)


@pytest.mark.parametrize("to", [(20, 10), (12, 12), (20, 6), (20, 4)])
def test_area_filter_is_exact(to: tuple[int, int]) -> None:
    image = noise(64, 32)
    small = shrink_by_area(image, *to)
    assert small is not None
    assert np.array_equal(small, by_whole_numbers(image, *to))


@pytest.mark.parametrize(("wide", "tall", "width", "height"), EXACT)
@pytest.mark.parametrize("padding", [0, 13])
def test_area_filter_equals_opencv(wide: int, tall: int, width: int, height: int, padding: int) -> None:
    import cv2

    for image in (noise(wide + padding, tall)[:, :wide], np.full((tall, wide), 255, np.uint8)):
        small = shrink_by_area(image, width, height)
        assert small is not None
        assert np.array_equal(small, cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize(("wide", "tall", "width", "height"), [*EXACT, (641, 363, 240, 136), (704, 576, 240, 196)])
def test_resize_always_answers_like_opencv(wide: int, tall: int, width: int, height: int) -> None:
    import cv2

    image = noise(wide, tall)
    assert np.array_equal(
        resize(image, width, height), cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    )


@pytest.mark.parametrize(
    ("wide", "tall", "width", "height"),
    [(641, 363, 240, 136), (640, 360, 320, 180), (64, 32, 65, 20), (704, 576, 240, 196)],
)
def test_inexact_sizes_are_left_to_opencv(wide: int, tall: int, width: int, height: int) -> None:
    assert shrink_by_area(noise(wide, tall), width, height) is None


def test_threads_share_no_scratch_memory() -> None:
    sizes = [(768, 432, 240, 135), (640, 360, 240, 135)] * 8
    pictures = [noise(wide, tall, seed) for seed, (wide, tall, _, _) in enumerate(sizes)]
    alone = [resize(picture, *size[2:]) for picture, size in zip(pictures, sizes, strict=True)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda job: resize(job[0], *job[1][2:]), zip(pictures, sizes, strict=True)))
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))
