"""Non-maximum suppression: of boxes that show the same thing the best stays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc.geometry import iou

MOST = 2000
"""boxes looked at, best first: bounds time and memory where a threshold near 0 lets everything through"""


def suppress(xyxy: NDArray[Any], score: NDArray[Any], class_id: NDArray[Any], limit: float) -> NDArray[np.int64]:
    """Indices of the remaining boxes, best score first; boxes only suppress others of their class.

    xyxy: (N, 4). score, class_id: (N,). limit: IoU above which the lower-scored box goes. Equal scores stay in
    their order, so that the answer is the same every time.
    """
    if len(score) < 2:
        return np.arange(len(score), dtype=np.int64)
    order = np.argsort(-np.asarray(score), kind="stable")[:MOST]
    boxes, classes = xyxy[order], class_id[order]
    clash = (iou(boxes, boxes) > limit) & (classes[:, None] == classes[None])
    alive = np.ones(len(order), dtype=np.bool_)
    for row in np.flatnonzero(clash.sum(axis=1) > 1):  # every box clashes with itself
        if alive[row]:
            alive[row + 1 :] &= ~clash[row, row + 1 :]
    return np.asarray(order[alive], dtype=np.int64)
