"""Results of the action plugins besides `Classification`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from streamproc import Result, Shape
from streamproc.errors import check_array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AttentionMap(Result):
    """Attention of a net in each picture of a clip."""

    schema: ClassVar[str] = "streamproc.attention-map/1"

    weights: Annotated[NDArray[np.float32], Shape("T", "h", "w")]
    """float32 (T, h, w), each picture of the clip summing to 1, over a grid that covers the region looked at"""
    region: tuple[float, ...]
    """left, top, right, bottom of that region in fractions of the picture"""

    def __post_init__(self) -> None:
        check_array("AttentionMap.weights", self.weights, np.float32, (None, None, None))
        if not np.isfinite(self.weights).all() or len(self.region) != 4:
            raise ValueError("AttentionMap holds numbers that are not finite, or no region; check the net's output")
        self.weights.flags.writeable = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrackActions(Result):
    """Actions of tracked people: one row for each track that was classified at this frame."""

    schema: ClassVar[str] = "streamproc.track-actions/1"

    track_id: Annotated[NDArray[np.int64], Shape("N")]
    """int64 (N,)"""
    label: Annotated[tuple[str, ...], Shape("N")]
    """N best labels"""
    score: Annotated[NDArray[np.float32], Shape("N")]
    """float32 (N,), 0..1"""
    class_id: Annotated[NDArray[np.int64], Shape("N")]
    """int64 (N,)"""

    def __post_init__(self) -> None:
        count = len(self.label)
        check_array("TrackActions.track_id", self.track_id, np.int64, (count,))
        check_array("TrackActions.score", self.score, np.float32, (count,))
        check_array("TrackActions.class_id", self.class_id, np.int64, (count,))
        if not ((self.score >= 0) & (self.score <= 1)).all():
            raise ValueError(f"TrackActions.score holds {self.score.tolist()[:5]}, expected numbers from 0 to 1")
        for column in (self.track_id, self.score, self.class_id):
            column.flags.writeable = False


__all__ = ["AttentionMap", "TrackActions"]
