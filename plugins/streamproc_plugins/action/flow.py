"""Optical flow as input of nets: functions of arrays.

Two-stream nets are trained on flow that was clipped, scaled and stored as 8-bit pictures (Simonyan and Zisserman, NIPS
2014; Carreira and Zisserman, CVPR 2017: TV-L1, clipped at 20 pixels, scaled to -1..1).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamproc_plugins.action.nets import FLOW_LIMIT_PX

FlowScale = Literal["pixels", "unit"]


def flow_levels(uv: NDArray[Any], limit_px: float = FLOW_LIMIT_PX) -> NDArray[np.uint8]:
    """Flow (..., 2) in pixels as levels 0..255, uint8: cut at +-`limit_px`, 0 lies between 127 and 128."""
    clipped = np.clip(np.asarray(uv, np.float32) / np.float32(limit_px), -1, 1)
    return np.asarray(np.rint((clipped + 1) * np.float32(127.5)), np.uint8)


def flow_of_levels(levels: NDArray[np.uint8], limit_px: float = FLOW_LIMIT_PX) -> NDArray[np.float32]:
    """Flow in pixels, float32, from the result of `flow_levels`: at most half a step (`limit_px` / 255) off."""
    return np.asarray((levels / np.float32(127.5) - 1) * np.float32(limit_px), np.float32)


def net_flow(uv: NDArray[np.float32], scale: FlowScale) -> NDArray[np.float32]:
    """Flow (..., 2) for a net that normalises it itself (`pixels`) or wants -1..1 in 256 steps (`unit`, as I3D)."""
    if scale == "pixels":
        return uv
    return flow_of_levels(flow_levels(uv), 1.0)


def flow_agreement(uv: NDArray[Any], truth: NDArray[Any]) -> tuple[float, float, float]:
    """Agreement of one flow (..., 2) with another: correlation of u, of v, mean end-point error in pixels."""
    u, v = (float(np.corrcoef(uv[..., k].ravel(), truth[..., k].ravel())[0, 1]) for k in (0, 1))
    return u, v, float(np.hypot(*np.moveaxis(uv - truth, -1, 0)).mean())


__all__ = ["FlowScale", "flow_agreement", "flow_levels", "flow_of_levels", "net_flow"]
