"""Results of one picture carried along optical flow into the next: one warp for segmentation and pose.

Flow is given on the earlier picture's grid (`Flow.uv`: where each of its points goes), while a resampler needs the
origin of each point of the new picture; `inverse` turns one into the other (fixed-point iteration, Chen et al., A
simple fixed-point approach to invert a deformation field, Medical Physics 2008). Warping results or features along the
flow between frames: Gadde et al., Semantic Video CNNs through Representation Warping, ICCV 2017; Pfister et al.,
Flowing ConvNets for Human Pose Estimation in Videos, ICCV 2015.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

_STEPS = 4
_OFF_PX = 1.0


def inverse(uv: F32, steps: int = _STEPS) -> F32:
    """Origin of each point of the new picture, float32 (h, w, 2): to be added to its own place.

    uv: float32 (h, w, 2), where each point of the earlier picture goes, in pixels of this grid.
    """
    back = -uv
    for _ in range(steps):
        back = -_sampled(uv, back)
    return back


def warp(values: NDArray[Any], uv: F32, how: Literal["linear", "nearest"] = "linear") -> NDArray[Any]:
    """`values` of the earlier picture as they lie in the new one, of the same shape and dtype.

    values: (h, w) or (h, w, c), uint8 or float32, on the grid of the flow (`on_grid` brings a flow to another).
    Points that come from outside take the nearest value of the border. `nearest` is for class maps.
    """
    import cv2

    method = cv2.INTER_LINEAR if how == "linear" else cv2.INTER_NEAREST
    x, y = _places(inverse(uv))
    return np.asarray(cv2.remap(values, x, y, method, borderMode=cv2.BORDER_REPLICATE), values.dtype)


def trusted(uv: F32) -> NDArray[np.bool_]:
    """bool (h, w): points of the new picture that really come from somewhere in the earlier one.

    False where the place lies outside, or where going there and back along the flow misses by more than a pixel
    (uncovered ground, Sundaram et al., ECCV 2010).
    """
    back = inverse(uv)
    x, y = _places(back)
    height, width = uv.shape[:2]
    inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    missed = back + _sampled(uv, back)
    return np.asarray(inside & (np.abs(missed).max(axis=2) <= _OFF_PX), np.bool_)


def on_grid(uv: F32, hw: tuple[int, int]) -> F32:
    """The same flow on a grid of another size (height, width): resized, and counted in that grid's pixels."""
    import cv2

    height, width = uv.shape[:2]
    if (height, width) == hw:
        return uv
    resized = cv2.resize(uv, (hw[1], hw[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized * np.array([hw[1] / width, hw[0] / height], np.float32), np.float32)


def move_points(xy: NDArray[Any], uv: F32, scale: float = 1.0) -> F32:
    """Points of the earlier picture as they lie in the new one, float32 (..., 2), in source pixels.

    xy: (..., 2) in source pixels. scale: width of the flow's grid divided by that of the picture (`Flow.scale`).
    """
    import cv2

    points = np.asarray(xy, np.float32)
    flat = points.reshape(-1, 1, 2) * np.float32(scale)
    if not flat.size:
        return points
    moved = cv2.remap(
        uv, flat[..., 0].copy(), flat[..., 1].copy(), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )  # fmt: skip
    return np.asarray(points + moved.reshape(points.shape) / np.float32(scale), np.float32)


def _places(offset: F32) -> tuple[F32, F32]:
    height, width = offset.shape[:2]
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    return np.asarray(offset[..., 0] + x, np.float32), np.asarray(offset[..., 1] + y, np.float32)


def _sampled(uv: F32, offset: F32) -> F32:
    """The field at each point's own place plus `offset`."""
    import cv2

    x, y = _places(offset)
    return np.asarray(cv2.remap(uv, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


__all__ = ["inverse", "move_points", "on_grid", "trusted", "warp"]
