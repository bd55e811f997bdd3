"""Walking people and driving cars of the synthetic scene: shapes in metres, drawn with sub-pixel accuracy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from streamproc.frames import Image

Colour = tuple[float, float, float]
Points = NDArray[np.float64]

_SHIFT = 5
"""bits of a pixel's fraction in OpenCV's drawing calls"""

PERSON_M = 1.75
STRIDE_M = 1.5
"""length of a double step"""


@dataclass(frozen=True, slots=True, eq=False)
class Stroke:
    """A filled polygon, or a thick line where `width_px` is above 0; in pixels of the picture."""

    points: Points
    """float64 (n, 2), x right and y down"""
    colour: Colour
    """RGB, 0-255"""
    width_px: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Appearance of one figure."""

    label: Literal["person", "car"]
    main: Colour
    """jacket or body"""
    second: Colour
    """trousers or windows"""
    skin: Colour
    build: float
    """size relative to the average, about 0.9-1.1"""


def shapes(look: Look, foot: tuple[float, float], px_per_m: float, facing: int, walked_m: float) -> Iterator[Stroke]:
    """The parts of a figure from back to front.

    foot: where it stands (x, y in pixels): between the feet, or under the middle of a car.
    facing: 1 to the right, -1 to the left. walked_m: distance so far, which moves legs and wheels.
    """
    scale = np.array([facing, 1.0]) * px_per_m * look.build
    draw = _person(look, walked_m) if look.label == "person" else _car(look, walked_m)
    for shape in draw:
        width = shape.width_px * px_per_m * look.build
        yield Stroke(shape.points * scale + np.array(foot), shape.colour, width)


def paint(image: Image, shape: Stroke, colour: Colour | int) -> None:
    """Draw one shape onto uint8 (h, w, 3) or (h, w), smooth edges, clipped to the image."""
    import cv2

    points = np.rint(shape.points * (1 << _SHIFT)).astype(np.int32)
    value = colour if isinstance(colour, tuple) else (colour,)
    if shape.width_px > 0:
        cv2.polylines(image, [points], False, value, max(1, round(shape.width_px)), cv2.LINE_AA, _SHIFT)
    else:
        cv2.fillPoly(image, [points], value, cv2.LINE_AA, _SHIFT)


def _ellipse(centre: tuple[float, float], radius: tuple[float, float], parts: int = 20) -> Points:
    angle = np.linspace(0, 2 * np.pi, parts, endpoint=False)
    return np.stack([centre[0] + radius[0] * np.cos(angle), centre[1] + radius[1] * np.sin(angle)], axis=1)


def _limb(start: tuple[float, float], lengths: tuple[float, float], angles: tuple[float, float]) -> Points:
    """Two joined bones hanging from `start`; angles from straight down, forward positive, in radians."""
    points = [start]
    for length, angle in zip(lengths, angles, strict=True):
        x, y = points[-1]
        points.append((x + length * np.sin(angle), y + length * np.cos(angle)))
    return np.array(points)


def _darker(colour: Colour, factor: float) -> Colour:
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


def _person(look: Look, walked_m: float) -> Iterator[Stroke]:
    """Facing right, foot at (0, 0), metres, y down; line widths in metres."""
    phase = 2 * np.pi * walked_m / STRIDE_M
    swing, bob = 0.48 * np.sin(phase), 0.025 * np.cos(2 * phase)
    lift = np.array([0.0, bob])
    hip, shoulder = (0.0, -0.92 + bob), (0.03, -1.42 + bob)
    far, near = -swing, swing
    for side, shade in ((far, 0.72), (near, 1.0)):
        knee = side - 0.55 * max(0.0, np.cos(phase) * (1 if side == near else -1))
        arm = -0.8 * side
        if side == far:
            yield Stroke(_limb(shoulder, (0.3, 0.27), (arm, arm + 0.35)), _darker(look.main, shade), 0.1)
        leg = _limb(hip, (0.44, 0.42), (side, knee))
        yield Stroke(leg, _darker(look.second, shade), 0.15)
        shoe = leg[-1] + np.array([[-0.05, 0.0], [0.16, 0.02]])
        yield Stroke(shoe, (35.0, 32.0, 30.0), 0.09)
    yield Stroke(np.array([hip, (hip[0] + 0.005, hip[1] - 0.1)]), look.second, 0.24)
    torso = [
        (-0.14, -1.0),
        (-0.19, -1.3),
        (-0.13, -1.48),
        (0.1, -1.5),
        (0.19, -1.36),
        (0.17, -1.15),
        (0.14, -0.88),
        (-0.12, -0.88),
    ]
    yield Stroke(np.array(torso) + lift, look.main)
    yield Stroke(
        np.array([(-0.14, -1.0), (-0.19, -1.3), (-0.13, -1.48), (-0.05, -0.9)]) + lift, _darker(look.main, 0.8)
    )
    yield Stroke(np.array([(0.03, -1.45), (0.05, -1.56)]) + lift, _darker(look.skin, 0.9), 0.11)
    yield Stroke(_ellipse((0.06, -1.64 + bob), (0.105, 0.125)), look.skin)
    yield Stroke(_ellipse((0.03, -1.69 + bob), (0.115, 0.085)), (48.0, 38.0, 30.0))
    arm = -0.8 * near
    limb = _limb(shoulder, (0.3, 0.27), (arm, arm + 0.35))
    yield Stroke(limb, _darker(look.main, 0.9), 0.105)
    yield Stroke(_ellipse((float(limb[-1, 0]), float(limb[-1, 1])), (0.05, 0.05), 10), look.skin)


def _car(look: Look, walked_m: float) -> Iterator[Stroke]:
    """Facing right, middle of the wheels' ground line at (0, 0)."""
    body = [
        (-2.1, -0.35),
        (-2.15, -0.75),
        (-2.0, -0.95),
        (-1.35, -1.0),
        (-0.85, -1.42),
        (0.45, -1.45),
        (1.05, -1.0),
        (1.9, -0.88),
        (2.12, -0.65),
        (2.12, -0.32),
    ]
    yield Stroke(np.array(body), look.main)
    yield Stroke(np.array([(-2.1, -0.35), (-2.13, -0.55), (2.12, -0.5), (2.12, -0.32)]), _darker(look.main, 0.7))
    yield Stroke(np.array([(-1.2, -1.0), (-0.8, -1.34), (-0.25, -1.37), (-0.25, -1.0)]), look.second)
    yield Stroke(np.array([(-0.15, -1.0), (-0.15, -1.37), (0.4, -1.37), (0.88, -1.0)]), look.second)
    yield Stroke(np.array([(-0.2, -0.4), (-0.2, -0.98)]), _darker(look.main, 0.6), 0.03)
    yield Stroke(_ellipse((1.98, -0.7), (0.12, 0.07), 12), (250.0, 245.0, 215.0))
    yield Stroke(_ellipse((-2.06, -0.75), (0.07, 0.09), 12), (190.0, 25.0, 25.0))
    for x in (-1.35, 1.3):
        yield Stroke(_ellipse((x, -0.33), (0.34, 0.34)), (22.0, 22.0, 24.0))
        yield Stroke(_ellipse((x, -0.33), (0.2, 0.2), 14), (150.0, 152.0, 156.0))
        turn = walked_m / 0.33
        spokes = [(x, -0.33), (x + 0.19 * np.cos(turn), -0.33 + 0.19 * np.sin(turn))]
        yield Stroke(np.array(spokes), (70.0, 70.0, 72.0), 0.06)
