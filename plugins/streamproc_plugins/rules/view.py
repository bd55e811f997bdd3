"""The result of `rules` for each frame, for later plugins such as `annotate`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from streamproc import Result, Shape


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RuleView(Result):
    """Zones and lines with their counts. Points of all zones (lines) are concatenated; `*_start` holds the offsets."""

    schema: ClassVar[str] = "streamproc.rules/1"

    zone: Annotated[tuple[str, ...], Shape("Z")]
    """names, Z of them"""
    zone_points: Annotated[NDArray[np.float32], Shape("K", 2)]
    """float32 (K, 2), source pixels"""
    zone_start: Annotated[NDArray[np.int64], Shape("Z + 1")]
    """int64 (Z + 1,): zone z has the points from zone_start[z] up to zone_start[z + 1]"""
    occupancy: Annotated[NDArray[np.int64], Shape("Z")]
    """int64 (Z,): how many are inside"""
    line: Annotated[tuple[str, ...], Shape("L")]
    """names, L of them"""
    line_points: Annotated[NDArray[np.float32], Shape("P", 2)]
    line_start: Annotated[NDArray[np.int64], Shape("L + 1")]
    crossings: Annotated[NDArray[np.int64], Shape("L", 2)]
    """int64 (L, 2): crossings to the left and to the right so far"""
    direction: Annotated[tuple[str, ...], Shape("2 L")]
    """2 L names: left and right of each line"""

    def __post_init__(self) -> None:
        for points, start in ((self.zone_points, self.zone_start), (self.line_points, self.line_start)):
            if points.ndim != 2 or points.shape[1] != 2 or start[0] != 0 or start[-1] != len(points):
                raise ValueError(f"RuleView has points {points.shape} and starts {start.tolist()}: they don't fit")
        for array in (self.zone_points, self.zone_start, self.occupancy, self.line_points, self.line_start):
            array.flags.writeable = False
        self.crossings.flags.writeable = False

    def zones(self) -> list[tuple[str, NDArray[np.float32], int]]:
        """Name, corners (K, 2) and occupancy of each zone."""
        start = self.zone_start.tolist()
        return [
            (name, self.zone_points[start[z] : start[z + 1]], int(self.occupancy[z]))
            for z, name in enumerate(self.zone)
        ]

    def lines(self) -> list[tuple[str, NDArray[np.float32], dict[str, int]]]:
        """Name, points (K, 2) and crossings by direction of each line."""
        start = self.line_start.tolist()
        return [
            (
                name,
                self.line_points[start[n] : start[n + 1]],
                dict(zip(self.direction[2 * n : 2 * n + 2], self.crossings[n].tolist(), strict=True)),
            )
            for n, name in enumerate(self.line)
        ]


def joined(parts: list[NDArray[np.float64]]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Points of all shapes in one array, and where each begins."""
    start = np.cumsum([0, *(len(part) for part in parts)], dtype=np.int64)
    points = np.concatenate(parts) if parts else np.zeros((0, 2))
    return points.astype(np.float32), start
