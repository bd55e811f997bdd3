"""Results of the segmentation plugins besides `Segmentation` and `Detections`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from streamproc import Result, Shape
from streamproc.errors import check_array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassAreas(Result):
    """Part of the picture that each label of a segmentation covers."""

    schema: ClassVar[str] = "streamproc.class-areas/1"

    label: Annotated[tuple[str, ...], Shape("N")]
    """those of the segmentation, the background first"""
    area: Annotated[NDArray[np.float32], Shape("N")]
    """float32 (N,): part of the picture, 0..1, 1 in all"""

    def __post_init__(self) -> None:
        check_array("ClassAreas.area", self.area, np.float32, (len(self.label),))
        if not ((self.area >= 0) & (self.area <= 1)).all():
            raise ValueError(f"ClassAreas.area holds {self.area.tolist()[:5]}, expected parts of the picture, 0 to 1")
        self.area.flags.writeable = False

    def of(self, label: str) -> float:
        """The part of the picture that a label covers, 0 for one that isn't among them."""
        return float(self.area[self.label.index(label)]) if label in self.label else 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Foreground(Result):
    """The pixels of some labels as one mask, on a grid that covers the whole picture."""

    schema: ClassVar[str] = "streamproc.foreground/1"

    mask: Annotated[NDArray[np.bool_], Shape("h", "w")]
    """bool (h, w)"""
    label: tuple[str, ...]
    """labels of the foreground"""

    def __post_init__(self) -> None:
        check_array("Foreground.mask", self.mask, np.bool_, (None, None))
        self.mask.flags.writeable = False


__all__ = ["ClassAreas", "Foreground"]
