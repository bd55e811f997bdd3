"""The one-euro filter in media time: still where things stand still, quick where they move. Functions of arrays.

Casiez, Roussel and Vogel, 1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input, CHI 2012.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class OneEuro:
    """How strongly is smoothed; speeds are in lengths of the caller's unit a second."""

    min_cutoff_hz: float
    """cut-off frequency where nothing moves: lower is smoother"""
    beta: float
    """how much the cut-off rises with speed: higher follows quicker"""
    speed_cutoff_hz: float = 1.0
    """cut-off of the speed itself"""


def one_euro(raw: F64, before: F64, speed: F64, dt_s: float, unit: float, settings: OneEuro) -> tuple[F64, F64]:
    """The smoothed values and speeds that follow `before` and `speed`, all of one shape.

    raw: measured now. before, speed: smoothed at the last time, values and their change a second. dt_s: media time in
    between, > 0. unit: length that counts as one for `beta`, so that large faces are smoothed as small ones are.
    """
    moved = (raw - before) / dt_s
    speed = speed + _weight(np.asarray(settings.speed_cutoff_hz), dt_s) * (moved - speed)
    cutoff = settings.min_cutoff_hz + settings.beta * np.abs(speed) / unit
    return before + _weight(cutoff, dt_s) * (raw - before), speed


def _weight(cutoff_hz: F64, dt_s: float) -> F64:
    """Share of the new value in a first-order low-pass filter."""
    turns = 2 * np.pi * cutoff_hz * dt_s
    return np.asarray(turns / (turns + 1))
