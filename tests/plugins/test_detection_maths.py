"""Decoders, suppression and tiling on tensors made by hand, with answers by arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from streamproc import ModelError
from streamproc_plugins.detection.decode import FoundBoxes, fastestdet, openvino_boxes, yolox, yolox_columns, yolox_grid
from streamproc_plugins.detection.nms import MOST, suppress
from streamproc_plugins.detection.tiling import clipped_by_tile, merge_tiles, windows

HW = (64, 96)
CELLS = 8 * 12 + 4 * 6 + 2 * 3


def floor(*scores: float) -> NDArray[np.float32]:
    return np.array(scores, np.float32)


def found(*rows: tuple[list[float], float, int]) -> FoundBoxes:
    return FoundBoxes(
        xyxy=np.array([r[0] for r in rows], np.float32).reshape(-1, 4),
        score=np.array([r[1] for r in rows], np.float32),
        class_id=np.array([r[2] for r in rows], np.int64),
    )


def yolox_output(*rows: tuple[int, list[float]]) -> list[NDArray[np.float32]]:
    raw = np.zeros((1, CELLS, 7), np.float32)
    for cell, values in rows:
        raw[0, cell] = values
    return [raw]


def test_yolox_cells_go_by_head_and_row() -> None:
    cells, strides = yolox_grid(*HW)
    assert len(cells) == CELLS
    assert cells[13].tolist() == [1, 1]  # 12 cells to a row of the first head
    assert strides[[0, 95, 96, 119, 120]].ravel().tolist() == [8, 8, 16, 16, 32]


def test_yolox_decodes_centre_size_and_score() -> None:
    cell = 96 + 6 * 2 + 3  # second head, stride 16, row 2, column 3
    answer = yolox(yolox_output((cell, [0.5, 0.25, math.log(2), math.log(0.5), 0.8, 0.1, 0.75])), HW, floor(0.3, 0.3))
    # centre ((3 + 0.5) * 16, (2 + 0.25) * 16) = (56, 36), size (2 * 16, 0.5 * 16) = (32, 8)
    np.testing.assert_allclose(answer.xyxy, [[40, 32, 72, 40]], rtol=1e-5)
    np.testing.assert_allclose(answer.score, [0.6], rtol=1e-5)
    assert answer.class_id.tolist() == [1]


def test_yolox_filters_by_class() -> None:
    output = yolox_output((3, [0, 0, 0, 0, 0.9, 0.9, 0.1]), (5, [0, 0, 0, 0, 0.9, 0.1, 0.9]))
    assert yolox(output, HW, floor(0.5, 0.5)).class_id.tolist() == [0, 1]
    assert yolox(output, HW, floor(0.9, 0.5)).class_id.tolist() == [1]
    assert yolox(output, HW, floor(0.5, 2)).class_id.tolist() == [0]
    assert len(yolox(output, HW, floor(2, 2))) == 0


def test_yolox_reads_rows_and_columns_alike() -> None:
    rows = np.random.default_rng(1).uniform(0, 1, (1, CELLS, 7)).astype(np.float32)
    columns = np.ascontiguousarray(rows.transpose(0, 2, 1))
    one, other = yolox([rows], HW, floor(0.3, 0.4)), yolox_columns([columns], HW, floor(0.3, 0.4))
    assert 20 < len(one) < CELLS
    for name in ("xyxy", "score", "class_id"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_yolox_with_an_absurd_size_stays_finite() -> None:
    answer = yolox(yolox_output((0, [0, 0, 1e4, 1e4, 1, 1, 0])), HW, floor(0.5, 0.5))
    assert np.isfinite(answer.xyxy).all()


def test_nan_output_is_an_error() -> None:
    with pytest.raises(ModelError, match="NaN"):
        yolox(yolox_output((0, [0, 0, 0, 0, math.nan, 1, 0])), HW, floor(0.5, 0.5))


def test_fastestdet_decodes_centre_size_and_score() -> None:
    raw = np.zeros((1, 7, 4, 6), np.float32)
    offset = math.atanh(0.5)
    raw[0, :, 2, 3] = [0.5, offset, -offset, 0, math.log(0.25 / 0.75), 0.2, 0.6]
    (output,) = [raw]
    answer = fastestdet([output], HW, floor(0.3, 0.3))
    # centre ((3 + 0.5) * 16, (2 - 0.5) * 16) = (56, 24), size (0.5 * 96, 0.25 * 64) = (48, 16)
    np.testing.assert_allclose(answer.xyxy, [[32, 16, 80, 32]], rtol=1e-5)
    np.testing.assert_allclose(answer.score, [0.5**0.6 * 0.6**0.4], rtol=1e-5)
    assert answer.class_id.tolist() == [1]
    assert len(fastestdet([output], HW, floor(2, 0.6))) == 0
    assert len(fastestdet([output], HW, floor(2, 2))) == 0


def test_openvino_boxes_go_by_class_ignoring_unknown() -> None:
    boxes = np.array([[0, 0, 9, 9, 0.9], [1, 1, 5, 5, 0.3], [2, 2, 4, 4, 0.8]], np.float32)
    answer = openvino_boxes([boxes, np.array([1, 0, 7])], HW, floor(0.25, 0.5))
    assert answer.class_id.tolist() == [1, 0]
    assert answer.xyxy.tolist() == [[0, 0, 9, 9], [1, 1, 5, 5]]


BOXES = np.array([[0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 8], [50, 0, 60, 10]], np.float32)


def test_suppression_is_by_class_and_best_first() -> None:
    score, classes = np.array([0.5, 0.9, 0.8, 0.6], np.float32), np.array([0, 0, 1, 0])
    # box 0 and 1 overlap by 80 / 100
    assert suppress(BOXES, score, classes, 0.5).tolist() == [1, 2, 3]
    assert suppress(BOXES, score, classes, 0.85).tolist() == [1, 2, 3, 0]
    assert suppress(BOXES[:0], score[:0], classes[:0], 0.5).tolist() == []


def test_a_suppressed_box_does_not_suppress() -> None:
    # each overlaps the next by 1/2, the first and the last by 1/5
    boxes = np.array([[0, 0, 6, 1], [2, 0, 8, 1], [4, 0, 10, 1]], np.float32)
    assert suppress(boxes, np.array([0.9, 0.8, 0.7]), np.zeros(3, int), 0.4).tolist() == [0, 2]


def test_equal_scores_stay_in_order_and_bounded() -> None:
    boxes = np.tile(np.array([[0, 0, 1, 1]], np.float32), (MOST + 500, 1)) + np.arange(MOST + 500)[:, None] * 2
    stored = suppress(boxes, np.full(len(boxes), 0.5), np.zeros(len(boxes), int), 0.5)
    assert stored.tolist() == list(range(MOST))


def test_suppression_equals_the_plain_loop() -> None:
    rng = np.random.default_rng(11)
    low = rng.uniform(0, 60, (120, 2))
    boxes = np.hstack([low, low + rng.uniform(5, 30, (120, 2))]).astype(np.float32)
    score, classes = rng.random(120).astype(np.float32), rng.integers(0, 3, 120)

    def overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
        w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
        h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
        return float(w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h))

    stored: list[int] = []
    for i in np.argsort(-score):
        if all(classes[i] != classes[k] or overlap(boxes[i], boxes[k]) <= 0.4 for k in stored):
            stored.append(int(i))
    assert suppress(boxes, score, classes, 0.4).tolist() == stored


@pytest.mark.parametrize(("columns", "rows", "overlap"), [(2, 2, 0.2), (3, 1, 0.0), (4, 3, 0.5), (1, 2, 0.1)])
def test_tiles_cover_the_picture_and_overlap(columns: int, rows: int, overlap: float) -> None:
    tiles = windows(1000, 701, columns, rows, overlap)
    assert len(tiles) == columns * rows
    observed = np.zeros((701, 1000), int)
    for left, top, right, bottom in tiles:
        assert 0 <= left < right <= 1000
        assert 0 <= top < bottom <= 701
        observed[top:bottom, left:right] += 1
    assert observed.min() == 1
    assert len({(right - left, bottom - top) for left, top, right, bottom in tiles}) == 1
    if columns > 1:
        shared = tiles[0][2] - tiles[1][0]
        assert shared == pytest.approx(overlap * (tiles[0][2] - tiles[0][0]), abs=2)


def test_boxes_cut_by_an_inner_border_are_recognised() -> None:
    boxes = np.array([[0, 0, 20, 20], [80, 30, 100, 60], [30, 30, 60, 100], [30, 30, 60, 60]], np.float32)
    assert clipped_by_tile(boxes, (0, 0, 100, 100), 200, 200).tolist() == [False, True, True, False]
    assert clipped_by_tile(boxes, (0, 0, 100, 100), 100, 100).tolist() == [False] * 4


def test_object_in_two_tiles_is_given_once() -> None:
    left = found(([90, 10, 110, 30], 0.9, 0))  # cut at x = 110
    right = found(([90, 10, 130, 30], 0.7, 0))  # whole, though with less score
    answer = merge_tiles([found(), left, right], [np.array([], bool), np.array([True]), np.array([False])], 0.45)
    assert answer.xyxy.tolist() == [[90, 10, 130, 30]]


def test_two_pieces_leave_the_better_one() -> None:
    pieces = found(([90, 10, 110, 30], 0.6, 0), ([92, 10, 110, 30], 0.8, 0), ([90, 10, 110, 30], 0.5, 1))
    answer = merge_tiles([pieces], [np.array([True, True, True])], 0.45)
    assert answer.score.tolist() == pytest.approx([0.8, 0.5])
    assert answer.class_id.tolist() == [0, 1]


def test_picture_and_tile_give_an_object_once() -> None:
    whole = found(([10, 10, 50, 50], 0.5, 0), ([100, 100, 150, 150], 0.4, 0))
    tile = found(([11, 10, 50, 50], 0.8, 0))
    answer = merge_tiles([whole, tile], [np.array([False, False]), np.array([False])], 0.45)
    assert answer.score.tolist() == pytest.approx([0.8, 0.4])
