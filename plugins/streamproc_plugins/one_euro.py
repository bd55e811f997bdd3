"""The one-euro filter in media time: steady at rest, quick in motion. Functions of arrays.

Casiez, Roussel and Vogel, 1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive Systems,
CHI 2012. A low-pass filter whose cutoff rises with speed, counted in sizes of the moving object, so that one setting
suits objects near and far.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class OneEuro:
    """Strength of the smoothing."""

    min_cutoff_hz: float
    """cutoff of a point at rest: lower is steadier"""
    beta: float
    """Hz that the cutoff rises by for each of its sizes a second: higher lags less"""
    speed_cutoff_hz: float = 1.0
    """cutoff of the speed itself"""


def one_euro(raw: F64, before: F64, speed: F64, dt_s: F64 | float, size: float, settings: OneEuro) -> tuple[F64, F64]:
    """The smoothed points and speeds that follow `before` and `speed`, all (N, 2).

    raw: measured now. before, speed: smoothed at the last time, places and their change a second. dt_s: media time in
    between, > 0, for all or (N, 1). size: of the object of the points, > 0.
    """
    step = np.asarray(dt_s, np.float64)
    moved = (raw - before) / step
    speed = speed + share(settings.speed_cutoff_hz, step) * (moved - speed)
    pace = np.linalg.norm(speed, axis=-1, keepdims=True) / size
    return before + share(settings.min_cutoff_hz + settings.beta * pace, step) * (raw - before), speed


def share(cutoff_hz: F64 | float, dt_s: F64) -> F64:
    """Part of the new value that a first-order low-pass filter takes after a time, 0..1."""
    turns = 2 * math.pi * np.asarray(cutoff_hz) * dt_s
    return np.asarray(turns / (turns + 1))


__all__ = ["OneEuro", "one_euro", "share"]
