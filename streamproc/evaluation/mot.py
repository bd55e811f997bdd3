"""Multiple object tracking: MOTChallenge files in, CLEAR MOT, identity and HOTA scores out.

CLEAR MOT (Bernardin and Stiefelhagen 2008) and the identity metrics (Ristani et al. 2016) are computed by
py-motmetrics, HOTA (Luiten et al. 2020) by TrackEval; both come with the extra `eval`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamproc.evaluation.tables import columns, to_json

Protocol = Literal["auto", "mot15", "mot17"]

PEDESTRIAN = 1
DISTRACTORS = (2, 7, 8, 12)  # person on vehicle, static person, distractor, reflection
_COLUMNS = 10
_MATCH_IOU = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MotBoxes:
    """The rows of one MOTChallenge text file in the order of their frames.

    frame: int64 (n,), counted from 1. track_id: int64 (n,), -1 in files of detections.
    xyxy: float64 (n, 4), pixels. score: float64 (n,); in ground truth 1 = counts, 0 = leave out.
    class_id: int64 (n,), the MOT17 class, 1 = pedestrian; -1 where the file has none.
    """

    frame: NDArray[np.int64]
    track_id: NDArray[np.int64]
    xyxy: NDArray[np.float64]
    score: NDArray[np.float64]
    class_id: NDArray[np.int64]

    def __post_init__(self) -> None:
        sizes = {item.name: len(getattr(self, item.name)) for item in fields(self)}
        if len(set(sizes.values())) != 1:
            raise ValueError(f"columns have different lengths {sizes}, expected one length for all")
        if self.xyxy.ndim != 2 or self.xyxy.shape[1] != 4:
            raise ValueError(f"xyxy has shape {self.xyxy.shape}, expected (n, 4)")
        for item in fields(self):
            getattr(self, item.name).flags.writeable = False

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, chosen: NDArray[Any]) -> MotBoxes:
        """The rows named by a mask or by indices."""
        return MotBoxes(**{item.name: getattr(self, item.name)[chosen] for item in fields(self)})

    def by_frame(self) -> dict[int, NDArray[np.int64]]:
        """Row indices of every frame that has rows."""
        frames, starts = np.unique(self.frame, return_index=True)
        rows = np.split(np.arange(len(self), dtype=np.int64), starts[1:])
        return dict(zip(frames.tolist(), rows, strict=True)) if len(self) else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class MotScore:
    """One line of the table; rates are fractions (1 = perfect), the rest are counts."""

    name: str
    idf1: float
    mota: float
    hota: float
    motp: float
    recall: float
    precision: float
    switches: int
    false_positives: int
    misses: int
    fragmentations: int
    mostly_tracked: int
    mostly_lost: int
    objects: int
    det_a: float
    ass_a: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MotReport:
    """Scores of several sequences, and of all of them together under the name `OVERALL`."""

    rows: tuple[MotScore, ...]

    def __getitem__(self, name: str) -> MotScore:
        for row in self.rows:
            if row.name == name:
                return row
        known = ", ".join(row.name for row in self.rows)
        raise KeyError(f"no sequence {name!r} in this report, it has {known}")

    def table(self) -> str:
        """A table for people: percentages with one decimal, then counts."""
        head = ("sequence", "IDF1", "MOTA", "HOTA", "MOTP", "Rcll", "Prcn", "IDs", "FP", "FN", "Frag")
        return columns(head, [_cells(row) for row in self.rows])

    def to_json(self) -> str:
        """The rows as a JSON list of objects; rates rounded to 6 decimals."""
        return to_json([asdict(row) for row in self.rows])


def read_mot(path: str | Path) -> MotBoxes:
    """Read a MOTChallenge text file (`frame,id,left,top,width,height,score,class,...`) in any row order.

    Raises:
        ValueError: a row is not numeric or has fewer than seven columns (the message names its line), or it is no text.
    """
    rows: list[list[float]] = []
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: {error}; expected rows of numbers with commas between") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            values = [float(part) for part in line.replace(",", " ").split()]
        except ValueError as error:
            raise ValueError(f"{path}:{number}: {error}; expected numbers with commas between") from None
        if len(values) < 7:
            raise ValueError(
                f"{path}:{number}: {len(values)} columns, expected at least 7: frame,id,left,top,width,height,score"
            )
        # MOT15 has world coordinates in the columns that are class and visibility from MOT16 on
        class_id = values[7] if 8 <= len(values) < _COLUMNS else -1.0
        if not np.isfinite(values[:7]).all():
            raise ValueError(f"{path}:{number}: {line.strip()!r} has values that are not finite; expected numbers")
        if any(value != int(value) for value in values[:2]):
            raise ValueError(f"{path}:{number}: frame {values[0]:g}, id {values[1]:g}; expected whole numbers")
        rows.append([*values[:7], class_id])
    return _boxes(np.array(rows, np.float64).reshape(-1, 8))


def write_mot(path: str | Path, boxes: MotBoxes) -> None:
    """Write tracks in the form that MOTChallenge takes."""
    xywh = np.concatenate([boxes.xyxy[:, :2], boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]], axis=1)
    lines = [
        f"{frame},{track},{x:.2f},{y:.2f},{w:.2f},{h:.2f},{score:.4f},-1,-1,-1\n"
        for frame, track, (x, y, w, h), score in zip(
            boxes.frame.tolist(), boxes.track_id.tolist(), xywh.tolist(), boxes.score.tolist(), strict=True
        )
    ]
    Path(path).write_text("".join(lines), encoding="utf-8")


def find_pairs(truth: str | Path, tracks: str | Path, *, subset: bool = False) -> dict[str, tuple[Path, Path]]:
    """Files that belong together: name of the sequence -> (ground truth, tracks).

    truth: a file, or a folder with `NAME/gt.txt` or, as published, `NAME/gt/gt.txt`. tracks: a file, or a folder with
    `NAME.txt`. subset: leave out sequences that have no file of tracks, instead of refusing them.

    Raises:
        FileNotFoundError: a sequence has no tracks, or nothing belongs together.
    """
    truth, tracks = Path(truth), Path(tracks)
    if truth.is_file() and tracks.is_file():
        return {tracks.stem: (truth, tracks)}
    known = {path.relative_to(truth).parts[0]: path for path in [*truth.glob("*/gt/gt.txt"), *truth.glob("*/gt.txt")]}
    found = {
        name: (known[name], tracks / f"{name}.txt") for name in sorted(known) if (tracks / f"{name}.txt").is_file()
    }
    if not found:
        raise FileNotFoundError(
            f"no sequence of {truth} has tracks in {tracks}; expected NAME/gt.txt or NAME/gt/gt.txt there and NAME.txt "
            "here, or one file each"
        )
    missing = sorted(known.keys() - found.keys())
    if missing and not subset:
        raise FileNotFoundError(
            f"{tracks} has no tracks for {', '.join(missing)}, of which {truth} knows the truth; write "
            f"{missing[0]}.txt (empty where nothing was tracked), or score only those that have tracks (--subset)"
        )
    return found


def evaluate(pairs: Mapping[str, tuple[MotBoxes, MotBoxes]], protocol: Protocol = "auto") -> MotReport:
    """Score tracks against ground truth at IoU 0.5.

    pairs: name of the sequence -> (ground truth, tracks).
    protocol: `mot17` first takes away the tracks' boxes that match a distractor (classes 2, 7, 8, 12), then
        keeps the pedestrians flagged 1; `mot15` keeps every box of the truth flagged 1; `auto` takes
        `mot17` where the ground truth has classes.

    Raises:
        ImportError: py-motmetrics or TrackEval is missing; the message says how to install them.
        ValueError: no box of the truth counts, so there is nothing to score against; or an id stands twice in a frame.
    """
    for name, (truth, tracks) in pairs.items():
        _check(f"the truth of {name}", truth)
        _check(f"the tracks of {name}", tracks)
    prepared = {name: prepare(truth, tracks, protocol) for name, (truth, tracks) in pairs.items()}
    if not any(len(truth) for truth, _ in prepared.values()):
        raise ValueError(f"the truth of {', '.join(pairs)} holds no box that counts, so nothing can be scored")
    clear = _clear_and_identity(prepared)
    hota = _hota(prepared)
    names = [*prepared, "OVERALL"] if len(prepared) != 1 else list(prepared)
    return MotReport(rows=tuple(_score(name, clear[name], hota[name]) for name in names))


def _check(what: str, boxes: MotBoxes) -> None:
    """Refuse what TrackEval refuses: frames before the first, ids that stand twice in a frame."""
    if len(boxes) and boxes.frame[0] < 1:
        raise ValueError(f"{what}: the first frame is {boxes.frame[0]}; MOTChallenge counts frames from 1")
    rows, counts = np.unique(np.column_stack([boxes.frame, boxes.track_id]), axis=0, return_counts=True)
    twice = np.flatnonzero(counts > 1)
    if not len(twice):
        return
    frame, track_id = rows[twice[0]].tolist()
    reason = (
        "they look like detections; give tracks" if track_id < 0 else "each object of a frame needs an id of its own"
    )
    raise ValueError(
        f"{what}: the id {track_id} stands {counts[twice[0]]} times in frame {frame} (and so in {len(twice) - 1} more "
        f"places); {reason}"
    )


def prepare(truth: MotBoxes, tracks: MotBoxes, protocol: Protocol = "auto") -> tuple[MotBoxes, MotBoxes]:
    """Ground truth and tracks as the protocol wants them scored."""
    if protocol == "mot15" or (protocol == "auto" and not (truth.class_id > 0).any()):
        return truth.take(truth.score >= 1), tracks
    tracks = _without_distractors(truth, tracks)
    return truth.take((truth.score >= 1) & (truth.class_id == PEDESTRIAN)), tracks


def iou_matrix(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of every box of `a` (n, 4) xyxy with every one of `b` (m, 4): (n, m)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inner = np.prod(np.clip(high - low, 0, None), axis=2)
    size_a = np.prod(a[:, 2:] - a[:, :2], axis=1)
    size_b = np.prod(b[:, 2:] - b[:, :2], axis=1)
    outer = size_a[:, None] + size_b[None, :] - inner
    return np.asarray(np.divide(inner, outer, out=np.zeros_like(inner), where=outer > 0))


def _without_distractors(truth: MotBoxes, tracks: MotBoxes) -> MotBoxes:
    from scipy.optimize import linear_sum_assignment

    scored = np.ones(len(tracks), bool)
    truth_rows = truth.by_frame()
    for frame, rows in tracks.by_frame().items():
        known = truth_rows.get(frame)
        if known is None:
            continue
        overlap = iou_matrix(truth.xyxy[known], tracks.xyxy[rows])
        overlap[overlap < _MATCH_IOU] = 0
        left, right = linear_sum_assignment(-overlap)
        matched = (overlap[left, right] > 0) & np.isin(truth.class_id[known[left]], DISTRACTORS)
        scored[rows[right[matched]]] = False
    return tracks.take(scored)


def _clear_and_identity(pairs: Mapping[str, tuple[MotBoxes, MotBoxes]]) -> dict[str, dict[str, Any]]:
    try:
        import motmetrics
    except ImportError as error:
        raise ImportError(f"{error}; install it with: pip install 'streamproc[eval]'") from error
    names = {
        "idf1": "idf1", "mota": "mota", "motp": "motp", "recall": "recall", "precision": "precision",
        "num_switches": "switches", "num_false_positives": "false_positives", "num_misses": "misses",
        "num_fragmentations": "fragmentations", "mostly_tracked": "mostly_tracked",
        "mostly_lost": "mostly_lost", "num_unique_objects": "objects",
    }  # fmt: skip
    records = [_accumulate(motmetrics, truth, tracks) for truth, tracks in pairs.values()]
    summary = motmetrics.metrics.create().compute_many(
        records, names=list(pairs), metrics=list(names), generate_overall=True
    )
    table = {name: row.rename(names).to_dict() for name, row in summary.iterrows()}
    for row in table.values():
        row["motp"] = 1.0 - row["motp"]  # a distance there, an overlap here
    return table


def _accumulate(motmetrics: Any, truth: MotBoxes, tracks: MotBoxes) -> Any:
    record = motmetrics.MOTAccumulator()
    truth_rows, track_rows = truth.by_frame(), tracks.by_frame()
    none = np.zeros(0, np.int64)
    for frame in sorted(truth_rows.keys() | track_rows.keys()):
        left, right = truth_rows.get(frame, none), track_rows.get(frame, none)
        distance = 1.0 - iou_matrix(truth.xyxy[left], tracks.xyxy[right])
        distance[distance > 1.0 - _MATCH_IOU] = np.nan
        record.update(truth.track_id[left], tracks.track_id[right], distance, frameid=frame)
    return record


def _hota(pairs: Mapping[str, tuple[MotBoxes, MotBoxes]]) -> dict[str, dict[str, float]]:
    try:
        from trackeval.metrics import HOTA
    except ImportError as error:
        raise ImportError(f"{error}; install it with: pip install 'streamproc[eval]'") from error
    metric = HOTA()
    # the function under TrackEval's timing decorator prints nothing and returns the same
    results = {name: metric.eval_sequence(trackeval_data(*pair)) for name, pair in pairs.items()}
    results["OVERALL"] = metric.combine_sequences(dict(results))
    keys = {"hota": "HOTA", "det_a": "DetA", "ass_a": "AssA"}
    return {
        name: {ours: float(np.mean(result[theirs])) for ours, theirs in keys.items()}
        for name, result in results.items()
    }


def trackeval_data(truth: MotBoxes, tracks: MotBoxes) -> dict[str, Any]:
    """The dictionary that TrackEval's metrics take, for one prepared sequence."""
    truth_ids, truth_index = np.unique(truth.track_id, return_inverse=True)
    track_ids, track_index = np.unique(tracks.track_id, return_inverse=True)
    truth_rows, track_rows = truth.by_frame(), tracks.by_frame()
    none = np.zeros(0, np.int64)
    frames = sorted(truth_rows.keys() | track_rows.keys())
    rows = [(truth_rows.get(frame, none), track_rows.get(frame, none)) for frame in frames]
    return {
        "num_timesteps": len(frames),
        "num_gt_ids": len(truth_ids),
        "num_tracker_ids": len(track_ids),
        "num_gt_dets": len(truth),
        "num_tracker_dets": len(tracks),
        "gt_ids": [truth_index[left] for left, _ in rows],
        "tracker_ids": [track_index[right] for _, right in rows],
        "similarity_scores": [iou_matrix(truth.xyxy[left], tracks.xyxy[right]) for left, right in rows],
    }


def _score(name: str, clear: Mapping[str, Any], hota: Mapping[str, float]) -> MotScore:
    whole = {
        "switches",
        "false_positives",
        "misses",
        "fragmentations",
        "mostly_tracked",
        "mostly_lost",
        "objects",
    }
    values = {key: int(value) if key in whole else float(value) for key, value in clear.items()}
    return MotScore(name=name, **values, **hota)  # type: ignore[arg-type]


def _cells(row: MotScore) -> Sequence[str]:
    rates = (row.idf1, row.mota, row.hota, row.motp, row.recall, row.precision)
    counts = (row.switches, row.false_positives, row.misses, row.fragmentations)
    return (
        row.name,
        *(f"{100 * rate:.1f}" if np.isfinite(rate) else "-" for rate in rates),
        *(str(count) for count in counts),
    )


def _boxes(rows: NDArray[np.float64]) -> MotBoxes:
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    xyxy = rows[:, 2:6].copy()
    xyxy[:, 2:] += xyxy[:, :2]
    return MotBoxes(
        frame=rows[:, 0].astype(np.int64),
        track_id=rows[:, 1].astype(np.int64),
        xyxy=xyxy,
        score=rows[:, 6].copy(),
        class_id=rows[:, 7].astype(np.int64),
    )


def concatenate(parts: Iterable[MotBoxes]) -> MotBoxes:
    """All rows of several tables in the order of their frames."""
    listed = list(parts)
    whole = MotBoxes(**{f.name: np.concatenate([getattr(p, f.name) for p in listed]) for f in fields(MotBoxes)})
    return whole.take(np.argsort(whole.frame, kind="stable"))
