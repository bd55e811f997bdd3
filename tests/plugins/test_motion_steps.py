"""The steps of `motion` on windows and in buffers give the answers of the same steps over whole pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from streamproc_plugins.motion.blobs import Blobs, Grouping, Window, merged
from streamproc_plugins.motion.light import Light
from streamproc_plugins.motion.scratch import Scratch, scratch

WIDTH, HEIGHT = 120, 80
LEAST = 20
WHOLE = (slice(0, HEIGHT), slice(0, WIDTH))
Mask = NDArray[np.uint8]


def blotches(rng: np.random.Generator, share: float) -> Mask:
    """Random patches and single pixels, some at the edges."""
    import cv2

    smooth = cv2.GaussianBlur(rng.normal(0, 1, (HEIGHT, WIDTH)), (0, 0), 3)
    mask = smooth > np.quantile(smooth, 1 - share)
    return np.asarray(mask | (rng.random(mask.shape) > 0.995), np.uint8)


def over_the_whole(differs: Mask, moved: Mask) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Boxes, and the pixels of all large groups, by plain steps over the picture."""
    import cv2

    core = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    solid = np.asarray(cv2.morphologyEx(differs, cv2.MORPH_OPEN, core), np.uint8)
    joined = cv2.morphologyEx(solid, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    count, labels = cv2.connectedComponents(joined, connectivity=8)
    large, boxes, filled = np.zeros(differs.shape, np.bool_), [], []
    for label in range(1, count):
        group = labels == label
        size, active = int((solid[group] > 0).sum()), int((moved & solid)[group].sum())
        if size < LEAST:
            continue
        large |= group
        if active >= max(0.05 * size, LEAST / 4):
            rows, columns = np.nonzero(group)
            boxes.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            filled.append(size)
    joined_boxes, _ = merged(np.array(boxes, np.float64).reshape(-1, 4), np.array(filled, np.float64))
    return joined_boxes.astype(np.float32), large


def spread_out(blobs: Blobs | None) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    large = np.zeros((HEIGHT, WIDTH), np.bool_)
    if blobs is None:
        return np.zeros((0, 4), np.float32), large
    large[blobs.window] = blobs.large
    return blobs.boxes, large


def in_order(boxes: NDArray[np.float32]) -> list[list[float]]:
    return sorted(boxes.tolist())


@pytest.mark.parametrize("share", [0.001, 0.02, 0.1, 0.4])
@pytest.mark.parametrize("shadows", [False, True])
def test_windows_give_the_whole_picture_answer(share: float, shadows: bool) -> None:
    rng = np.random.default_rng(int(1000 * share))
    grouping = Grouping(WIDTH, HEIGHT, LEAST)
    found = 0
    for _ in range(60):
        differs, moved = blotches(rng, share), blotches(rng, 0.3)
        shade = blotches(rng, 0.3).astype(np.bool_)
        dismiss: Callable[[Window], NDArray[np.bool_]] | None = (
            (lambda window, of=shade: of[window]) if shadows else None
        )
        boxes, large = spread_out(grouping.blobs(differs.copy(), moved, dismiss))
        wanted_boxes, wanted_large = over_the_whole(differs & ~shade if shadows else differs, moved)
        assert in_order(boxes) == in_order(wanted_boxes)
        assert np.array_equal(large, wanted_large)
        found += len(boxes)
    assert found or share < 0.01


def plainly(
    picture: Mask, other: NDArray[np.float32], limit: NDArray[np.float32] | float, gain: float
) -> NDArray[np.bool_]:
    expected = np.clip((other + 4) * gain - 4, 0, 255)
    return np.asarray(np.minimum(np.abs(picture - expected), np.abs(picture - other)) > limit)


@pytest.mark.parametrize("gain", [1.0, 1.3, 0.7])
def test_differences_follow_the_formula(gain: float) -> None:
    rng = np.random.default_rng(3)
    before = rng.integers(0, 256, (HEIGHT, WIDTH)).astype(np.uint8)
    picture = np.clip(np.rint((before + 4.0) * gain - 4) + rng.normal(0, 6, before.shape), 0, 255).astype(np.uint8)
    light = Light(np.ones(before.shape, np.bool_))
    work = Scratch(before.shape)
    measured = float(np.clip(np.median((picture + np.float32(4)) / (before + np.float32(4))), 1 / 1.6, 1.6))
    assert light.gain(picture, before) == pytest.approx(measured, abs=0.004)
    into = light.differs(picture, before, 11.2, work)
    wanted = plainly(picture, before.astype(np.float32), 11.2, light.gain(picture, before))
    assert np.mean((into > 0) != wanted) < 0.0005
    mean = (before + rng.random(before.shape)).astype(np.float32)
    limit = rng.uniform(5, 30, before.shape).astype(np.float32)
    into = light.differs_from_mean(picture, mean, limit, work)
    wanted = plainly(picture, mean, limit, light.gain(picture, mean))
    assert np.mean((into > 0) != wanted) < 0.0005
    assert set(np.unique(into)) <= {0, 1}


def test_the_light_is_measured_where_one_looks() -> None:
    looked_at = np.zeros((HEIGHT, WIDTH), np.bool_)
    looked_at[:, :60] = True
    before = np.full((HEIGHT, WIDTH), 100, np.uint8)
    picture = before.copy()
    picture[:, :60] = 126
    assert Light(looked_at).gain(picture, before) == pytest.approx(1.25)
    assert Light(np.zeros_like(looked_at)).gain(picture, before) == 1


def test_a_thread_reuses_its_arrays() -> None:
    first = scratch((HEIGHT, WIDTH))
    assert scratch((HEIGHT, WIDTH)) is first
    for wide in range(20, 29):
        assert scratch((10, wide)).off.shape == (10, wide)
    assert scratch((HEIGHT, WIDTH)) is not first
