"""Clips whose classes differ in nothing but the order of their pictures.

`motion`: a square goes once or three times round a strip, to the right or to the left (4 classes). All four see the
square at the same T places, so that the set of pictures is the same for all; only their order differs.
`order`: two squares move one after the other, from wherever they are, the left one before the right one or the right
one before the left one: up, up, down, down (2 classes). Each clip of one class is, played backwards, one of the other
and as likely, so that the set of pictures doesn't tell them apart.

In both each place is as likely as any other at each moment in every class: one picture shows no difference. The first
and the last picture together do, and so does flow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FRAMES = 8
SIDE = 32
STEPS = (1, -1, 3, -3)
"""eighths of the strip a picture, by class of `motion`; modulo 8 each visits the same 8 places"""
STATES = ((0, 0), (1, 0), (1, 1), (0, 1))
"""whether the left and the right square are up, in the order in which the left one leads"""
TASKS = {"motion": 4, "order": 2}
"""tasks and their number of classes"""

Arrays = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]]


def make(task: str, count: int, seed: int, side: int = SIDE) -> Arrays:
    """`count` clips: rgb uint8 (N, T, h, w, 3), flow float32 (N, T, h, w, 2) as it truly is, labels int64 (N,).

    side: h and w in pixels, a multiple of 8; squares are a quarter of it wide.
    """
    rng = np.random.default_rng(seed)
    label = rng.integers(TASKS[task], size=count)
    rgb = rng.integers(0, 40, (count, FRAMES, side, side, 3), dtype=np.uint8)
    flow = np.zeros((count, FRAMES, side, side, 2), np.float32)
    draw = _motion if task == "motion" else _order
    for n in range(count):
        draw(rng, int(label[n]), rgb[n], flow[n])
    return rgb, flow, label.astype(np.int64)


def column_px(label: int, start_px: int, side: int = SIDE) -> NDArray[np.int64]:
    """`motion`: the square's left edge in each picture, int64 (T,), in pixels round a strip of that length."""
    return (start_px + np.arange(FRAMES) * STEPS[label] * side // 8) % side


def states(label: int, start: int, moves: NDArray[np.int64]) -> NDArray[np.int64]:
    """`order`: which of `STATES` each picture shows, int64 (T,). moves: the pictures in which a square has moved."""
    done = (np.arange(FRAMES)[:, None] >= moves).sum(axis=1)
    return np.asarray((start + (done if label == 0 else -done)) % len(STATES))


def _motion(rng: np.random.Generator, label: int, rgb: NDArray[Any], flow: NDArray[Any]) -> None:
    side = rgb.shape[1]
    block = side // 4
    start, top = int(rng.integers(side)), int(rng.integers(side - block))
    for t, left in enumerate(column_px(label, start, side)):
        columns = (left + np.arange(block)) % side
        rgb[t, top : top + block, columns] = 220
        flow[t, top : top + block, columns, 0] = STEPS[label] * side // 8


def _order(rng: np.random.Generator, label: int, rgb: NDArray[Any], flow: NDArray[Any]) -> None:
    side = rgb.shape[1]
    block, margin, rise = side // 4, side // 8, side // 2
    moves = rng.choice(np.arange(1, FRAMES), len(STATES) - 1, replace=False)
    up = np.asarray(STATES)[states(label, int(rng.integers(len(STATES))), moves)]
    for which, left in enumerate((margin, margin + side // 2)):
        before = up[0, which]
        for t, now in enumerate(up[:, which]):
            top = margin if now else margin + rise
            rgb[t, top : top + block, left : left + block] = 220
            flow[t, top : top + block, left : left + block, 1] = rise * (before - now)
            before = now


__all__ = ["FRAMES", "SIDE", "STATES", "STEPS", "TASKS", "column_px", "make", "states"]
