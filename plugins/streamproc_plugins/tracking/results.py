"""Results of camera_motion and appearance for the tracker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from streamproc import Result, Shape


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CameraMotion(Result):
    """Motion of the whole picture since the source frame before."""

    schema: ClassVar[str] = "streamproc.camera_motion/1"

    affine: Annotated[NDArray[np.float64], Shape(2, 3)]
    """float64 (2, 3): a point `x, y, 1` of the earlier picture, source pixels, is at `affine @ point` in this one"""
    dt_ns: int
    """media time between the two frames, > 0"""
    support: float
    """share of the looked-at points that moved so, 0..1; 0 where none was found (then it is the identity)"""

    def __post_init__(self) -> None:
        if self.affine.shape != (2, 3) or self.affine.dtype != np.float64 or not np.isfinite(self.affine).all():
            raise ValueError(
                f"CameraMotion.affine is {self.affine.dtype} {self.affine.shape}, expected finite float64 (2, 3)"
            )
        if self.dt_ns <= 0:
            raise ValueError(f"CameraMotion.dt_ns is {self.dt_ns}, expected a time > 0")
        self.affine.flags.writeable = False

    def over(self, elapsed_ns: int) -> NDArray[np.float64]:
        """The motion over another time, float64 (2, 3), as if the camera moved on evenly.

        Frames between two processed ones are not looked at; for small turns a part of the motion is that part of the
        affine.
        """
        still = np.eye(2, 3)
        return np.asarray(still + (self.affine - still) * (elapsed_ns / self.dt_ns))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Embeddings(Result):
    """Embeddings of a frame's detections, in the order of the `Detections` they were computed for."""

    schema: ClassVar[str] = "streamproc.embeddings/1"

    values: Annotated[NDArray[np.float32], Shape("N", "D")]
    """float32 (N, D), unit length; zeros where a box was too small or doubtful to look at"""
    strangers: float | None = None
    """mean cosine of two different people, below 1, as the net states it, or None"""

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.dtype != np.float32 or not np.isfinite(self.values).all():
            raise ValueError(
                f"Embeddings.values is {self.values.dtype} {self.values.shape}, expected finite float32 (N, D)"
            )
        if self.strangers is not None and not -1 < self.strangers < 1:
            raise ValueError(f"Embeddings.strangers is {self.strangers}, expected a number between -1 and 1")
        self.values.flags.writeable = False
