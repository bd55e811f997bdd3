"""Views: parts of a picture, and those parts as a net's input. Functions of arrays.

Two views, the whole as context and the middle at a finer scale (fovea), after Karpathy et al., Large-scale Video
Classification with Convolutional Neural Networks, CVPR 2014; there the middle half of each side.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamproc.geometry import window_of
from streamproc.models import InputSpec, prepare

Window = tuple[int, int, int, int]
"""left, top, right, bottom in source pixels, right and bottom exclusive"""
Fractions = tuple[float, float, float, float]
"""left, top, right, bottom in parts of the picture, 0..1"""


def fractions_of(view: Any, centre_part: float) -> Fractions | None:
    """The box of a view (`whole`, `centre`, a box, a polygon's corners); None is the whole picture."""
    if view == "whole":
        return None
    if view == "centre":
        edge = (1 - centre_part) / 2
        return (edge, edge, 1 - edge, 1 - edge)
    if isinstance(view[0], tuple):
        low, high = np.min(view, axis=0), np.max(view, axis=0)
        return (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    left, top, right, bottom = view
    return (left, top, right, bottom)


def widened(window: Window, hw: tuple[int, int], width: int, height: int) -> Window:
    """The window made wider or higher until it has the shape of an input (height, width), as far as the picture allows.

    It grows to both sides alike, and is moved where it would leave the picture; nothing of it is lost.
    """
    left, top, right, bottom = window
    w, h = right - left, bottom - top
    if w * hw[0] < h * hw[1]:
        left, right = _grown(left, right, round(h * hw[1] / hw[0]), width)
    else:
        top, bottom = _grown(top, bottom, round(w * hw[0] / hw[1]), height)
    return (left, top, right, bottom)


def _grown(low: int, high: int, wanted: int, length: int) -> tuple[int, int]:
    size = min(max(wanted, high - low), length)
    start = min(max(low - (size - (high - low)) // 2, 0), length - size)
    return start, start + size


def fitted_spec(spec: InputSpec, fit: Literal["auto", "crop", "stretch", "letterbox"]) -> InputSpec:
    """The input with another way of resizing; `auto` leaves it."""
    return spec if fit == "auto" else spec.model_copy(update={"resize": fit})


def view_input(rgb: NDArray[np.uint8], box: Fractions | None, spec: InputSpec) -> NDArray[Any]:
    """The net's input (N = 1) of a view of a picture uint8 (h, w, 3).

    The whole picture is fitted as `spec.resize` says. So are its parts, except that with `crop` a part is widened to
    the input's shape first and then taken whole, as a box is drawn around what should be classified.
    """
    if box is None:
        return prepare(rgb, spec)[0]
    height, width = rgb.shape[:2]
    window = window_of(box, width, height)
    if spec.resize == "crop":
        window, spec = widened(window, spec.hw, width, height), fitted_spec(spec, "stretch")
    left, top, right, bottom = window
    return prepare(np.ascontiguousarray(rgb[top:bottom, left:right]), spec)[0]
