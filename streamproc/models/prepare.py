"""Conversion of pictures to a net's input, and of the net's coordinates back to the picture: functions of arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc.frames import AREA_FROM, Frame, resize
from streamproc.models.entries import InputSpec

Image = NDArray[np.uint8]

_CROP = 0.875


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Place of a picture in a net's input: `input = picture * scale + offset`, in pixels, separately for x and y."""

    scale_x: float
    scale_y: float
    offset_x: float = 0.0
    offset_y: float = 0.0

    def boxes_back(self, xyxy: NDArray[Any]) -> NDArray[np.float32]:
        """Boxes (N, 4) of the input as boxes of the picture, float32."""
        offset = np.array([self.offset_x, self.offset_y] * 2, dtype=np.float32)
        scale = np.array([self.scale_x, self.scale_y] * 2, dtype=np.float32)
        return np.asarray((xyxy - offset) / scale, dtype=np.float32)

    def points_back(self, xy: NDArray[Any]) -> NDArray[np.float32]:
        """Points (..., 2) of the input as points of the picture, float32."""
        offset = np.array([self.offset_x, self.offset_y], dtype=np.float32)
        scale = np.array([self.scale_x, self.scale_y], dtype=np.float32)
        return np.asarray((xy - offset) / scale, dtype=np.float32)


@lru_cache(maxsize=256)
def fit_size(width: int, height: int, pixels: int, multiple: int) -> tuple[int, int]:
    """Input size (height, width) in steps of `multiple` that shows a letterboxed picture largest.

    width, height: the picture's. pixels: most pixels the input may have; at least one step each way is given.
    Among equals the smaller input wins.
    """
    best: tuple[float, int, int, int] = (0.0, 0, multiple, multiple)
    for w in range(multiple, max(pixels // multiple, multiple) + 1, multiple):
        # more rows than the picture fills at this width would be padding
        rows = -(-w * height // width)
        h = min(-(-rows // multiple) * multiple, max(pixels // w // multiple * multiple, multiple))
        shown = min(w / width, h / height)
        best = max(best, (shown, -w * h, h, w))
    return best[2], best[3]


def letterbox(rgb: Image, hw: tuple[int, int], pad: int = 114) -> tuple[Image, Fit]:
    """Scale the picture into the top left corner of a grey one of size `hw`, with its aspect ratio.

    rgb: uint8 (h, w, 3). Gives uint8 (*hw, 3).
    """
    w, h, fit = _inside(rgb.shape[1], rgb.shape[0], hw)
    inner = resize(rgb, w, h)
    canvas = np.full((*hw, 3), pad, dtype=np.uint8)
    canvas[: inner.shape[0], : inner.shape[1]] = inner
    return canvas, fit


def stretch(rgb: Image, hw: tuple[int, int]) -> tuple[Image, Fit]:
    """Scale the picture to `hw` (height, width), without its aspect ratio."""
    fit = Fit(scale_x=hw[1] / rgb.shape[1], scale_y=hw[0] / rgb.shape[0])
    return resize(rgb, hw[1], hw[0]), fit


def centre_crop(rgb: Image, hw: tuple[int, int], fraction: float = _CROP) -> tuple[Image, Fit]:
    """The middle of the picture scaled to `hw`: as much as fits its aspect, times `fraction` (usual for ImageNet)."""
    height, width = rgb.shape[:2]
    scale = max(hw[0] / height, hw[1] / width) / fraction
    h, w = max(1, round(hw[0] / scale)), max(1, round(hw[1] / scale))
    top, left = (height - h) // 2, (width - w) // 2
    scale_x, scale_y = hw[1] / w, hw[0] / h
    fit = Fit(scale_x=scale_x, scale_y=scale_y, offset_x=-left * scale_x, offset_y=-top * scale_y)
    return resize(rgb[top : top + h, left : left + w], hw[1], hw[0]), fit


def to_input(rgb: Image, spec: InputSpec) -> NDArray[Any]:
    """A picture that has the input's size already, as the array that the net wants (N = 1).

    rgb: uint8 (h, w, 3). Gives `spec.dtype`, (1, 3, h, w) or (1, h, w, 3): `(pixel - mean) * scale`, the channels
    in the order of `spec.colour`.
    """
    if spec.layout == "NCHW":
        return _planes(rgb, spec, rgb.shape[:2])
    channels = rgb if spec.colour == "rgb" else rgb[..., ::-1]
    if spec.plain:
        return np.ascontiguousarray(channels[None], dtype=spec.dtype)
    mean, scale = np.array(spec.mean, np.float32), np.array(spec.scale, np.float32)
    return np.asarray((channels[None].astype(np.float32) - mean) * scale, dtype=spec.dtype)


def prepare(rgb: Image, spec: InputSpec, hw: tuple[int, int] | None = None) -> tuple[NDArray[Any], Fit]:
    """Resize as the model wants it, then order and scale the channels.

    rgb: uint8 (h, w, 3), any size. hw: (height, width) of the input, by default the model's own. Gives the input array
    and how the picture lies in it.
    """
    hw = hw or spec.hw
    if spec.resize == "letterbox" and spec.layout == "NCHW":
        w, h, fit = _inside(rgb.shape[1], rgb.shape[0], hw)
        return _planes(resize(rgb, w, h), spec, hw), fit
    if spec.resize == "letterbox":
        image, fit = letterbox(rgb, hw, spec.pad)
    elif spec.resize == "crop":
        image, fit = centre_crop(rgb, hw)
    else:
        image, fit = stretch(rgb, hw)
    return to_input(image, spec), fit


def prepare_frame(frame: Frame, spec: InputSpec, hw: tuple[int, int] | None = None) -> tuple[NDArray[Any], Fit]:
    """As `prepare`, from a whole frame: one that gets half as large or less is shrunk as `Frame.reduced` does it."""
    hw = hw or spec.hw
    w, h, fit = _inside(*frame.size, hw)
    if spec.resize != "letterbox" or spec.layout != "NCHW" or min(frame.width / w, frame.height / h) < AREA_FROM:
        return prepare(frame.rgb, spec, hw)
    return _planes(frame.reduced(w, h), spec, hw), fit


def _inside(width: int, height: int, hw: tuple[int, int]) -> tuple[int, int, Fit]:
    """Return width and height of a picture scaled to fit `hw` with its aspect ratio, and its place there."""
    scale = min(hw[0] / height, hw[1] / width)
    w, h = max(1, min(hw[1], round(width * scale))), max(1, min(hw[0], round(height * scale)))
    return w, h, Fit(scale_x=w / width, scale_y=h / height)


def _planes(rgb: Image, spec: InputSpec, hw: tuple[int, ...]) -> NDArray[Any]:
    """(1, 3, *hw) with the picture top left and `spec.pad` elsewhere.

    Splitting with OpenCV and writing plane by plane takes a twentieth of the time of `cv2.dnn.blobFromImage`, and
    half of that of a transposed copy (0.1, 2.6 and 0.25 ms for 384x640).
    """
    import cv2

    h, w = rgb.shape[:2]
    blob = np.empty((1, 3, *hw), dtype=spec.dtype)
    planes = cv2.split(rgb)
    for channel, plane in enumerate(planes if spec.colour == "rgb" else planes[::-1]):
        target, mean, scale = blob[0, channel], spec.mean[channel], spec.scale[channel]
        grey = spec.pad if spec.plain else (spec.pad - mean) * scale
        target[:h, w:], target[h:] = grey, grey
        if spec.plain:
            target[:h, :w] = plane
        else:
            inner = target[:h, :w]
            np.subtract(plane, np.float32(mean), out=inner, casting="unsafe")
            inner *= np.float32(scale)
    return blob
