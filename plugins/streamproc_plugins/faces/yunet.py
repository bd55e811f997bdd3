"""Decoding of YuNet (Wu et al., Machine Intelligence Research 2023) to faces: pure functions of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc import ModelError

F32 = NDArray[np.float32]
STRIDES = (8, 16, 32)
"""of the net's three heads, in pixels"""
_LARGEST_LOG = 10.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundFaces:
    """Faces of one look at a picture, columns of equal length N."""

    xyxy: F32
    """float32 (N, 4)"""
    score: F32
    """float32 (N,), 0..1"""
    landmarks: F32
    """float32 (N, 5, 2): right eye, left eye, nose, right and left mouth corner (the person's right and left)"""

    def __len__(self) -> int:
        return len(self.score)

    def rows(self, index: NDArray[Any]) -> FoundFaces:
        """The chosen rows, in the order chosen."""
        return FoundFaces(xyxy=self.xyxy[index], score=self.score[index], landmarks=self.landmarks[index])


def nothing() -> FoundFaces:
    """No faces."""
    return FoundFaces(
        xyxy=np.zeros((0, 4), np.float32), score=np.zeros(0, np.float32), landmarks=np.zeros((0, 5, 2), np.float32)
    )


def output_shapes(hw: tuple[int, int]) -> dict[str, tuple[int | None, ...]]:
    """Wanted outputs by name for an input (height, width), as `Net.expect` takes them."""
    cells = {stride: (hw[0] // stride) * (hw[1] // stride) for stride in STRIDES}
    widths = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
    return {f"{name}_{stride}": (1, cells[stride], width) for name, width in widths.items() for stride in STRIDES}


@lru_cache(maxsize=32)
def grid(height: int, width: int, stride: int) -> F32:
    """Column and row of every cell of one head, row by row, float32 (N, 2)."""
    rows, columns = np.mgrid[: height // stride, : width // stride]
    cells = np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float32)
    cells.flags.writeable = False
    return cells


def decode_faces(outputs: Mapping[str, NDArray[Any]], hw: tuple[int, int], min_score: float) -> FoundFaces:
    """Faces of all three heads with at least `min_score`, in pixels of the input, not yet suppressed.

    Score = sqrt(class * objectness); centre = (cell + b01) * stride; size = exp(b23) * stride; landmark =
    (cell + k) * stride. Raises `ModelError` for a net that answers NaN.
    """
    return join_faces([_decode_head(outputs, hw, stride, min_score) for stride in STRIDES])


def join_faces(parts: Sequence[FoundFaces]) -> FoundFaces:
    """All rows of all parts (at least one), in order."""
    return FoundFaces(
        xyxy=np.concatenate([part.xyxy for part in parts]),
        score=np.concatenate([part.score for part in parts]),
        landmarks=np.concatenate([part.landmarks for part in parts]),
    )


def _decode_head(outputs: Mapping[str, NDArray[Any]], hw: tuple[int, int], stride: int, min_score: float) -> FoundFaces:
    likely, there = (outputs[f"{name}_{stride}"][0, :, 0] for name in ("cls", "obj"))
    score = np.sqrt(np.clip(likely, 0, 1) * np.clip(there, 0, 1))
    rows = np.flatnonzero(~(score < min_score))  # NaN passes here, to be refused
    cells = grid(*hw, stride)[rows]
    box = outputs[f"bbox_{stride}"][0, rows]
    points = outputs[f"kps_{stride}"][0, rows].reshape(-1, 5, 2)
    centre = (cells + box[:, :2]) * stride
    half = np.exp(np.minimum(box[:, 2:], _LARGEST_LOG)) * (stride / 2)
    found = FoundFaces(
        xyxy=np.concatenate([centre - half, centre + half], axis=1).astype(np.float32),
        score=score[rows].astype(np.float32),
        landmarks=((cells[:, None] + points) * stride).astype(np.float32),
    )
    if not all(np.isfinite(values).all() for values in (found.xyxy, found.score, found.landmarks)):
        raise ModelError("the face detector answered numbers that are not finite; its weights or its input are wrong")
    return found
