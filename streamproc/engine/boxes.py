"""Boxes that can't be meant in pixels: a mistake of authors that gives no error and no right result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from streamproc.results import Detections, Faces, Result

_LARGEST_FRACTION = 1.5
"""a fraction that reaches somewhat over the edge of the picture"""
_ENOUGH = 10
"""boxes after which the run says so before its end"""


@dataclass(slots=True)
class BoxWatch:
    """Whether one plugin's boxes look like fractions of the picture; the first larger one settles that they aren't."""

    boxes: int = 0
    in_pixels: bool = False

    def look(self, results: Iterable[Result]) -> bool:
        """Take what a call gave; true once, as soon as the warning is certain enough to be said."""
        before = self.boxes
        for result in () if self.in_pixels else results:
            if isinstance(result, Detections | Faces) and len(result.xyxy):
                self.in_pixels = bool(result.xyxy.max() > _LARGEST_FRACTION)
                self.boxes += len(result.xyxy)
                if self.in_pixels:
                    break
        return not self.in_pixels and before < _ENOUGH <= self.boxes

    @property
    def warning(self) -> str:
        """What is wrong with the boxes; empty where nothing is."""
        if self.in_pixels or not self.boxes:
            return ""
        return (
            f"all boxes ({self.boxes:,}) lie within 0..1, as fractions of the picture do, but boxes are in pixels; "
            "multiply by frame.width and frame.height"
        )


__all__ = ["BoxWatch"]
