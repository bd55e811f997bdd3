"""Batches in a random but repeatable order, the next one made while the net works on this one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc_plugins.training.augment import Augmentation, vary
from streamproc_plugins.training.data import TrainingSample
from streamproc_plugins.training.loading import Load

F32 = NDArray[np.float32]

_LOADERS = 2
"""threads that load and vary; decoding and OpenCV leave the GIL"""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """x: the net's input, N first. y: int64 (N,). weight: float32 (N,)."""

    x: Any
    y: NDArray[np.int64]
    weight: F32


@dataclass(frozen=True, kw_only=True, eq=False)
class Feed:
    """Pictures or clips of labelled samples, as batches.

    load: gives uint8 (T, h, w, 3). frames: None for pictures (T is 1), else how many pictures the net takes at a time:
    a longer sample gives a window of that length, a shorter one is repeated.
    """

    load: Load
    training: Sequence[TrainingSample]
    validation: Sequence[TrainingSample]
    training_ids: NDArray[np.int64]
    validation_ids: NDArray[np.int64]
    weights: F32
    """by class, float32 (C,)"""
    frames: int | None = None
    flow: bool = False
    """whether the net takes optical flow too: x is then a list of both"""
    size: int = 32
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return -(-len(self.training) // self.size)

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of this epoch, from 0: every sample once, in an order and with variations of its own."""
        order = np.random.default_rng([self.seed, number]).permutation(len(self.training))
        rows = [order[i : i + self.size] for i in range(0, len(order), self.size)]

        def make(row: NDArray[np.int64]) -> Batch:
            ids = self.training_ids[row]
            return Batch(self._stacked([self._varied(int(i), number) for i in row]), ids, self.weights[ids])

        yield from _ahead(make, rows)

    def held_back(self) -> Iterator[Batch]:
        """The samples for validation in their order, as they are; each counts 1."""
        places = np.arange(len(self.validation))
        rows = [places[i : i + self.size] for i in range(0, len(places), self.size)]

        def make(row: NDArray[np.int64]) -> Batch:
            pictures = [self._window(self.load(self.validation[i]), None) for i in row]
            ids = self.validation_ids[row]
            return Batch(self._stacked(pictures), ids, np.ones(len(ids), np.float32))

        yield from _ahead(make, rows)

    def as_is(self, sample: TrainingSample) -> Any:
        """The net's input of one sample (N = 1) as in validation."""
        return self._stacked([self._window(self.load(sample), None)])

    def _varied(self, index: int, epoch: int) -> NDArray[np.uint8]:
        rng = np.random.default_rng([self.seed, epoch, index])
        return vary(self._window(self.load(self.training[index]), rng), rng, self.augmentation)

    def _window(self, pictures: NDArray[np.uint8], rng: np.random.Generator | None) -> NDArray[np.uint8]:
        """`frames` pictures in a row: anywhere, or from the middle without a generator.

        With flow there is one more, the picture before the first, or that one itself where the segment begins with it.
        """
        if self.frames is None:
            return pictures[:1]
        room = max(0, len(pictures) - self.frames)
        start = room // 2 if rng is None else int(rng.integers(room + 1))
        places = np.arange(start, start + self.frames) % len(pictures)
        return pictures[[max(0, start - 1), *places] if self.flow else places]

    def _stacked(self, clips: Sequence[NDArray[np.uint8]]) -> Any:
        """The net's input from N results of `_window`."""
        if self.frames is None:
            return np.concatenate(clips).astype(np.float32)
        if not self.flow:
            return np.stack(clips).astype(np.float32)
        uv = np.stack([flow_between(pictures) for pictures in clips])
        return [np.stack([pictures[1:] for pictures in clips]).astype(np.float32), uv]


def flow_between(pictures: NDArray[np.uint8]) -> F32:
    """Optical flow float32 (T, h, w, 2) of a clip uint8 (T + 1, h, w, 3) from each picture to the next, as in a run.

    DIS (Kroeger et al., ECCV 2016) with OpenCV's preset `fast`, right and down in pixels of these pictures.
    """
    import cv2

    greys = [np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8) for rgb in pictures]
    estimator: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    found = [estimator.calc(before, now, None) for before, now in pairwise(greys)]
    return np.asarray(np.stack(found), np.float32)


def _ahead(make: Any, rows: Sequence[NDArray[np.int64]]) -> Iterator[Batch]:
    """make(row) of each row in order, a few of them ahead on threads that end with the iterator."""
    pool = ThreadPoolExecutor(_LOADERS, thread_name_prefix="training-batches")
    try:
        waiting = [pool.submit(make, row) for row in rows[:_LOADERS]]
        for later in [*rows[_LOADERS:], *([None] * min(_LOADERS, len(rows)))]:
            batch = waiting.pop(0).result()
            if later is not None:
                waiting.append(pool.submit(make, later))
            yield batch
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def class_weights(counts: NDArray[np.int64], balanced: bool) -> F32:
    """Weight of each class in the loss, float32 (C,): the rarer the more, so that each class counts the same in all.

    1 for every class where not `balanced`; a class without samples gets 0.
    """
    if not balanced:
        return np.ones(len(counts), np.float32)
    present = counts > 0
    weights = np.where(present, counts.sum() / (present.sum() * np.maximum(counts, 1)), 0)
    return np.asarray(weights, np.float32)


__all__ = ["Batch", "Feed", "class_weights", "flow_between"]
