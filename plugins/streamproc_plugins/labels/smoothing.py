"""Scores over a window of media time made one: functions of arrays."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Method = Literal["mean", "max", "vote"]
F64 = NDArray[np.float64]


def weights(times_ns: NDArray[np.int64], before_ns: int | None, window_ns: int) -> F64:
    """Weight of each sample, float64 (T,), 1 in all: the part of the window that it stands for.

    times_ns: (T,) rising, the last one now, all inside the window. before_ns: time of the sample before the first, None
    where there is none. A sample stands for the time since the one before it, so that the frame rate doesn't matter;
    one without a sample before it for as long as the next.
    """
    start = int(times_ns[-1]) - window_ns
    spans = np.diff(times_ns, prepend=times_ns[0]).astype(np.float64)
    if before_ns is not None:
        spans[0] = times_ns[0] - max(before_ns, start)
    elif len(times_ns) > 1:
        spans[0] = min(spans[1], float(times_ns[0] - start))
    total = spans.sum()
    return spans / total if total > 0 else np.full(len(times_ns), 1 / len(times_ns))


def votes(scores: NDArray[Any]) -> F64:
    """1 for the best label of each sample (T, L), the first among equals, 0 for the others and where all are 0."""
    out = np.zeros(scores.shape, np.float64)
    if scores.size:
        rows = np.arange(len(scores))
        winner = scores.argmax(axis=1)
        out[rows, winner] = scores[rows, winner] > 0
    return out


def smoothed(scores: NDArray[Any], weight: F64, method: Method) -> F64:
    """One score by label, float64 (L,), of samples (T, L); for `vote` the samples are those of `votes`."""
    if method == "max":
        return np.asarray(scores.max(axis=0), np.float64)
    return np.asarray(np.clip(weight @ scores, 0, 1), np.float64)
