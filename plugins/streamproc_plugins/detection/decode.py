"""Decoding of detection nets to boxes: pure functions of arrays.

Every decoder gets the net's outputs, the input's (height, width) in pixels and `floor`, the lowest score by class
(float32 (C,), above 1 for classes that aren't wanted), and gives boxes in pixels of the input.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc import ModelError
from streamproc.models import Net

F32 = NDArray[np.float32]
STRIDES = (8, 16, 32)
"""of YOLOX's three heads, in pixels"""
_FASTESTDET_STRIDE = 16
_LARGEST_LOG = 10.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundBoxes:
    """Boxes of one look at a picture, columns of equal length N."""

    xyxy: F32
    """float32 (N, 4)"""
    score: F32
    """float32 (N,), 0..1"""
    class_id: NDArray[np.int64]
    """int64 (N,)"""

    def __len__(self) -> int:
        return len(self.score)

    def rows(self, index: NDArray[Any]) -> FoundBoxes:
        """The chosen rows, in the order chosen."""
        return FoundBoxes(xyxy=self.xyxy[index], score=self.score[index], class_id=self.class_id[index])


_NOTHING = FoundBoxes(
    xyxy=np.zeros((0, 4), np.float32), score=np.zeros(0, np.float32), class_id=np.zeros(0, np.int64)
)  # fmt: skip


def join_boxes(parts: Sequence[FoundBoxes]) -> FoundBoxes:
    """All rows of all parts (at least one), in order."""
    return FoundBoxes(
        xyxy=np.concatenate([part.xyxy for part in parts]),
        score=np.concatenate([part.score for part in parts]),
        class_id=np.concatenate([part.class_id for part in parts]),
    )


@lru_cache(maxsize=32)
def yolox_grid(height: int, width: int) -> tuple[F32, F32]:
    """Column and row (N, 2) of every cell and its stride (N, 1), head after head, row by row."""
    cells, strides = [], []
    for stride in STRIDES:
        rows, columns = np.mgrid[: height // stride, : width // stride]
        cells.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
        strides.append(np.full((rows.size, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)


def yolox(outputs: Sequence[NDArray[Any]], hw: tuple[int, int], floor: F32) -> FoundBoxes:
    """YOLOX (Ge et al. 2021): (1, N, 5 + C) with centre, log size, objectness, class scores, both already sigmoid."""
    raw = outputs[0][0]
    objectness = np.ascontiguousarray(raw[:, 4])  # in rows of 340 bytes: fetched once, not three times
    _refuse_nan(objectness)
    rows = (objectness >= floor.min()).nonzero()[0]  # a score is objectness times at most 1
    if not len(rows):
        return _NOTHING
    raw = raw[rows]
    class_id = raw[:, 5:].argmax(axis=1)
    score = raw[:, 4] * raw[np.arange(len(rows)), 5 + class_id]
    retained = (score >= floor[class_id]).nonzero()[0]
    if not len(retained):
        return _NOTHING
    raw, rows = raw[retained], rows[retained]
    cells, strides = yolox_grid(*hw)
    centre = (raw[:, :2] + cells[rows]) * strides[rows]
    size = np.exp(np.minimum(raw[:, 2:4], _LARGEST_LOG)) * strides[rows]
    return _found(centre, size, score[retained], class_id[retained])


def yolox_columns(outputs: Sequence[NDArray[Any]], hw: tuple[int, int], floor: F32) -> FoundBoxes:
    """YOLOX with a box in each column, (1, 5 + C, N), as the edit `onnx_columns` makes it."""
    return yolox([outputs[0].transpose(0, 2, 1)], hw, floor)


def fastestdet(outputs: Sequence[NDArray[Any]], hw: tuple[int, int], floor: F32) -> FoundBoxes:
    """FastestDet (dog-qiuqiu/FastestDet): (1, 5 + C, h, w) with objectness, box, class scores of every cell.

    Score = objectness^0.6 * class^0.4. Centre = cell + tanh, in cells; size = sigmoid, as a part of the picture.
    """
    grid = outputs[0][0]
    height, width = grid.shape[1:]
    cells = grid.reshape(grid.shape[0], -1)
    objectness = cells[0]
    _refuse_nan(objectness)
    rows = np.flatnonzero(objectness >= float(floor.min()) ** (1 / 0.6) if floor.min() <= 1 else objectness > 1)
    raw = cells[:, rows]
    class_id = raw[5:].argmax(axis=0)
    likely = raw[5 + class_id, np.arange(len(rows))]
    score = np.clip(raw[0], 0, 1) ** np.float32(0.6) * np.clip(likely, 0, 1) ** np.float32(0.4)
    retained = np.flatnonzero(score >= floor[class_id])
    raw, rows = raw[:, retained], rows[retained]
    place = np.stack([rows % width, rows // width]).astype(np.float32)
    step = np.array([[hw[1] / width], [hw[0] / height]], dtype=np.float32)
    centre = (place + np.tanh(raw[1:3])) * step
    size = np.array([[hw[1]], [hw[0]]], dtype=np.float32) / (1 + np.exp(-raw[3:5]))
    return _found(centre.T, size.T, score[retained], class_id[retained])


def openvino_boxes(outputs: Sequence[NDArray[Any]], hw: tuple[int, int], floor: F32) -> FoundBoxes:  # noqa: ARG001
    """Open Model Zoo's detectors with two outputs: (N, 5) left, top, right, bottom, score; (N,) class ids."""
    boxes, class_id = outputs[0], outputs[1].astype(np.int64)
    _refuse_nan(boxes[:, 4])
    known = (class_id >= 0) & (class_id < len(floor))
    boxes, class_id = boxes[known], class_id[known]
    retained = np.flatnonzero(boxes[:, 4] >= floor[class_id])
    xyxy = np.asarray(boxes[retained, :4], dtype=np.float32)
    return FoundBoxes(
        xyxy=xyxy, score=np.clip(boxes[retained, 4], 0, 1).astype(np.float32), class_id=class_id[retained]
    )


def _found(centre: NDArray[Any], size: NDArray[Any], score: NDArray[Any], class_id: NDArray[Any]) -> FoundBoxes:
    half = size / 2
    xyxy = np.concatenate([centre - half, centre + half], axis=1)
    return FoundBoxes(
        xyxy=np.asarray(xyxy, dtype=np.float32),
        score=np.asarray(np.minimum(np.maximum(score, 0), 1), dtype=np.float32),
        class_id=np.asarray(class_id, dtype=np.int64),
    )


def _refuse_nan(values: NDArray[Any]) -> None:
    if values.size and math.isnan(values.max()):  # NaN carries over to the maximum
        raise ModelError("the net answered NaN scores; its weights or its input scale are wrong")


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxDecoder:
    """Decoding of one family of nets."""

    read: Callable[[Sequence[NDArray[Any]], tuple[int, int], F32], FoundBoxes]
    outputs: Callable[[tuple[int, int], int], dict[str, tuple[int | None, ...]]]
    """wanted output shapes for an input (height, width) and a number of classes, as `Net.expect` takes them"""
    suppressed: bool = False
    """True where the net has thrown overlapping boxes out itself"""


def _cells(hw: tuple[int, int]) -> int:
    return sum((hw[0] // stride) * (hw[1] // stride) for stride in STRIDES)


DECODERS = {
    "yolox": BoxDecoder(read=yolox, outputs=lambda hw, classes: {"#0": (1, _cells(hw), 5 + classes)}),
    "yolox-columns": BoxDecoder(read=yolox_columns, outputs=lambda hw, classes: {"#0": (1, 5 + classes, _cells(hw))}),
    "fastestdet": BoxDecoder(
        read=fastestdet,
        outputs=lambda hw, classes: {"#0": (1, 5 + classes, hw[0] // _FASTESTDET_STRIDE, hw[1] // _FASTESTDET_STRIDE)},
    ),
    "openvino-boxes": BoxDecoder(
        read=openvino_boxes, outputs=lambda _hw, _classes: {"#0": (None, 5), "#1": (None,)}, suppressed=True
    ),
}


def checked_decoder(net: Net, decode: str, hw: tuple[int, int]) -> BoxDecoder:
    """The decoder of this name, if it fits the net's outputs; else `ModelError` naming both shapes."""
    decoder = DECODERS[decode]
    net.expect(decode, decoder.outputs(hw, len(net.labels)))
    return decoder
