"""Are two photos of one person? The best distance over all distinct pairs, and the whole curve: functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

THRESHOLDS: F64 = np.arange(50, 150) / 100
"""Euclidean distances of unit vectors from 0.50 to 1.49 in steps of 0.01"""
THRESHOLDS.flags.writeable = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """Separation of pairs of one person from pairs of two by each distance; columns of equal length T."""

    distance: F64
    """float64 (T,): a pair no further apart than this is taken for one person"""
    accuracy: F64
    """right pairs / all pairs"""
    balanced: F64
    """mean of the right shares of both kinds of pair: pairs of two people are many more"""
    precision: F64
    """pairs of one person among those taken for it; 1 where none was"""
    recall: F64
    """pairs taken for one person among those that are"""
    same: int
    """how many pairs are of one person"""
    different: int

    @property
    def best(self) -> int:
        """Index of the highest accuracy; of several the middle one, which is furthest from mistakes."""
        return _middle(self.accuracy)

    @property
    def best_balanced(self) -> int:
        """Index of the highest balanced accuracy, the middle of several."""
        return _middle(self.balanced)


def cosine_of(distance: Any) -> Any:
    """The cosine of unit vectors that are a Euclidean distance apart: 1 - d^2 / 2."""
    return 1 - np.square(distance) / 2


def pair_distances(embeddings: NDArray[Any], people: Sequence[Any]) -> tuple[F64, NDArray[np.bool_]]:
    """Euclidean distance of every distinct pair of unit vectors (N, D) and whether both are one person's.

    N * (N - 1) / 2 of both: no vector is paired with itself, no pair is counted twice.
    """
    values = np.asarray(embeddings, np.float64)
    if len(values) != len(people):
        raise ValueError(f"got {len(values)} embeddings and {len(people)} names, expected as many of both")
    a, b = np.triu_indices(len(values), 1)
    person_id = np.unique(np.array([str(name) for name in people]), return_inverse=True)[1]
    cosine = np.clip((values @ values.T)[a, b], -1, 1)
    return np.sqrt(2 - 2 * cosine), person_id[a] == person_id[b]


def sweep(distances: F64, same: NDArray[np.bool_], thresholds: F64 = THRESHOLDS) -> Curve:
    """The curve over all thresholds, the pairs as `pair_distances` gives them.

    Raises `ValueError` where there isn't a pair of both kinds.
    """
    if not same.any() or same.all():
        raise ValueError(
            f"got {int(same.sum())} pairs of one person and {int((~same).sum())} of two, expected some of both: "
            "two people at least, one of them with two photos"
        )
    ours, others = np.sort(distances[same]), np.sort(distances[~same])
    hits = np.searchsorted(ours, thresholds, side="right").astype(np.float64)
    alarms = np.searchsorted(others, thresholds, side="right").astype(np.float64)
    taken, rejected = hits + alarms, len(others) - alarms
    return Curve(
        distance=thresholds,
        accuracy=(hits + rejected) / len(distances),
        balanced=(hits / len(ours) + rejected / len(others)) / 2,
        precision=np.divide(hits, taken, out=np.ones_like(hits), where=taken > 0),
        recall=hits / len(ours),
        same=len(ours),
        different=len(others),
    )


def find_threshold(embeddings: NDArray[Any], people: Sequence[Any], thresholds: F64 = THRESHOLDS) -> Curve:
    """The curve over all distinct pairs of unit vectors (N, D) with a name each."""
    return sweep(*pair_distances(embeddings, people), thresholds)


def _middle(values: F64) -> int:
    best = np.flatnonzero(values >= values.max() - 1e-12)
    return int(best[len(best) // 2])
