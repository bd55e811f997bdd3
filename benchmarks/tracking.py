"""Tracking on public detections: ours against plain SORT, by the same evaluator, in one run.

    python benchmarks/tracking.py FOLDER

FOLDER holds sequences in MOTChallenge form: `NAME/{seqinfo.ini,det.txt,gt.txt}`, or as published
`NAME/{seqinfo.ini,det/det.txt,gt/gt.txt}`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamproc.evaluation.mot import MotBoxes, iou_matrix

Array = NDArray[np.float64]

MAX_AGE, MIN_HITS, LEAST_IOU = 1, 3, 0.3


class PlainSort:
    """SORT (Bewley et al. 2016) as published: constant velocity in frames, IoU, max_age 1, min_hits 3."""

    def __init__(self) -> None:
        self.step = np.eye(7)
        self.step[[0, 1, 2], [4, 5, 6]] = 1
        self.drift = np.diag([1, 1, 1, 1, 0.01, 0.01, 0.0001])
        self.noise = np.diag([1.0, 1, 10, 10])
        self.mean = np.zeros((0, 7))
        self.cov = np.zeros((0, 7, 7))
        self.ids = np.zeros(0, np.int64)
        self.unseen = np.zeros(0, np.int64)
        self.streak = np.zeros(0, np.int64)
        self.frames, self.next_id = 0, 1

    def update(self, boxes: Array) -> tuple[NDArray[np.int64], Array]:
        """Ids and xyxy boxes of the tracks that are shown for this frame."""
        self.frames += 1
        self._predict()
        rows, cols = self._match(boxes)
        self._correct(rows, boxes[cols])
        self._begin(np.delete(boxes, cols, axis=0))
        shown = (self.unseen < 1) & ((self.streak >= MIN_HITS) | (self.frames <= MIN_HITS))
        ids, out = self.ids[shown], _to_xyxy(self.mean[shown])
        self._keep(self.unseen <= MAX_AGE)
        return ids, out

    def _predict(self) -> None:
        self.mean[self.mean[:, 2] + self.mean[:, 6] <= 0, 6] = 0
        self.mean = self.mean @ self.step.T
        self.cov = self.step @ self.cov @ self.step.T + self.drift
        self.streak[self.unseen > 0] = 0
        self.unseen += 1

    def _match(self, boxes: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        from scipy.optimize import linear_sum_assignment

        overlap = iou_matrix(_to_xyxy(self.mean), boxes)
        rows, cols = linear_sum_assignment(-overlap)
        kept = overlap[rows, cols] >= LEAST_IOU
        return rows[kept], cols[kept]

    def _correct(self, rows: NDArray[np.int64], boxes: Array) -> None:
        cov = self.cov[rows]
        total = cov[:, :4, :4] + self.noise
        gain = cov[:, :, :4] @ np.linalg.inv(total)
        off = _to_measure(boxes) - self.mean[rows, :4]
        self.mean[rows] += (gain @ off[:, :, None])[:, :, 0]
        self.cov[rows] = cov - gain @ cov[:, :4, :]
        self.unseen[rows] = 0
        self.streak[rows] += 1

    def _begin(self, boxes: Array) -> None:
        count = len(boxes)
        mean = np.concatenate([_to_measure(boxes), np.zeros((count, 3))], axis=1)
        cov = np.tile(np.diag([10.0, 10, 10, 10, 1e4, 1e4, 1e4]), (count, 1, 1))
        zeros = np.zeros(count, np.int64)
        self.mean = np.concatenate([self.mean, mean])
        self.cov = np.concatenate([self.cov, cov])
        self.ids = np.concatenate([self.ids, np.arange(self.next_id, self.next_id + count)])
        self.unseen, self.streak = np.concatenate([self.unseen, zeros]), np.concatenate([self.streak, zeros])
        self.next_id += count

    def _keep(self, kept: NDArray[np.bool_]) -> None:
        self.mean, self.cov, self.ids = self.mean[kept], self.cov[kept], self.ids[kept]
        self.unseen, self.streak = self.unseen[kept], self.streak[kept]


def _to_measure(boxes: Array) -> Array:
    size = boxes[:, 2:] - boxes[:, :2]
    area, ratio = size[:, 0] * size[:, 1], size[:, 0] / size[:, 1]
    return np.column_stack([boxes[:, :2] + size / 2, area, ratio])


def _to_xyxy(mean: Array) -> Array:
    width = np.sqrt(np.maximum(mean[:, 2] * mean[:, 3], 1e-9))
    half = np.column_stack([width, mean[:, 2] / width]) / 2
    return np.concatenate([mean[:, :2] - half, mean[:, :2] + half], axis=1)


def sort_tracks(detections: MotBoxes, frames: range | list[int]) -> MotBoxes:
    """Plain SORT over all detections."""
    tracker, rows = PlainSort(), detections.by_frame()
    parts = [(f, *tracker.update(detections.xyxy[rows.get(f, [])].reshape(-1, 4))) for f in frames]
    return as_tracks(parts)


def as_tracks(parts: list[tuple[int, NDArray[np.int64], Array]]) -> MotBoxes:
    """Frames, ids and boxes as one table."""
    counts = [len(ids) for _, ids, _ in parts]
    total = sum(counts)
    return MotBoxes(
        frame=np.repeat(np.array([f for f, *_ in parts], np.int64), counts),
        track_id=np.concatenate([ids for _, ids, _ in parts]),
        xyxy=np.concatenate([boxes for *_, boxes in parts]).reshape(-1, 4),
        score=np.ones(total),
        class_id=np.full(total, -1, np.int64),
    )
