"""Scratch arrays of a thread: many streams use the same ones, which stay in its cache."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST_SHAPES = 8


class Scratch:
    """Arrays of one shape; the next picture of any stream overwrites them."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.plain, self.moved, self.differs = np.zeros((3, *shape), np.uint8)
        self.learnt: NDArray[np.uint8] = np.ones(shape, np.uint8)
        """a user that writes to it leaves it at 1"""
        self.picture, self.expected, self.either, self.off, self.limit = np.zeros((5, *shape), np.float32)


class _OfThread(threading.local):
    def __init__(self) -> None:
        self.shapes: OrderedDict[tuple[int, int], Scratch] = OrderedDict()


_of_thread = _OfThread()


def scratch(shape: tuple[Any, ...]) -> Scratch:
    """The arrays of this thread, of the shapes that it used last."""
    shapes = _of_thread.shapes
    if shape not in shapes:
        shapes[shape] = Scratch(shape)
        if len(shapes) > _MOST_SHAPES:
            shapes.popitem(last=False)
    shapes.move_to_end(shape)
    return shapes[shape]


__all__ = ["Scratch", "scratch"]
