"""BCubed: how well groups agree with the truth, item by item.

Amigó, Gonzalo, Artiles and Verdejo, A comparison of extrinsic clustering evaluation metrics based on formal
constraints, Information Retrieval 2009.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class BCubed:
    """Scores from 0 to 1 over N items."""

    precision: float
    """mean share of an item's group that is truly of its kind"""
    recall: float
    """mean share of an item's kind that is in its group"""
    items: int

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def bcubed(groups: Sequence[Hashable], truth: Sequence[Hashable]) -> BCubed:
    """The scores of a grouping: for each item its group and what it truly is.

    Raises `ValueError` for columns of unequal length, or without an item.

    >>> round(bcubed([1, 1, 1, 2], ["a", "a", "b", "b"]).f1, 4)
    0.7059
    """
    if len(groups) != len(truth) or not len(truth):
        raise ValueError(f"got {len(groups)} groups and {len(truth)} true ones, expected as many of both, at least one")
    found, kinds = _numbered(groups), _numbered(truth)
    width = int(kinds.max()) + 1
    cell = found * width + kinds
    _, place, common = np.unique(cell, return_inverse=True, return_counts=True)
    shared = common[place.reshape(-1)].astype(np.float64)
    return BCubed(
        precision=float((shared / np.bincount(found)[found]).mean()),
        recall=float((shared / np.bincount(kinds)[kinds]).mean()),
        items=len(truth),
    )


def _numbered(values: Sequence[Hashable]) -> NDArray[np.int64]:
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(value, len(numbers)) for value in values], np.int64)


__all__ = ["BCubed", "bcubed"]
