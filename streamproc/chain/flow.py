"""Dense optical flow between two grey pictures.

`dis`: Kroeger et al., Fast Optical Flow using Dense Inverse Search, ECCV 2016. `farneback`: Farneback, Two-Frame Motion
Estimation Based on Polynomial Expansion, SCIA 2003. `lk`: pyramidal Lucas-Kanade (Bouguet 2000) at corners (Shi and
Tomasi 1994), spread over a coarse grid.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc.config.plan import FlowPlan
from streamproc.frames import Flow, Frame, Image

_LK_CORNERS = 400
_LK_CELL = 16

_local = threading.local()


def flow_grid(plan: FlowPlan, width: int, height: int) -> tuple[int, int]:
    """Return (width, height) of the flow for a picture of this size, at least 16 x 16."""
    wide = min(plan.width, width)
    return max(16, wide), max(16, round(height * wide / width))


def frame_flow(plan: FlowPlan, before: Frame, now: Frame) -> Flow:
    """Compute the flow from one source frame to the next one."""
    width, height = flow_grid(plan, now.width, now.height)
    uv, valid = picture_flow(plan, before.pixels.small_gray(width, height), now.pixels.small_gray(width, height))
    return Flow(uv=uv, dt_ns=now.pts_ns - before.pts_ns, scale=width / now.width, valid=valid)


def picture_flow(plan: FlowPlan, before: Image, now: Image) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Return flow float32 (h, w, 2), right and down in pixels, and where it is valid (None: everywhere)."""
    if plan.method == "dis":
        return np.asarray(_dis(plan.preset).calc(before, now, None), dtype=np.float32), None
    if plan.method == "farneback":
        return _farneback(before, now), None
    return lucas_kanade(before, now)


def _dis(preset: str) -> Any:
    """Return this thread's own estimator, as one reuses its buffers between calls."""
    import cv2

    made: dict[str, Any] = _local.__dict__.setdefault("dis", {})
    if preset not in made:
        made[preset] = cv2.DISOpticalFlow.create(getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{preset.upper()}"))
    return made[preset]


def _farneback(before: Image, now: Image) -> NDArray[np.float32]:
    import cv2

    start: Any = None
    found = cv2.calcOpticalFlowFarneback(before, now, start, 0.5, 3, 15, 3, 7, 1.5, 0)
    return np.asarray(found, dtype=np.float32)


def lucas_kanade(before: Image, now: Image) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return sparse flow: each cell of a coarse grid has the median of its corners, and is valid if it has any."""
    import cv2

    height, width = before.shape
    uv = np.zeros((height, width, 2), np.float32)
    valid = np.zeros((height, width), np.bool_)
    corners = cv2.goodFeaturesToTrack(before, _LK_CORNERS, 0.01, 5)
    if corners is None:  # OpenCV gives None where it finds none, whatever its stubs say
        return uv, valid  # type: ignore[unreachable]
    none: Any = None
    moved, found, _ = cv2.calcOpticalFlowPyrLK(before, now, corners, none, winSize=(15, 15), maxLevel=3)
    good = found.ravel() == 1
    points, shift = corners[good, 0], (moved - corners)[good, 0]
    cell = (points // _LK_CELL).astype(int)
    for x, y in np.unique(cell, axis=0):
        median = np.median(shift[(cell == (x, y)).all(axis=1)], axis=0)
        block = np.s_[y * _LK_CELL : (y + 1) * _LK_CELL, x * _LK_CELL : (x + 1) * _LK_CELL]
        uv[block], valid[block] = median, True
    return uv, valid
