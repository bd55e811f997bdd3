"""How far ahead predicted places can be trusted, measured on the tracks that are seen.

Every fifth of a second the tracks are noted; what they would have become without any further detection is compared
with where they are seen now. Whatever spoils predictions spoils these too: a camera that turns, walks or drives,
boxes that shake, people who change their pace.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc_plugins.tracking import kalman
from streamproc_plugins.tracking.association import pairwise_overlap
from streamproc_plugins.tracking.kalman import Motion
from streamproc_plugins.tracking.table import Table

Array = NDArray[np.float64]

_NS = 1e9
_EVERY_S = 0.2
_HORIZONS_S = (0.25, 0.45, 0.75)
"""ages up to which predictions are counted together; what is older counts as the last"""
_RIGHT = 0.5
"""overlap from which a predicted box counts as right"""
_MEMORY_S = 20.0
"""time after which a sample counts little"""
_PRIOR = 2.0
"""right predictions assumed before any was compared"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Note:
    """The confirmed tracks that were seen at one time; their places follow the camera."""

    at_ns: int
    track_id: NDArray[np.int64]
    mean: Array
    velocity: Array


class Reliability:
    """Counts for one stream how many predictions of which age were right."""

    def __init__(self) -> None:
        self._notes: list[_Note] = []
        self._right = np.full(len(_HORIZONS_S), _PRIOR)
        self._all = np.full(len(_HORIZONS_S), _PRIOR)

    def horizon_s(self, least: float) -> float:
        """Longest time over which the share of right predictions is at least `least`, seconds; infinite if always."""
        good = self._right >= least * self._all
        return float("inf") if good.all() else (0.0, *_HORIZONS_S)[int(np.argmin(good))]

    def forget(self) -> None:
        """Compare nothing with what was before, as after a cut."""
        self._notes = []

    def follow(self, affine: Array) -> None:
        """Move what was noted with the camera: float64 (2, 3), as for `kalman.warp`."""
        self._notes = [
            _Note(at_ns=note.at_ns, track_id=note.track_id, mean=moved.mean, velocity=moved.velocity)
            for note in self._notes
            for moved in (kalman.warp(_belief(note), affine),)
        ]

    def shift(self, by: Array) -> None:
        """Move what was noted by `by` (2,) pixels."""
        for note in self._notes:
            note.mean[:, :2] += by

    def look(self, table: Table, now_ns: int, motion: Motion) -> None:
        """Compare and note the tracks seen now, if it is time to."""
        if self._notes and 0 <= now_ns - self._notes[-1].at_ns < _EVERY_S * _NS:
            return
        rows = (table.confirmed & (table.seen_ns == now_ns)).nonzero()[0]
        if not len(rows):
            return
        oldest_ns = now_ns - _HORIZONS_S[-1] * _NS
        self._notes = [note for note in self._notes if oldest_ns <= note.at_ns < now_ns]
        ids, mean = table.track_id[rows], table.mean[rows]
        kept = float(np.exp(-_EVERY_S / _MEMORY_S))
        self._right, self._all = kept * self._right, kept * self._all
        for note in self._notes:
            self._compare(note, ids, mean, (now_ns - note.at_ns) / _NS, motion)
        self._notes.append(_Note(at_ns=now_ns, track_id=ids, mean=mean.copy(), velocity=table.velocity[rows].copy()))

    def _compare(self, note: _Note, ids: NDArray[np.int64], mean: Array, age_s: float, motion: Motion) -> None:
        both, old, new = np.intersect1d(note.track_id, ids, assume_unique=True, return_indices=True)
        if not len(both):
            return
        reach = motion.memory_s * -np.expm1(-age_s / motion.memory_s)
        predicted = note.mean[old] + reach * note.velocity[old]
        same = pairwise_overlap(kalman.to_xyxy(predicted), kalman.to_xyxy(mean[new])) >= _RIGHT
        place = min(int(np.searchsorted(_HORIZONS_S, age_s)), len(_HORIZONS_S) - 1)
        self._right[place] += np.count_nonzero(same)
        self._all[place] += len(both)

    def state(self) -> dict[str, Any]:
        """JSON values from which `restore` goes on exactly."""
        notes = [[n.at_ns, n.track_id.tolist(), n.mean.tolist(), n.velocity.tolist()] for n in self._notes]
        return {"right": self._right.tolist(), "all": self._all.tolist(), "notes": notes}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self._right, self._all = np.array(state["right"], np.float64), np.array(state["all"], np.float64)
        self._notes = [
            _Note(
                at_ns=at_ns, track_id=np.array(ids, np.int64), mean=np.array(mean, np.float64).reshape(-1, 4),
                velocity=np.array(velocity, np.float64).reshape(-1, 4),
            )
            for at_ns, ids, mean, velocity in state["notes"]
        ]  # fmt: skip


def _belief(note: _Note) -> kalman.Belief:
    return kalman.Belief(mean=note.mean, velocity=note.velocity, covariance=np.zeros((len(note.mean), 4, 3)))
