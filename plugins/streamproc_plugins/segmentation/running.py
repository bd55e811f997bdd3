"""Segmentation over time: the last result carried along optical flow and blended with the new one. Functions of arrays.

After Gadde, Jampani and Gehler, Semantic Video CNNs through Representation Warping, ICCV 2017. There a net's inner
features of the frame before are warped to the present one and combined with its own by learned weights; here it is
the nets' final output, a score for each class, and the weights follow from media time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamproc.errors import check_array
from streamproc_plugins.warp import on_grid, trusted, warp

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

FULL = 255
"""a score of 1"""
_LEAST = 8
"""a class that nowhere has this score is forgotten"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Running:
    """The remembered state on a small grid (h, w) over the whole picture. Bytes, so that it is small when stored."""

    classes: tuple[int, ...]
    """C class ids, rising: those that are anywhere"""
    scores: U8
    """uint8 (h, w, C): how much each class has been there of late, 0..255"""
    chosen: U8
    """uint8 (h, w): index into `classes`"""

    def __post_init__(self) -> None:
        check_array("Running.scores", self.scores, np.uint8, (None, None, len(self.classes)))
        check_array("Running.chosen", self.chosen, np.uint8, self.scores.shape[:2])
        self.scores.flags.writeable = self.chosen.flags.writeable = False


def small_grid(hw: tuple[int, int], side: int) -> tuple[int, int]:
    """(height, width) of a grid of the same shape, its longer side at most `side`."""
    shrink = min(side / max(hw), 1.0)
    return max(round(hw[0] * shrink), 1), max(round(hw[1] * shrink), 1)


def begun(class_map: U8, hw: tuple[int, int]) -> Running:
    """The memory after one result alone, on the grid `hw`."""
    classes = tuple(np.flatnonzero(np.bincount(class_map.ravel())).tolist())
    scores = shares(class_map, classes, hw)
    return Running(classes=classes, scores=scores, chosen=scores.argmax(axis=2).astype(np.uint8))


def shares(class_map: U8, classes: tuple[int, ...], hw: tuple[int, int]) -> U8:
    """Part of each cell of the grid `hw` that each class fills, uint8 (h, w, C), 255: all of it."""
    import cv2

    planes = [
        cv2.resize(np.where(class_map == one, FULL, 0).astype(np.uint8), hw[::-1], interpolation=cv2.INTER_AREA)
        for one in classes
    ]
    return np.stack(planes, axis=2).astype(np.uint8)


def carried(before: Running, uv: F32, valid: NDArray[np.bool_] | None) -> tuple[Running, NDArray[np.bool_]]:
    """The memory as it lies in the present picture, and where that can be trusted, bool (h, w).

    uv: float32 (H, W, 2), where each point of the picture that the memory is of goes until now, in pixels of a grid of
    any size over the whole picture. valid: bool (H, W), where that is known; None: everywhere.
    """
    hw = before.chosen.shape
    flow = on_grid(uv, (hw[0], hw[1]))
    good = trusted(flow)
    if valid is not None:
        import cv2

        known = cv2.resize(valid.astype(np.uint8), hw[::-1], interpolation=cv2.INTER_NEAREST)
        good &= warp(np.asarray(known, np.uint8), flow, "nearest") > 0
    scores = warp(before.scores, flow).reshape(before.scores.shape)
    moved = Running(classes=before.classes, scores=scores, chosen=warp(before.chosen, flow, "nearest"))
    return moved, good


def weight_of(elapsed_ns: int, time_constant_ns: int) -> float:
    """Weight of a new result after a time, 0..1: `1 - exp(-elapsed / time constant)`."""
    return 1 - math.exp(-elapsed_ns / time_constant_ns)


def blended(before: Running, class_map: U8, weight: float, good: NDArray[np.bool_], hysteresis: float) -> Running:
    """The memory with a new result in it: `weight` of the new one, all of it where `good` is False."""
    hw = (before.chosen.shape[0], before.chosen.shape[1])
    new = np.flatnonzero(np.bincount(class_map.ravel())).tolist()
    classes = tuple(sorted({*before.classes, *new}))
    own = shares(class_map, classes, hw).astype(np.float32)
    past = np.zeros_like(own)
    place = [classes.index(one) for one in before.classes]
    past[..., place] = before.scores
    share = np.where(good, np.float32(weight), np.float32(1))[..., None]
    scores = np.rint(past + (own - past) * share).astype(np.uint8)
    favour = np.where(good, np.array(place, np.uint8)[before.chosen], np.uint8(len(classes)))
    chosen = choice(scores, favour, hysteresis).astype(np.uint8)
    return _tidied(Running(classes=classes, scores=scores, chosen=chosen))


def choice(scores: U8, favour: U8, hysteresis: float) -> NDArray[np.int64]:
    """Index (h, w) of the class with the highest score, the one of `favour` (C: none) having `hysteresis` more."""
    extra = round(hysteresis * FULL)
    liked = favour[..., None] == np.arange(scores.shape[2], dtype=np.uint8)
    return np.asarray((scores.astype(np.int16) + np.where(liked, np.int16(extra), np.int16(0))).argmax(axis=2))


def shown(running: Running, hw: tuple[int, int], hysteresis: float) -> U8:
    """The class map uint8 (H, W) that the memory stands for: scores are enlarged, then the best is taken."""
    import cv2

    liked = running.chosen[..., None] == np.arange(len(running.classes), dtype=np.uint8)
    scores = running.scores.astype(np.float32) + liked * np.float32(round(hysteresis * FULL))
    table = np.array(running.classes, np.uint8)
    best = np.zeros(hw, np.uint8)
    most = np.full(hw, -1, np.float32)
    for index in range(len(running.classes)):
        plane = cv2.resize(np.ascontiguousarray(scores[..., index]), hw[::-1], interpolation=cv2.INTER_LINEAR)
        higher = plane > most
        best[higher], most[higher] = table[index], np.asarray(plane, np.float32)[higher]
    return best


def _tidied(running: Running) -> Running:
    """Without the classes that are nowhere any more."""
    alive = running.scores.max(axis=(0, 1)) >= _LEAST
    alive[np.unique(running.chosen)] = True
    if alive.all():
        return running
    retained = np.flatnonzero(alive)
    place = np.zeros(len(alive), np.uint8)
    place[retained] = np.arange(len(retained))
    return Running(
        classes=tuple(running.classes[index] for index in retained.tolist()),
        scores=np.ascontiguousarray(running.scores[..., retained]),
        chosen=place[running.chosen],
    )


__all__ = ["Running", "begun", "blended", "carried", "choice", "shares", "shown", "small_grid", "weight_of"]
