"""The camera's own shift, estimated from the boxes alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamproc_plugins.tracking.association import assign, buffered_overlap, side_agreement
from streamproc_plugins.tracking.kalman import box_size, to_cxcywh, to_xyxy

Array = NDArray[np.float64]

_REACH = 0.5
"""how far beyond its border a box may have jumped, in box sizes"""
_LIKE = 0.3
_SURE = 2.5
"""a shift counts when it is this many standard errors of the median"""


def common_shift(predicted: Array, detected: Array, least_pairs: int) -> Array:
    """Common motion of all boxes beyond their prediction, float64 (2,) pixels right and down; zero where unsure.

    predicted: float64 (n, 4) `cx, cy, w, h`; detected: (m, 4) xyxy. A camera that shakes or turns moves all boxes
    alike, people don't; the median over tentative pairs separates the two, its error by the median deviation.
    """
    none = np.zeros(2)
    if min(len(predicted), len(detected)) < max(least_pairs, 1):
        return none
    margin = np.repeat(box_size(predicted)[:, None] * _REACH, 2, axis=1)
    measured = to_cxcywh(detected)
    agree = side_agreement(predicted[:, 2:], measured[:, 2:]).prod(axis=2)
    rows, columns = assign(buffered_overlap(to_xyxy(predicted), detected, margin) * agree, _LIKE)
    if len(rows) < least_pairs:
        return none
    off = measured[columns, :2] - predicted[rows, :2]
    shift = np.median(off, axis=0)
    error = 1.4826 * np.median(np.abs(off - shift), axis=0) / np.sqrt(len(rows))
    return np.where(np.abs(shift) > _SURE * error, shift, 0.0)
