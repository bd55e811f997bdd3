"""`camera_motion`: the motion of the whole picture, from optical flow."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from streamproc import Flow, Frame, FramePlugin, Output, Result, Results
from streamproc_plugins.tracking.options import CameraMotionOptions
from streamproc_plugins.tracking.results import CameraMotion

_COLUMNS, _ROWS = 32, 18
"""points looked at: enough for four numbers, few enough to cost nothing"""
_ROUNDS = 200
_LEAST_POINTS = 12


class CameraMotionPlugin(FramePlugin[CameraMotionOptions]):
    """Gives `CameraMotion` for frames with flow: shift, turn and zoom that most of the picture has in common."""

    needs: ClassVar[tuple[type[Result | Flow], ...]] = (Flow,)
    gives: ClassVar[tuple[type[Result], ...]] = (CameraMotion,)

    def process(self, frame: Frame, past: Results) -> Output:
        """The common motion of this frame."""
        flow = past[Flow]
        affine, support = common_motion(flow, self.options.tolerance, self.options.least_support)
        return [CameraMotion(affine=affine, dt_ns=flow.dt_ns, support=support)]


def common_motion(flow: Flow, tolerance: float, least_support: float) -> tuple[NDArray[np.float64], float]:
    """The similarity (shift, turn, zoom) that most of the flow follows, in source pixels, and the share that does.

    A robust fit (RANSAC, Fischler and Bolles 1981, as in OpenCV, its random numbers fixed) over a grid of points. Where
    fewer than `least_support` of them agree within `tolerance` grid pixels: the identity and 0.
    """
    import cv2

    still = np.eye(2, 3)
    height, width = flow.uv.shape[:2]
    columns = np.linspace(0, width - 1, min(_COLUMNS, width) + 2).round().astype(np.int64)[1:-1]
    rows = np.linspace(0, height - 1, min(_ROWS, height) + 2).round().astype(np.int64)[1:-1]
    x, y = (grid.ravel() for grid in np.meshgrid(columns, rows))
    if flow.valid is not None:
        x, y = x[flow.valid[y, x]], y[flow.valid[y, x]]
    if len(x) < _LEAST_POINTS:
        return still, 0.0
    before = np.column_stack([x, y]).astype(np.float64)
    after = before + flow.uv[y, x]
    cv2.setRNGSeed(0)
    found, agreed = cv2.estimateAffinePartial2D(
        before, after, method=cv2.RANSAC, ransacReprojThreshold=tolerance, maxIters=_ROUNDS, refineIters=10
    )
    if found is None or float(agreed.mean()) < least_support:
        return still, 0.0
    affine = np.asarray(found, np.float64).copy()
    affine[:, 2] /= flow.scale
    return affine, float(agreed.mean())
