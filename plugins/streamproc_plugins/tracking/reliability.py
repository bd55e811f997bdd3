"""Time over which predicted places can be trusted, measured on the detected tracks.

Every quarter of a second, the tracks are noted; later their prediction without any further detection is compared
with their detected place. Anything that spoils predictions spoils these too: a camera that turns, walks or drives,
boxes that shake, people who change their pace. The quality of all of a stream's predictions limits how long a track
coasts; the quality of its own decides whether it coasts at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc_plugins.tracking import kalman
from streamproc_plugins.tracking.association import pairwise_overlap
from streamproc_plugins.tracking.kalman import MotionModel
from streamproc_plugins.tracking.table import Table

Array = NDArray[np.float64]

_NS = 1e9
_EVERY_S = 0.25
_HORIZONS_S = np.array([0.3, 0.55, 0.8])
"""ages up to which predictions are counted together; older ones count as the last"""
_RIGHT = 0.5
"""overlap from which a predicted box counts as right"""
_MEMORY_S = 20.0
"""time after which a sample counts little"""
_RETAINED = float(np.exp(-_EVERY_S / _MEMORY_S))
_OLDEST_NS = round(_HORIZONS_S[-1] * _NS)
_PRIOR = 2.0
"""right predictions assumed before any was compared"""
_OWN_MEMORY_S = 0.7
"""time over which the overlaps of a track's own predictions are averaged"""
_OWN_LEAST = 0.6
"""mean overlap from which a track counts as steady"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Notes:
    """Confirmed tracks as they were detected, one row each; their places follow the camera."""

    at_ns: NDArray[np.int64]
    track_id: NDArray[np.int64]
    mean: Array
    velocity: Array

    def take(self, rows: NDArray[np.bool_]) -> _Notes:
        return _Notes(**{name: getattr(self, name)[rows] for name in _NAMES})

    def joined(self, other: _Notes) -> _Notes:
        return _Notes(**{name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in _NAMES})


_NAMES = ("at_ns", "track_id", "mean", "velocity")
_NONE = _Notes(
    at_ns=np.zeros(0, np.int64), track_id=np.zeros(0, np.int64), mean=np.zeros((0, 4)), velocity=np.zeros((0, 4))
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Record:
    """Quality of each track's own predictions, one row a track in the order of their ids."""

    track_id: NDArray[np.int64]
    at_ns: NDArray[np.int64]
    overlap: Array

    def find(self, track_id: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Mask of the `track_id` (n,) with a row, and the rows."""
        if not len(self.track_id):
            return np.zeros(len(track_id), np.bool_), np.zeros(len(track_id), np.int64)
        row = np.minimum(np.searchsorted(self.track_id, track_id), len(self.track_id) - 1)
        return self.track_id[row] == track_id, row

    def updated(self, track_id: NDArray[np.int64], overlap: Array, now_ns: int) -> _Record:
        """The record after the predictions of `track_id` (n,), ascending, overlapped by `overlap` (n,)."""
        known, row = self.find(track_id)
        if known.any():
            weight = -np.expm1(-(now_ns - self.at_ns[row[known]]) / _NS / _OWN_MEMORY_S)
            overlap = overlap.copy()
            overlap[known] = self.overlap[row[known]] + weight * (overlap[known] - self.overlap[row[known]])
        old = ~np.isin(self.track_id, track_id)
        ids = np.concatenate([self.track_id[old], track_id])
        order = np.argsort(ids)
        at_ns = np.concatenate([self.at_ns[old], np.full(len(track_id), now_ns, np.int64)])
        return _Record(
            track_id=ids[order], at_ns=at_ns[order], overlap=np.concatenate([self.overlap[old], overlap])[order]
        )

    def of(self, living: NDArray[np.int64]) -> _Record:
        """The rows of the tracks `living`."""
        stay = np.isin(self.track_id, living)
        return _Record(track_id=self.track_id[stay], at_ns=self.at_ns[stay], overlap=self.overlap[stay])


_NO_RECORD = _Record(track_id=np.zeros(0, np.int64), at_ns=np.zeros(0, np.int64), overlap=np.zeros(0))
_RECORD_NAMES = ("track_id", "at_ns", "overlap")


class Reliability:
    """Counts for one stream how many predictions of which age were right, and how near those of each track were."""

    def __init__(self, least: float) -> None:
        """Take the share of predictions that must be right where they are trusted, 0..1."""
        self._least = least
        self._notes = _NONE
        self._noted_ns: int | None = None
        self._own = _NO_RECORD
        self._right = np.full(len(_HORIZONS_S), _PRIOR)
        self._all = np.full(len(_HORIZONS_S), _PRIOR)
        self.horizon_s = self._trusted_s()
        """longest time over which predictions can be trusted, seconds; infinite where all can"""

    def _trusted_s(self) -> float:
        good = self._right >= self._least * self._all
        return float("inf") if good.all() else (0.0, *_HORIZONS_S.tolist())[int(np.argmin(good))]

    def forget(self) -> None:
        """Forget all notes, as after a camera cut."""
        self._notes, self._noted_ns, self._own = _NONE, None, _NO_RECORD

    def steady(self, track_id: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tracks of `track_id` (n,) whose own predictions were tested and near the detections: bool (n,)."""
        known, row = self._own.find(track_id)
        if not known.any():
            return known
        return np.asarray(known & (self._own.overlap[row] >= _OWN_LEAST))

    def follow(self, affine: Array) -> None:
        """Move the notes with the camera: float64 (2, 3), as for `kalman.warp_belief`."""
        moved = kalman.warp_belief(_belief(self._notes), affine)
        self._notes = replace(self._notes, mean=moved.mean, velocity=moved.velocity)

    def shift(self, by: Array) -> None:
        """Move the notes by `by` (2,) pixels."""
        self._notes.mean[:, :2] += by

    def look(self, table: Table, now_ns: int, motion: MotionModel) -> None:
        """Compare and note the tracks detected now, if it is time to."""
        if self._noted_ns is not None and 0 <= now_ns - self._noted_ns < _EVERY_S * _NS:
            return
        rows = (table.confirmed & (table.observed_ns == now_ns)).nonzero()[0]
        if not len(rows):
            return
        self._noted_ns = now_ns
        now = _Notes(
            at_ns=np.full(len(rows), now_ns), track_id=table.track_id[rows], mean=table.mean[rows],
            velocity=table.velocity[rows],
        )  # fmt: skip
        known = self._notes.take((self._notes.at_ns >= now_ns - _OLDEST_NS) & (self._notes.at_ns < now_ns))
        self._own = self._own.of(table.track_id)
        if len(known.at_ns):
            self._compare(known, now, now_ns, motion)
        self._notes = known.joined(now)

    def _compare(self, known: _Notes, now: _Notes, now_ns: int, motion: MotionModel) -> None:
        place = np.minimum(np.searchsorted(now.track_id, known.track_id), len(now.track_id) - 1)
        found = now.track_id[place] == known.track_id
        age_s = (now_ns - known.at_ns) / _NS
        reach = motion.memory_s * -np.expm1(-age_s / motion.memory_s)
        predicted = kalman.to_xyxy(known.mean + reach[:, None] * known.velocity)
        near = pairwise_overlap(predicted, kalman.to_xyxy(now.mean[place]))
        right = near >= _RIGHT
        horizon = np.minimum(np.searchsorted(_HORIZONS_S, age_s), len(_HORIZONS_S) - 1)
        count = len(_HORIZONS_S)
        self._right = _RETAINED * self._right + np.bincount(horizon[found & right], minlength=count)
        self._all = _RETAINED * self._all + np.bincount(horizon[found], minlength=count)
        self.horizon_s = self._trusted_s()
        # notes are in the order of time: from behind, the first of a track is its last
        ids, last = np.unique(known.track_id[found][::-1], return_index=True)
        self._own = self._own.updated(ids, near[found][::-1][last], now_ns)

    def state(self) -> dict[str, Any]:
        """JSON values from which `restore` goes on exactly."""
        notes = {name: getattr(self._notes, name).tolist() for name in _NAMES}
        own = {name: getattr(self._own, name).tolist() for name in _RECORD_NAMES}
        return {
            "right": self._right.tolist(), "all": self._all.tolist(), "noted_ns": self._noted_ns, "notes": notes,
            "own": own,
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`."""
        self._right, self._all = np.array(state["right"], np.float64), np.array(state["all"], np.float64)
        self.horizon_s = self._trusted_s()
        self._noted_ns, notes = state["noted_ns"], state["notes"]
        own = state.get("own", {name: [] for name in _RECORD_NAMES})
        self._own = _Record(**{name: np.array(own[name], getattr(_NO_RECORD, name).dtype) for name in _RECORD_NAMES})
        self._notes = _Notes(
            **{
                name: np.array(notes[name], like.dtype).reshape(-1, *like.shape[1:])
                for name, like in ((name, getattr(_NONE, name)) for name in _NAMES)
            }
        )


def _belief(notes: _Notes) -> kalman.Belief:
    return kalman.Belief(mean=notes.mean, velocity=notes.velocity, covariance=np.zeros((len(notes.mean), 4, 3)))
