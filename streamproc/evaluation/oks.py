"""Object keypoint similarity: how alike two poses are, as the COCO keypoint task measures it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc.errors import check_array
from streamproc.results import COCO17

SIGMAS: NDArray[np.float64] = np.array(
    [
        0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087,
        0.089, 0.089,
    ]
)  # fmt: skip
"""float64 (17,): how widely people place each keypoint of `COCO17`, in parts of the square root of the area"""
SIGMAS.flags.writeable = False

_PARTS = len(COCO17)


def oks(found: NDArray[Any], truth: NDArray[Any], area: NDArray[Any]) -> NDArray[np.float64]:
    """Similarity of every found pose with every true one, float64 (N, M) in 0..1; 1 where all keypoints coincide.

    found: (N, 17, 3) x, y, score; scores take no part. truth: (M, 17, 3) x, y, v; keypoints with v > 0 count. area:
    (M,) of each true person in square pixels, > 0. A true pose of which no keypoint counts is like none (0).
    The mean over keypoints of exp(-d^2 / (2 area (2 sigma)^2)), Lin et al., Microsoft COCO, ECCV 2014, and
    cocodataset.org/#keypoints-eval. Raises `ValueError` for arrays of another shape, or areas that aren't positive.
    """
    found, truth, area = (np.asarray(values, np.float64) for values in (found, truth, area))
    check_array("found", found, np.float64, (None, _PARTS, 3))
    check_array("truth", truth, np.float64, (None, _PARTS, 3))
    check_array("area", area, np.float64, (len(truth),))
    if not (area > 0).all():
        raise ValueError(f"area holds {float(area.min())}, expected square pixels > 0 for each true person")
    counts = truth[:, :, 2] > 0
    square = np.square(found[:, None, :, :2] - truth[None, :, :, :2]).sum(axis=-1)
    like = np.exp(-square / (2 * area[:, None] * np.square(2 * SIGMAS)))
    return np.asarray((like * counts).sum(axis=-1) / np.maximum(counts.sum(axis=-1), 1))


__all__ = ["SIGMAS", "oks"]
