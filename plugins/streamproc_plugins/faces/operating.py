"""Thresholds for two faces of one person, from the likeness of strangers and the number of candidates.

The cosines between faces of different people are taken for normally distributed about a mean and a standard deviation
that the embedding's model declares (`strangers` in its manifest). Compared with N people, a stranger is taken for
one of them with probability 1 - (1 - m)^N, where m is the chance for one person (ISO/IEC 19795-1: FPIR from FMR), so
that the threshold rises with N. A gallery with enough people shows the upper tail of its own cross-person
cosines, which then replaces the declaration.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc.errors import StreamprocError
from streamproc.models import ModelStore, ScoreSpread

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

UNDECLARED = ScoreSpread(mean=0.045, sd=0.13)
"""for nets whose manifest says nothing: measured with a small net on press photos of mixed people"""
HIGHEST = 0.95
"""no threshold is higher: photos of one person are seldom more alike"""

LEAST_PEOPLE = 20
"""so many unknown people say something of how alike people are"""

_NORMAL = NormalDist()
_BELIEF = 150
"""pairs of people that the declaration is worth"""
_LEAST_PAIRS = 30
_TOP = 5
"""pairs above the highest quantile that is read: a person with two names doesn't move it"""
_OF_PEOPLE = 0.55
"""part of the variance of strangers' cosines that is the pair's own, not the photos' (measured on 10 people)"""
_CAUTION = 2
"""a measured tail is uncertain, so that it is read at this fraction of the wanted chance"""


def chance_per_person(share: float, people: int) -> float:
    """The chance of a false match with one person that gives `share` over this many: 1 - (1 - share)^(1 / people)."""
    return float(-np.expm1(np.log1p(-share) / max(people, 1)))


def threshold_for(strangers: ScoreSpread, people: int, share: float) -> float:
    """The cosine that a share of strangers (0..1) reaches by chance with at least one of so many people."""
    return _bounded(strangers.mean + _z(chance_per_person(share, people)) * strangers.sd)


def mean_threshold(strangers: ScoreSpread, people: int, share: float, parts: F64) -> F64:
    """As `threshold_for`, for mean cosines between all faces of two groups.

    parts: the mean of 1/size of both groups. Means of many photos spread less, except for the part that the two people
    have in common.
    """
    spread = np.sqrt(_OF_PEOPLE + (1 - _OF_PEOPLE) * parts)
    return np.asarray(strangers.mean + (threshold_for(strangers, people, share) - strangers.mean) * spread)


def gallery_threshold(vectors: F32, owner: NDArray[np.int64], strangers: ScoreSpread, share: float) -> float:
    """The threshold for a gallery of unit vectors (V, D), each of the person in `owner` (V,).

    The declaration and the gallery's own tail are weighted by the pairs of people that stand behind each.
    """
    people = len(np.unique(owner))
    declared = threshold_for(strangers, people, share)
    pairs = people * (people - 1) // 2
    if pairs < _LEAST_PAIRS:
        return declared
    weight = pairs / (pairs + _BELIEF)
    measured = tail_quantile(cross_scores(vectors, owner), pairs, chance_per_person(share, people) / _CAUTION)
    return _bounded((1 - weight) * declared + weight * measured)


def cross_scores(vectors: F32, owner: NDArray[np.int64]) -> F64:
    """Cosine of each look (V, D) to the most alike look of each other person, float64 (V * (P - 1),)."""
    values = np.asarray(vectors, np.float64)
    order = np.argsort(owner, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(owner[order]) != 0])
    best = np.maximum.reduceat((values @ values.T)[:, order], starts, axis=1)
    others = owner[:, None] != owner[order][starts][None]
    return np.asarray(best[others], np.float64)


def tail_quantile(scores: F64, independent: int, chance: float) -> float:
    """The score that is exceeded with this chance: a normal tail laid through two upper quantiles of a sample.

    independent: number of independent scores, which bounds the quantiles that can be read.
    """
    high = 1 - _TOP / independent
    low = 1 - min(10 * _TOP / independent, 0.25)
    if low >= high:
        low = 0.5
    upper, lower = np.quantile(scores, [high, low])
    z_high, z_low = _NORMAL.inv_cdf(high), _NORMAL.inv_cdf(low)
    slope = (upper - lower) / (z_high - z_low)
    return float(upper + max(_z(chance) - z_high, 0.0) * slope)


def spread_between(vectors: F32, owner: NDArray[np.int64]) -> tuple[ScoreSpread, F64]:
    """Mean and standard deviation of the cosine between unit vectors (V, D) of two people, and all those cosines."""
    values = np.asarray(vectors, np.float64)
    a, b = np.triu_indices(len(values), 1)
    scores = (values @ values.T)[a, b][owner[a] != owner[b]]
    return ScoreSpread(mean=float(scores.mean()), sd=float(max(scores.std(), 1e-6))), scores


def people_spread(vectors: F32, declared: ScoreSpread) -> ScoreSpread:
    """Likeness of unidentified people, from one unit vector each (P, D).

    Measured by the median and the quantiles 0.84 and 0.95, which a person counted twice hardly moves. Weighted
    by pairs of people against the declaration; below `LEAST_PEOPLE` that stands alone.
    """
    if len(vectors) < LEAST_PEOPLE:
        return declared
    values = np.asarray(vectors, np.float64)
    middle, high, higher = np.quantile((values @ values.T)[np.triu_indices(len(values), 1)], [0.5, 0.84, 0.95])
    sd = max((high - middle) / _NORMAL.inv_cdf(0.84), (higher - middle) / _NORMAL.inv_cdf(0.95))
    pairs = len(values) * (len(values) - 1) / 2
    weight = pairs / (pairs + _BELIEF)
    variance = (1 - weight) * declared.sd**2 + weight * sd**2
    return ScoreSpread(mean=float((1 - weight) * declared.mean + weight * middle), sd=float(np.sqrt(variance)))


def declared_strangers(models: ModelStore, name: str) -> ScoreSpread:
    """The manifest's figures for strangers; `UNDECLARED` where it has none or isn't known here."""
    try:
        return models.entry(name).strangers or UNDECLARED
    except StreamprocError:
        return UNDECLARED


def spread_of(strangers: tuple[float, float] | None) -> ScoreSpread:
    """The spread that travels with faces."""
    return UNDECLARED if strangers is None else ScoreSpread(mean=strangers[0], sd=strangers[1])


def _z(chance: float) -> float:
    """Standard deviations above the mean for this chance."""
    return -_NORMAL.inv_cdf(min(max(chance, 1e-300), 1 - 1e-12))


def _bounded(value: Any) -> float:
    return float(min(value, HIGHEST))


__all__ = [
    "HIGHEST",
    "LEAST_PEOPLE",
    "UNDECLARED",
    "chance_per_person",
    "cross_scores",
    "declared_strangers",
    "gallery_threshold",
    "mean_threshold",
    "people_spread",
    "spread_between",
    "spread_of",
    "tail_quantile",
    "threshold_for",
]
