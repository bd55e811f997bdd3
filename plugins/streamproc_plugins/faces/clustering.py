"""Faces grouped by person without knowing anybody: functions of arrays of unit vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
F64 = NDArray[np.float64]

_CANDIDATES = 4


def chinese_whispers(vectors: NDArray[Any], least_cosine: float, *, rounds: int = 30, seed: int = 1) -> Labels:
    """A group number for each unit vector (N, D), int64 (N,): 0, 1, ... in the order in which groups first occur.

    Biemann, Chinese Whispers, TextGraphs 2006: every vector takes the group that has most weight among those more
    alike than `least_cosine`, weighted by cosine, in a random order (from `seed`), until nothing changes, or `rounds`
    times.
    """
    values = np.asarray(vectors, np.float64)
    count = len(values)
    weight = values @ values.T if count else np.zeros((0, 0))
    weight[weight < least_cosine] = 0
    np.fill_diagonal(weight, 0)
    near = [np.flatnonzero(row) for row in weight]
    label, rng = np.arange(count), np.random.default_rng(seed)
    for _ in range(rounds):
        changed = False
        for row in rng.permutation(count):
            if not len(near[row]):
                continue
            votes = np.bincount(label[near[row]], weights=weight[row, near[row]])
            best = int(votes.argmax())
            changed |= best != label[row]
            label[row] = best
        if not changed:
            break
    return renumbered(label)


def hdbscan(vectors: NDArray[Any], *, least: int = 2) -> Labels:
    """A group number for each unit vector (N, D), int64 (N,); each that fits no group gets one of its own.

    Campello, Moulavi and Sander, PAKDD 2013, as scikit-learn has it (extra `clustering`). least: faces of a group.
    Raises `ImportError` with the extra to install where scikit-learn is missing.
    """
    try:
        from sklearn.cluster import HDBSCAN
    except ImportError:
        raise ImportError(
            "hdbscan needs scikit-learn, which isn't installed; run `pip install 'streamproc[clustering]'`"
        ) from None
    if len(vectors) <= least:
        return np.arange(len(vectors))
    values = np.asarray(vectors, np.float64)
    found = HDBSCAN(min_cluster_size=max(least, 2), min_samples=1, metric="euclidean", copy=True).fit_predict(values)
    alone = np.flatnonzero(found < 0)
    found = np.array(found, np.int64)
    found[alone] = found.max(initial=-1) + 1 + np.arange(len(alone))
    return renumbered(found)


def kmeans(vectors: NDArray[Any], groups: int, *, rounds: int = 100, restarts: int = 10, seed: int = 1) -> Labels:
    """A group number for each vector (N, D), int64 (N,), for a known number of groups.

    Lloyd's iteration from k-means++ starts (Arthur and Vassilvitskii, SODA 2007); the best of `restarts`. Raises
    `ValueError` where there are fewer vectors than groups.
    """
    values = np.asarray(vectors, np.float64)
    if not 1 <= groups <= len(values):
        raise ValueError(f"got {groups} groups for {len(values)} faces, expected from 1 to {len(values)}")
    rng = np.random.default_rng(seed)
    tries = [_lloyd(values, _spread_out(values, groups, rng), rounds) for _ in range(restarts)]
    return renumbered(min(tries, key=lambda found: found[1])[0])


def _spread_out(values: NDArray[np.float64], groups: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Starting centres far from each other, (groups, D)."""
    centres = [values[rng.integers(len(values))]]
    nearest = ((values - centres[0]) ** 2).sum(axis=1)
    for _ in range(groups - 1):
        total = nearest.sum()
        share = nearest / total if total > 0 else None
        rows = rng.choice(len(values), size=_CANDIDATES, p=share)
        # the greedy form of k-means++: of a few candidates the one that leaves the least
        left = np.minimum(nearest[None], ((values[None] - values[rows][:, None]) ** 2).sum(axis=2))
        best = int(left.sum(axis=1).argmin())
        centres.append(values[rows[best]])
        nearest = left[best]
    return np.stack(centres)


def _lloyd(values: NDArray[np.float64], centres: NDArray[np.float64], rounds: int) -> tuple[Labels, float]:
    label = np.full(len(values), -1, np.int64)
    far = np.zeros(len(values))
    for _ in range(rounds):
        square = (values**2).sum(axis=1)[:, None] - 2 * values @ centres.T + (centres**2).sum(axis=1)[None]
        new = square.argmin(axis=1)
        far = np.maximum(square[np.arange(len(values)), new], 0)
        if np.array_equal(new, label):
            break
        label = new
        # a centre that lost all its vectors stays where it is
        sums = np.zeros_like(centres)
        np.add.at(sums, label, values)
        sizes = np.bincount(label, minlength=len(centres))[:, None]
        centres = np.where(sizes > 0, sums / np.maximum(sizes, 1), centres)
    return label, float(far.sum())


def separated(label: Labels, photos: Sequence[str], vectors: NDArray[Any]) -> tuple[Labels, int]:
    """The same groups, but no group with two faces of one photo, and how many faces had to leave.

    label: int64 (N,). photos: of each face. vectors: (N, D), unit length. The face that is most alike to the rest of
    the group stays, the others get groups of their own (a cannot-link constraint: Wagstaff et al., ICML 2001).
    """
    values = np.asarray(vectors, np.float64)
    out = np.array(label, np.int64)
    places: dict[tuple[int, str], list[int]] = {}
    for row, (group, photo) in enumerate(zip(out.tolist(), photos, strict=True)):
        places.setdefault((group, photo), []).append(row)
    parted = 0
    for (group, _), rows in places.items():
        if len(rows) < 2:
            continue
        others = np.setdiff1d(np.flatnonzero(label == group), rows)
        likeness = (values[rows] @ values[others].T).mean(axis=1) if len(others) else np.zeros(len(rows))
        for place in np.argsort(-likeness, kind="stable")[1:]:
            out[rows[int(place)]] = out.max() + 1
            parted += 1
    return renumbered(out), parted


def joined(label: Labels, vectors: NDArray[Any], photos: Sequence[str], least: Callable[[F64, int], F64]) -> Labels:
    """Groups joined while the mean cosine between two of them is high enough (average linkage: Sokal, Michener 1958).

    label: int64 (N,), as `renumbered` gives it. vectors: (N, D), unit length. photos: of each face; groups that share
    one are never joined. least: the mean cosine needed, from the mean of 1/size of both groups (any shape) and the
    number of groups.
    """
    values, out = np.asarray(vectors, np.float64), np.array(label, np.int64)
    count = int(out.max(initial=-1)) + 1
    sums, sizes = np.zeros((count, values.shape[1])), np.bincount(out, minlength=count).astype(np.float64)
    np.add.at(sums, out, values)
    apart = _share_a_photo(out, photos, count) | np.eye(count, dtype=np.bool_)
    within = sums @ sums.T
    alive = np.ones(count, np.bool_)
    while True:
        parts = (1 / sizes[:, None] + 1 / sizes[None]) / 2
        excess = within / np.outer(sizes, sizes) - least(parts, int(alive.sum()))
        excess[apart | ~alive[:, None] | ~alive[None]] = -np.inf
        one, other = divmod(int(excess.argmax()), max(count, 1)) if count else (0, 0)
        if not count or excess[one, other] < 0:
            return renumbered(out)
        within[one] += within[other]
        within[:, one] += within[:, other]
        sizes[one] += sizes[other]
        apart[one] |= apart[other]
        apart[:, one] |= apart[:, other]
        alive[other] = False
        out[out == other] = one


def _share_a_photo(label: Labels, photos: Sequence[str], count: int) -> NDArray[np.bool_]:
    """Pairs of groups with faces of one photo, bool (count, count)."""
    found = np.zeros((count, count), np.bool_)
    groups: dict[str, list[int]] = {}
    for group, photo in zip(label.tolist(), photos, strict=True):
        groups.setdefault(photo, []).append(group)
    for own in groups.values():
        if len(own) > 1:
            found[np.ix_(own, own)] = True
    return found


def renumbered(label: NDArray[Any]) -> Labels:
    """The same groups called 0, 1, ... in the order in which they first occur."""
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))
    return np.asarray(order[inverse.reshape(-1)], np.int64)
