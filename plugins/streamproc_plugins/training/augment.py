"""Pictures and clips varied at random: the same change for a whole clip, so that its motion stays true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Limits of the variation; all zero and no flip changes nothing."""

    flip: bool = True
    """left and right exchanged every other time; not where direction matters (gestures, text)"""
    zoom: float = 0.3
    """scale from 1 - zoom to 1 + zoom; more than 1 shows a part (a crop)"""
    shift: float = 0.1
    """of width and height"""
    shear: float = 0.3
    """tangent of the angle"""
    rotate: float = 0.0
    """degrees"""
    brightness: float = 0.2
    """factor from 1 - brightness to 1 + brightness"""

    @classmethod
    def none(cls) -> Augmentation:
        """Limits that change nothing."""
        return cls(flip=False, zoom=0, shift=0, shear=0, rotate=0, brightness=0)


def transform(rng: np.random.Generator, settings: Augmentation, width: int, height: int) -> NDArray[np.float64]:
    """A random affine map (2, 3) of pixel coordinates about the picture's middle, as `cv2.warpAffine` takes it.

    The shear of 0.3 and zoom of 0.3 are those of Chollet's well-known example of training on little data.
    """
    scale = 1 + rng.uniform(-settings.zoom, settings.zoom)
    angle, lean = np.deg2rad(rng.uniform(-settings.rotate, settings.rotate)), rng.uniform(-1, 1) * settings.shear
    side = -1.0 if settings.flip and rng.random() < 0.5 else 1.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = scale * turn @ np.array([[1.0, lean], [0.0, 1.0]]) @ np.diag([side, 1.0])
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    moved = rng.uniform(-1, 1, 2) * settings.shift * (width, height)
    return np.column_stack([linear, middle + moved - linear @ middle])


def vary(pictures: U8, rng: np.random.Generator, settings: Augmentation) -> U8:
    """A random variant of a clip uint8 (T, h, w, 3), all its pictures in the same way; hidden parts are mirrored."""
    import cv2

    height, width = pictures.shape[1:3]
    matrix = transform(rng, settings, width, height)
    gain = 1 + rng.uniform(-settings.brightness, settings.brightness)
    if settings == Augmentation.none():
        return pictures
    out = np.empty_like(pictures)
    for picture, target in zip(pictures, out, strict=True):
        cv2.warpAffine(picture, matrix, (width, height), dst=target, borderMode=cv2.BORDER_REFLECT_101)
    if gain != 1:
        cv2.convertScaleAbs(out.reshape(-1, 3), dst=out.reshape(-1, 3), alpha=gain)
    return out


__all__ = ["Augmentation", "transform", "vary"]
