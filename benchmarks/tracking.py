"""Tracking on public detections: ours against plain SORT, by the same evaluator, in one run.

    python benchmarks/tracking.py FOLDER [NAME ...] [--every N] [--json FILE]

FOLDER holds sequences in MOTChallenge form: `NAME/{seqinfo.ini,det.txt,gt.txt}`, or as published
`NAME/{seqinfo.ini,det/det.txt,gt/gt.txt}`. Without a seqinfo.ini 25 frames per second are assumed. No pictures are
looked at: the trackers are judged on motion alone. Printed are plain SORT, ours online (a frame's boxes depend on no
later frame) and ours back-filled (tentative beginnings added, gaps bridged after the fact).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamproc.evaluation.mot import MotBoxes, MotReport, evaluate, iou_matrix, read_mot
from streamproc_plugins.tracking import Measurements, Tracker, TrackerSettings, TrackerStep, back_fill

Array = NDArray[np.float64]

LONGEST_GAP_S = 1.5
"""gaps up to this long are bridged in the back-filled tracks"""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class MotSequence:
    """One sequence: ground truth, detections, the numbers of its frames, their rate, the picture's size if known."""

    name: str
    truth: MotBoxes
    detections: MotBoxes
    frames: list[int]
    rate: float
    size: tuple[int, int] | None

    def times_ns(self) -> list[int]:
        """Media time of each frame."""
        return [round((frame - 1) * 1e9 / self.rate) for frame in self.frames]


def read_sequence(folder: Path, every: int = 1) -> MotSequence:
    """A sequence from its folder; `every`: keep every n-th frame only."""
    truth = read_mot(_first(folder / "gt.txt", folder / "gt" / "gt.txt"))
    detections = read_mot(_first(folder / "det.txt", folder / "det" / "det.txt"))
    rate, size, last = 25.0, None, int(max(truth.frame.max(), detections.frame.max()))
    if (folder / "seqinfo.ini").is_file():
        ini = ConfigParser()
        ini.read(folder / "seqinfo.ini", encoding="utf-8")
        info = ini["Sequence"]
        rate, last = float(info["frameRate"]), int(info["seqLength"])
        size = (int(info["imWidth"]), int(info["imHeight"]))
    frames = list(range(1, last + 1, every))
    return MotSequence(
        name=folder.name,
        truth=truth.take(np.isin(truth.frame, frames)),
        detections=detections.take(np.isin(detections.frame, frames)),
        frames=frames,
        rate=rate,
        size=size,
    )


def our_steps(sequence: MotSequence, settings: TrackerSettings | None = None) -> list[TrackerStep]:
    """What our tracker gives for each frame."""
    tracker, rows = Tracker(settings or TrackerSettings()), sequence.detections.by_frame()
    none = np.zeros(0, np.int64)
    steps = []
    for frame, now_ns in zip(sequence.frames, sequence.times_ns(), strict=True):
        found = sequence.detections.take(rows.get(frame, none))
        seen = Measurements(xyxy=found.xyxy, score=np.clip(found.score, 0, 1), group=np.zeros(len(found), np.int64))
        steps.append(tracker.step(now_ns, seen, size=sequence.size))
    return steps


def online(sequence: MotSequence) -> MotBoxes:
    """Our tracks as they are given frame by frame."""
    steps = our_steps(sequence)
    return as_tracks(
        [(f, step.track_id[step.shown], step.xyxy[step.shown]) for f, step in zip(sequence.frames, steps, strict=True)]
    )


def back_filled(sequence: MotSequence) -> MotBoxes:
    """Our tracks completed after the last frame."""
    rows = back_fill(our_steps(sequence), sequence.times_ns(), LONGEST_GAP_S)
    return MotBoxes(
        frame=np.array(sequence.frames, np.int64)[rows.frame],
        track_id=rows.track_id,
        xyxy=rows.xyxy,
        score=rows.score,
        class_id=np.full(len(rows.frame), -1, np.int64),
    )


def plain_sort(sequence: MotSequence) -> MotBoxes:
    """Plain SORT's tracks."""
    return sort_tracks(sequence.detections, sequence.frames)


METHODS: dict[str, Callable[[MotSequence], MotBoxes]] = {
    "plain SORT": plain_sort,
    "ours, online": online,
    "ours, back-filled": back_filled,
}


def compare(sequences: Sequence[MotSequence]) -> dict[str, MotReport]:
    """The report of each method."""
    return {method: evaluate({s.name: (s.truth, track(s)) for s in sequences}) for method, track in METHODS.items()}


def _first(*paths: Path) -> Path:
    for path in paths:
        if path.is_file():
            return path
    raise FileNotFoundError(f"none of {', '.join(map(str, paths))} is there; name a folder in MOTChallenge form")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", help="sequences; all of the folder by default")
    parser.add_argument("--every", type=int, default=1, help="keep every n-th frame only")
    parser.add_argument("--json", type=Path, help="write the reports to this file too")
    args = parser.parse_args()
    folders = [args.folder / name for name in args.names] or sorted(
        path for path in args.folder.iterdir() if path.is_dir()
    )
    sequences = [read_sequence(folder, args.every) for folder in folders]
    reports = compare(sequences)
    for method, report in reports.items():
        print(f"\n{method}\n{report.table()}")
    start = time.process_time()
    frames = sum(len(our_steps(sequence)) for sequence in sequences)
    print(f"\nour tracker: {1e3 * (time.process_time() - start) / frames:.2f} CPU-ms a frame over {frames} frames")
    if args.json:
        args.json.write_text(json.dumps({m: json.loads(r.to_json()) for m, r in reports.items()}, indent=2))


if __name__ == "__main__":
    main()
