"""Tracks completed at the end of recorded input, with what online tracking couldn't know in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamproc_plugins.tracking.association import pairwise_overlap
from streamproc_plugins.tracking.table import TrackerStep, TrackState

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrackRows:
    """Boxes of all tracks over all frames, in the order of frames, then ids."""

    frame: Indices
    """int64 (n,), index into the steps"""
    track_id: Indices
    xyxy: Array
    """float64 (n, 4), pixels"""
    score: Array


def back_fill(
    steps: Sequence[TrackerStep], times_ns: Sequence[int], longest_gap_s: float, least_hits: int = 3
) -> TrackRows:
    """All boxes of the tracks that were ever confirmed, from their first detection on, with short gaps bridged.

    steps, times_ns: the tracker's answers, and the media time of each. A gap of at most `longest_gap_s` between two
    detections is filled along the straight line between them, at the times of the frames in between; elsewhere the
    predicted boxes stay that were shown. A track with fewer than `least_hits` detections is left out.
    The tracks themselves may shorten that gap: where the detections in the middle of such a time are off the straight
    line, as with a moving camera, missing ones aren't put on it either.
    """
    if not steps:
        raise ValueError("no steps were given, expected at least one; run the tracker first")
    measured = _rows(steps, [step.source >= 0 for step in steps])
    predicted = _rows(steps, [step.shown & (step.source < 0) for step in steps])
    ids, count = np.unique(measured.track_id, return_counts=True)
    confirmed = np.unique(np.concatenate([s.track_id[s.state != TrackState.TENTATIVE] for s in steps]))
    retained = np.isin(measured.track_id, np.intersect1d(ids[count >= least_hits], confirmed))
    rows = _take(measured, retained)
    times = np.asarray(times_ns, np.int64)
    filled = _between(rows, times, trusted_gap_s(rows, times, longest_gap_s))
    open_end = np.isin(predicted.track_id, rows.track_id) & ~np.isin(_key(predicted), _key(filled))
    parts = (rows, filled, _take(predicted, open_end))
    whole = TrackRows(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in _NAMES})
    return _take(whole, np.lexsort((whole.track_id, whole.frame)))


_GAPS = (0.25, 0.5, 0.75, 1.0)
_RIGHT = 0.5
_TRUST = 0.85
_NAMES = ("frame", "track_id", "xyxy", "score")


def _rows(steps: Sequence[TrackerStep], chosen: Sequence[NDArray[np.bool_]]) -> TrackRows:
    pairs = list(zip(steps, chosen, strict=True))
    return TrackRows(
        frame=np.repeat(np.arange(len(steps), dtype=np.int64), [int(rows.sum()) for rows in chosen]),
        track_id=np.concatenate([step.track_id[rows] for step, rows in pairs]),
        xyxy=np.concatenate([step.xyxy[rows] for step, rows in pairs]),
        score=np.concatenate([step.score[rows] for step, rows in pairs]),
    )


def _key(rows: TrackRows) -> Indices:
    """One number for a frame and a track."""
    return rows.frame * (1 << 40) + rows.track_id


def trusted_gap_s(rows: TrackRows, times_ns: Indices, longest_s: float) -> float:
    """The longest time, at most `longest_s` seconds, over which a straight line between two boxes can be trusted.

    Measured on the detections: of the boxes in the middle of two others so far apart, `_TRUST` must overlap the line by
    half. Without a track that long there is no evidence against it.
    """
    order = np.lexsort((rows.frame, rows.track_id))
    ids, boxes, times = rows.track_id[order], rows.xyxy[order], times_ns[rows.frame[order]] / 1e9
    # one axis for all tracks: each begins long after the one before ends
    place = np.unique(ids, return_inverse=True)[1]
    axis = (times - times.min(initial=0)) + place * 4 * (np.ptp(times) + longest_s) if len(times) else times
    trusted = 0.0
    for share in _GAPS:
        gap = share * longest_s
        first = np.arange(len(axis))
        last = np.searchsorted(axis, axis + gap)
        inside = last < len(axis)
        first, last = first[inside], last[inside]
        near = (ids[first] == ids[last]) & (axis[last] - axis[first] <= 1.2 * gap)
        first, last = first[near], last[near]
        middle = np.searchsorted(axis, (axis[first] + axis[last]) / 2)
        apart = (middle > first) & (middle < last)
        first, middle, last = first[apart], middle[apart], last[apart]
        if len(first):
            part = ((axis[middle] - axis[first]) / (axis[last] - axis[first]))[:, None]
            line = boxes[first] + part * (boxes[last] - boxes[first])
            if np.mean(pairwise_overlap(line, boxes[middle]) >= _RIGHT) < _TRUST:
                break
        trusted = gap
    return trusted


def _between(rows: TrackRows, times_ns: Indices, longest_gap_s: float) -> TrackRows:
    """The rows that are missing between two of a track."""
    order = np.lexsort((rows.frame, rows.track_id))
    here, there = order[:-1], order[1:]
    frames, ids = rows.frame, rows.track_id
    gap = (ids[here] == ids[there]) & (frames[there] - frames[here] > 1)
    gap &= times_ns[frames[there]] - times_ns[frames[here]] <= longest_gap_s * 1e9
    here, there = here[gap], there[gap]
    counts = frames[there] - frames[here] - 1
    start, end = np.repeat(here, counts), np.repeat(there, counts)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    frame = frames[start] + 1 + np.arange(len(start), dtype=np.int64) - first
    since, whole = times_ns[frame] - times_ns[frames[start]], times_ns[frames[end]] - times_ns[frames[start]]
    share = since / np.maximum(whole, 1)
    return TrackRows(
        frame=frame,
        track_id=ids[start],
        xyxy=rows.xyxy[start] + share[:, None] * (rows.xyxy[end] - rows.xyxy[start]),
        score=rows.score[start] + share * (rows.score[end] - rows.score[start]),
    )


def _take(rows: TrackRows, chosen: NDArray[np.bool_] | Indices) -> TrackRows:
    return TrackRows(**{name: getattr(rows, name)[chosen] for name in _NAMES})
