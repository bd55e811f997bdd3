"""A heap of photos, grouped by unnamed people, at thresholds that follow the faces themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamproc.models import ScoreSpread
from streamproc_plugins.faces.clustering import Labels, chinese_whispers, joined, separated
from streamproc_plugins.faces.operating import mean_threshold, people_spread, threshold_for


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Heap:
    """Faces grouped."""

    label: Labels
    """int64 (N,): a group number for each face"""
    cosine: float
    """at which two faces were joined"""
    parted: int
    """faces that looked like another one on the same photo"""


def group_heap(vectors: NDArray[np.float32], photos: Sequence[str], declared: ScoreSpread, share: float) -> Heap:
    """Group unit vectors (N, D) of faces, each on a photo, so that about `share` of them are with a stranger's.

    Chinese whispers at a strict threshold gives one face of each person; how alike those are sets the threshold for a
    second run. Then groups are joined whose mean cosine is high enough for their sizes.
    """
    others = max(len(vectors) - 1, 1)
    strict = chinese_whispers(vectors, threshold_for(declared, others, share))
    spread = people_spread(vectors[np.unique(strict, return_index=True)[1]], declared)
    cosine = threshold_for(spread, others, share)
    label, parted = separated(chinese_whispers(vectors, cosine), photos, vectors)
    label = joined(
        label, vectors, photos, lambda parts, groups: mean_threshold(spread, max(groups - 1, 1), share, parts)
    )
    return Heap(label=label, cosine=cosine, parted=parted)


__all__ = ["Heap", "group_heap"]
