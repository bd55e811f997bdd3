"""Clusters against known names: BCubed (Bagga and Baldwin, Entity-Based Cross-Document Coreferencing, ACL 1998)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from streamproc.evaluation.tables import figures, to_json


@dataclass(frozen=True, slots=True)
class BCubed:
    """Means over all items, 0..1."""

    precision: float
    """of an item's cluster, the part that has the item's name"""
    recall: float
    """of the items with the item's name, the part that is in its cluster"""
    f: float
    """harmonic mean of the two"""


def bcubed(truth: Sequence[str], found: Sequence[Hashable]) -> BCubed:
    """Score clusters: `truth` has the name of each item, `found` its cluster.

    Raises `ValueError` where the lengths differ or there is no item.
    """
    if len(truth) != len(found) or not truth:
        raise ValueError(f"{len(truth)} names and {len(found)} clusters, expected as many of each and at least one")
    names, clusters, both = Counter(truth), Counter(found), Counter(zip(truth, found, strict=True))
    precision = sum(n * n / clusters[cluster] for (_, cluster), n in both.items()) / len(truth)
    recall = sum(n * n / names[name] for (name, _), n in both.items()) / len(truth)
    return BCubed(precision, recall, 2 * precision * recall / (precision + recall))


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
            "BCubed precision": self.score.precision, "BCubed recall": self.score.recall, "BCubed F": self.score.f,
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
        score=bcubed(names, clusters), items=len(names), names=len(set(names)), clusters=len(set(clusters))
    )


__all__ = ["BCubed", "ClusterReport", "bcubed", "evaluate_clusters"]
