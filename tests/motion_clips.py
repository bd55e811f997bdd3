"""Clips whose classes differ in nothing but the order of their pictures.

`motion`: a square goes once or three times round a strip, to the right or to the left (4 classes). All four see the
square at the same T places, so that the set of pictures is the same for all; only their order differs.
`order`: two lamps light up one after the other, the left one first or the right one first (2 classes).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FRAMES = 8
SIDE = 32
BLOCK = 8
STEPS = (4, -4, 12, -12)
"""pixels a picture, by class of `motion`; modulo SIDE each visits the same 8 places"""
TASKS = {"motion": 4, "order": 2}
"""tasks and their number of classes"""

Arrays = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]]


def make(task: str, count: int, seed: int) -> Arrays:
    """`count` clips: rgb uint8 (N, T, h, w, 3), flow float32 (N, T, h, w, 2) as it truly is, labels int64 (N,)."""
    rng = np.random.default_rng(seed)
    label = rng.integers(TASKS[task], size=count)
    rgb = rng.integers(0, 40, (count, FRAMES, SIDE, SIDE, 3), dtype=np.uint8)
    flow = np.zeros((count, FRAMES, SIDE, SIDE, 2), np.float32)
    draw = _motion if task == "motion" else _order
    for n in range(count):
        draw(rng, int(label[n]), rgb[n], flow[n])
    return rgb, flow, label.astype(np.int64)


def _motion(rng: np.random.Generator, label: int, rgb: NDArray[Any], flow: NDArray[Any]) -> None:
    start, top = int(rng.integers(SIDE)), int(rng.integers(SIDE - BLOCK))
    for t in range(FRAMES):
        columns = (start + t * STEPS[label] + np.arange(BLOCK)) % SIDE
        rgb[t, top : top + BLOCK, columns] = 220
        flow[t, top : top + BLOCK, columns, 0] = STEPS[label]


def _order(rng: np.random.Generator, label: int, rgb: NDArray[Any], flow: NDArray[Any]) -> None:
    first, second = sorted(rng.choice(FRAMES, 2, replace=False).tolist())
    left, right = (first, second) if label == 0 else (second, first)
    rgb[left, 12:20, 4:12] = 220
    rgb[right, 12:20, 20:28] = 220


__all__ = ["FRAMES", "SIDE", "TASKS", "make"]
