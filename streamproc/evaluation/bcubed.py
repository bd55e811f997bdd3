"""BCubed: how well groups agree with the truth, item by item.

Amigó, Gonzalo, Artiles and Verdejo, A comparison of extrinsic clustering evaluation metrics based on formal
constraints, Information Retrieval 2009.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamproc.evaluation.tables import figures, to_json


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterReport:
    """BCubed, and how many there were."""

    score: BCubed
    items: int
    names: int
    clusters: int

    def table(self) -> str:
        """One line a figure."""
        return figures(self._figures())

    def to_json(self) -> str:
        """One object."""
        return to_json(self._figures())

    def _figures(self) -> dict[str, float | int]:
        return {
            "BCubed precision": self.score.precision, "BCubed recall": self.score.recall, "BCubed F": self.score.f1,
            "items": self.items, "names": self.names, "clusters": self.clusters,
        }  # fmt: skip


def evaluate_clusters(truth: Mapping[str, Sequence[str]], found: Mapping[str, Sequence[str]]) -> ClusterReport:
    """Score clusters by item (the first of each row counts); `ValueError` where an item is on one side only."""
    if strange := sorted(truth.keys() ^ found.keys()):
        side = "truth" if strange[0] in truth else "clusters"
        raise ValueError(
            f"{strange[0]!r} (of {len(strange)} such items) is in the {side} only; both must have the same"
        )
    names, clusters = [truth[item][0] for item in truth], [found[item][0] for item in truth]
    return ClusterReport(
        score=bcubed(clusters, names), items=len(names), names=len(set(names)), clusters=len(set(clusters))
    )


__all__ = ["BCubed", "ClusterReport", "bcubed", "evaluate_clusters"]
