"""A Kalman filter over many boxes at once, in seconds of media time.

Each of a box's four numbers (centre x, y, width, height) moves on its own: its velocity is an Ornstein-Uhlenbeck
process, which forgets its direction within `memory_s` and has `speed` as its long-run spread. Its exact discrete form
depends on the elapsed time alone, so that two steps of 1/60 s equal one of 1/30 s: no frame rate is assumed, and a
velocity fades without detections. Constant velocity (SORT, Bewley et al. 2016) is the limit of a long memory.

Shapes: `mean` and `velocity` are float64 (n, 4) `cx, cy, w, h` in pixels and pixels a second, `covariance` is float64
(n, 4, 3): variance of the position, covariance with its velocity, variance of the velocity.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionModel:
    """Constants of motion and measurement, in units of a box's own size (sqrt(w * h))."""

    speed: float = 0.8
    """spread of the centre's velocity, sizes a second"""
    growth: float = 0.15
    """spread of the velocity of width and height, sizes a second"""
    memory_s: float = 2.0
    """time in which a velocity is forgotten, seconds"""
    noise: float = 0.06
    """spread of a measured centre at score 1, sizes"""
    size_noise: float = 0.1
    """spread of a measured width or height at score 1, sizes"""
    doubt: float = 2.0
    """how much a low score widens the noise: the spread is (1 + doubt * (1 - score)) times as large"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Belief:
    """Estimated state of n boxes; see the module for shapes and units."""

    mean: Array
    velocity: Array
    covariance: Array

    def xyxy(self) -> Array:
        """The boxes as float64 (n, 4) left, top, right, bottom."""
        return to_xyxy(self.mean)

    def where(self, rows: NDArray[np.bool_], other: Belief) -> Belief:
        """This belief, with the rows of a mask (n,) taken from another."""
        return Belief(
            mean=np.where(rows[:, None], other.mean, self.mean),
            velocity=np.where(rows[:, None], other.velocity, self.velocity),
            covariance=np.where(rows[:, None, None], other.covariance, self.covariance),
        )


def to_xyxy(boxes: Array) -> Array:
    """Convert `cx, cy, w, h` to `left, top, right, bottom`."""
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def to_cxcywh(boxes: Array) -> Array:
    """Convert `left, top, right, bottom` to `cx, cy, w, h`."""
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)


def box_size(mean: Array) -> Array:
    """sqrt(w * h) of `cx, cy, w, h` boxes, at least one pixel: float64 (n,)."""
    return np.sqrt(np.maximum(mean[:, 2] * mean[:, 3], 1.0))


def begin(measured: Array, score: Array, motion: MotionModel) -> Belief:
    """First belief of boxes `measured` (n, 4) `cx, cy, w, h`: at rest, its velocity unknown within the usual spread."""
    covariance = np.zeros((len(measured), 4, 3))
    covariance[:, :, 0] = _noise(measured, score, motion)
    covariance[:, :, 2] = _spread(measured, motion) ** 2
    return Belief(mean=measured.copy(), velocity=np.zeros_like(measured), covariance=covariance)


def predict(belief: Belief, elapsed_s: float, motion: MotionModel) -> Belief:
    """The belief after `elapsed_s` >= 0 seconds without a measurement."""
    retained, reach, carry, noise = _step(elapsed_s, motion.memory_s)
    density = _spread(belief.mean, motion) ** 2 * (2 / motion.memory_s)
    covariance = belief.covariance @ carry + density[:, :, None] * noise
    mean = belief.mean + reach * belief.velocity
    np.maximum(mean[:, 2:], 1.0, out=mean[:, 2:])  # a shrinking box never turns inside out
    return Belief(mean=mean, velocity=retained * belief.velocity, covariance=covariance)


def travelled(unobserved_s: Array, motion: MotionModel) -> Array:
    """Seconds of its present velocity by which a box moved in `unobserved_s` (n,) without a detection: float64 (n,)."""
    return np.asarray(motion.memory_s * np.expm1(unobserved_s / motion.memory_s))


def unexpected(belief: Belief, measured: Array, score: Array, motion: MotionModel) -> NDArray[np.bool_]:
    """Measured centres further off than chance allows (three standard deviations): bool (n,)."""
    spread = np.sqrt(belief.covariance[:, :2, 0] + _noise(belief.mean, score, motion)[:, :2])
    return np.asarray((np.abs(measured[:, :2] - belief.mean[:, :2]) > 3 * spread).any(axis=1))


def restart(belief: Belief, measured: Array, score: Array, elapsed_s: Array, motion: MotionModel) -> Belief:
    """The belief of boxes that went to `measured` (n, 4) faster than expected, `elapsed_s` (n,) after the last one.

    Their place is the measured one, their velocity the way since then; half of it counts as doubt beside the usual.
    """
    elapsed = np.maximum(elapsed_s, 1e-3)[:, None]
    before = belief.mean[:, :2] - belief.velocity[:, :2] * travelled(elapsed_s, motion)[:, None]
    velocity = belief.velocity.copy()
    velocity[:, :2] = (measured[:, :2] - before) / elapsed
    fresh = begin(measured, score, motion)
    fresh.covariance[:, :2, 2] += (velocity[:, :2] / 2) ** 2
    return Belief(mean=fresh.mean, velocity=velocity, covariance=fresh.covariance)


def correct(belief: Belief, measured: Array, score: Array, motion: MotionModel) -> Belief:
    """The belief after measuring `measured` (n, 4) `cx, cy, w, h` with `score` (n,) in 0..1, row by row."""
    var, cross = belief.covariance[:, :, 0], belief.covariance[:, :, 1]
    total = var + _noise(belief.mean, score, motion)
    off = measured - belief.mean
    gain, push = var / total, cross / total
    covariance = belief.covariance.copy()
    covariance[:, :, :2] -= gain[:, :, None] * covariance[:, :, :2]
    covariance[:, :, 2] -= push * cross
    mean = belief.mean + gain * off
    np.maximum(mean[:, 2:], 1.0, out=mean[:, 2:])
    return Belief(mean=mean, velocity=belief.velocity + push * off, covariance=covariance)


def warp_belief(belief: Belief, affine: Array) -> Belief:
    """The belief in the picture after the camera moved.

    affine: float64 (2, 3), takes a pixel of the picture before to where it is now; a box is moved by its centre,
        scaled by the affine's change of area, and its velocity turned with it.
    """
    turn = affine[:, :2]
    scale = float(np.sqrt(max(abs(np.linalg.det(turn)), 1e-6)))
    mean, velocity = belief.mean.copy(), belief.velocity.copy()
    mean[:, :2] = mean[:, :2] @ turn.T + affine[:, 2]
    velocity[:, :2] = velocity[:, :2] @ turn.T
    mean[:, 2:] *= scale
    velocity[:, 2:] *= scale
    return Belief(mean=mean, velocity=velocity, covariance=belief.covariance * scale**2)


@lru_cache(maxsize=64)
def _step(elapsed_s: float, memory: float) -> tuple[float, float, Array, Array]:
    """Coefficients of a step of this length, the same for all boxes: most streams have one or two step lengths.

    Share of a velocity that is left, seconds of it that are travelled, and how variance, cross term and variance of the
    velocity each become a sum of the three that were (3, 3) and of new noise (3,).
    """
    retained = float(np.exp(-elapsed_s / memory))
    reach = memory * (1 - retained)
    carry = np.array([[1.0, 0.0, 0.0], [2 * reach, retained, 0.0], [reach**2, retained * reach, retained**2]])
    noise = np.array(
        [
            memory**2 * (elapsed_s - 2 * reach + memory * (1 - retained**2) / 2),
            memory**2 * (1 - retained) ** 2 / 2,
            memory * (1 - retained**2) / 2,
        ]
    )
    return retained, reach, carry, noise


@lru_cache(maxsize=8)
def _of_four(centre: float, side: float) -> Array:
    return np.array([centre, centre, side, side])


def _spread(mean: Array, motion: MotionModel) -> Array:
    return np.asarray(box_size(mean)[:, None] * _of_four(motion.speed, motion.growth))


def _noise(mean: Array, score: Array, motion: MotionModel) -> Array:
    parts = _of_four(motion.noise, motion.size_noise)
    wider = 1 + motion.doubt * (1 - np.minimum(np.maximum(score, 0), 1))
    return np.asarray((box_size(mean)[:, None] * parts * wider[:, None]) ** 2)
