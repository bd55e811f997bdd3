"""Assignment of a frame's detections to tracks: rounds of overlap first, then place and size alone.

Sure detections are matched first, doubtful ones to the rest (ByteTrack, Zhang et al. 2022); tracks detected just now
choose before lost ones (Deep SORT, Wojke et al. 2017); boxes grow by the filter's own doubt before they are compared
(after C-BIoU, Yang et al. 2023); heights must agree (Hybrid-SORT, Yang et al. 2024). The rest may be half hidden,
which leaves one edge of the box where it was, or may have moved further than its own size, which is accepted if
nothing else is within reach.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamproc_plugins.tracking import kalman
from streamproc_plugins.tracking.association import (
    assign,
    buffered_overlap,
    clipped_likeness,
    side_agreement,
)
from streamproc_plugins.tracking.settings import TrackerSettings
from streamproc_plugins.tracking.table import NONE, Measurements, Table

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]

_NS = 1e9
_REACH = 3.0
"""standard deviations within which appearance alone may find a track again"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Match:
    """The track of each detection, and the kind of match."""

    owner: Indices
    """int64 (n,), row of the table, -1 for none"""
    clipped: Mask | None = None
    """bool (n,): only one horizontal edge of the box is where the track's is; the height says nothing; None: nowhere"""
    alone: Mask | None = None
    """bool (n,): matched because nothing else was within reach; None: nowhere"""

    def take(self, rows: Indices) -> Match:
        """The same for the detections named by indices."""
        return Match(
            owner=self.owner[rows],
            clipped=None if self.clipped is None else self.clipped[rows],
            alone=None if self.alone is None else self.alone[rows],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Media times of a step."""

    now_ns: int
    before_ns: int
    """of the step before"""

    def since(self, seconds: float) -> int:
        """The earlier of `seconds` ago and the step before, as at a low rate no detection lies in between."""
        return min(self.before_ns, self.now_ns - round(seconds * _NS))


def match(table: Table, measured: Measurements, times: Times, settings: TrackerSettings) -> Match:
    """Match the detections of a frame with the tracks, whose places are predicted for it."""
    return _Matching(table, measured, times, settings).run()


class _Matching:
    """One call of `match`."""

    def __init__(self, table: Table, measured: Measurements, times: Times, settings: TrackerSettings) -> None:
        self._table, self._measured, self._times, self._settings = table, measured, times, settings
        self._owner = np.full(len(measured), NONE, np.int64)
        self._clipped: Mask | None = None
        self._alone: Mask | None = None
        self._boxes = table.xyxy()

    def run(self) -> Match:
        settings, times, table, owner = self._settings, self._times, self._table, self._owner
        sure = self._measured.score >= settings.high_score
        known = table.confirmed
        just_now = table.observed_ns >= times.since(settings.lost_after_s)
        self._round(sure, known & just_now, settings.least_likeness)
        if NONE in owner:
            recent = known & (table.observed_ns >= times.since(settings.rescue_s))
            self._round(sure, known, settings.lost_likeness)
            self._round(~sure, recent, settings.rescue_likeness)
            self._round(sure, ~known, settings.least_likeness)
            self._fit_clipped(sure, recent | (~known & just_now))
            self._find_alone(sure)
        return Match(owner=owner, clipped=self._clipped, alone=self._alone)

    def _left(self, tracks: Mask) -> Indices:
        """Rows of `tracks` that have no detection yet."""
        free = tracks.copy()
        free[self._owner[self._owner != NONE]] = False
        return free.nonzero()[0]

    def _round(self, wanted: Mask, tracks: Mask, least: float) -> None:
        """Match the free detections among `wanted` with the free tracks among `tracks`."""
        right = (wanted & (self._owner == NONE)).nonzero()[0]
        if not len(right) or not tracks.any():
            return
        left = self._left(tracks)
        if len(left):
            a, b = assign(self._likeness(left, self._measured.take(right)), least)
            self._owner[right[b]] = left[a]

    def _fit_clipped(self, wanted: Mask, tracks: Mask) -> None:
        """Match objects that become hidden at their lower or upper end, or reappear from there."""
        right = (wanted & (self._owner == NONE)).nonzero()[0]
        left = self._left(tracks) if len(right) else right
        if not len(left):
            return
        fits = clipped_likeness(self._boxes[left], self._measured.xyxy[right])
        same = self._table.group[left][:, None] == self._measured.group[right][None, :]
        fits = np.where(self._looks_other(left, right), 0.0, fits)
        a, b = assign(np.where(same, fits, fits * self._settings.other_label), self._settings.clipped_likeness)
        if len(a):
            self._owner[right[b]] = left[a]
            self._clipped = np.zeros(len(self._owner), np.bool_)
            self._clipped[right[b]] = True

    def _find_alone(self, wanted: Mask) -> None:
        """Match a track and a detection that are each the only one within the other's reach."""
        right = wanted & (self._owner == NONE)
        if not right.any():
            return
        settings, table = self._settings, self._table
        within = (table.observed_ns >= self._times.since(settings.lone_s)) & (
            table.confirmed | (table.observed_ns >= self._times.since(settings.tentative_s))
        )
        left = np.zeros(len(table), np.bool_)
        left[self._left(within)] = True
        if not left.any():
            return
        boxes = kalman.to_cxcywh(self._measured.xyxy)
        near, free = self._near(boxes), left[:, None] & right[None, :]
        # of a track detected at the step before, anything with a detection or a track of its own is no rival
        just = (table.observed_ns >= self._times.before_ns)[:, None]
        only = free & (_mutual(near) | (_mutual(near & free) & just))
        only &= table.group[:, None] == self._measured.group[None, :]
        if not only.any():
            return
        only &= side_agreement(table.mean[:, 2:], boxes[:, 2:])[:, :, 1] >= settings.lone_agreement
        only &= ~self._looks_other(slice(None), slice(None))
        rows, columns = only.nonzero()
        self._owner[columns] = rows
        self._alone = only.any(axis=0)

    def _looks_other(self, rows: Indices | slice, columns: Indices | slice) -> Mask:
        """Pairs of track and detection whose embeddings contradict each other, where both have one: bool (n, m)."""
        if self._measured.embedding is None:
            return np.zeros((1, 1), np.bool_)
        known, new = self._table.embedding[rows], self._measured.embedding[columns]
        both_known = np.any(known, axis=1, keepdims=True) & np.any(new, axis=1, keepdims=True).T
        return np.asarray(both_known & (known @ new.T <= self._settings.appearance_least))

    def _near(self, boxes: Array) -> Mask:
        """Detections that each track may have become: bool (n, m).

        A track detected at the step before reaches `lone_step` of its longer side beyond its path from where it was to
        where it is predicted, however long the step was; another reaches as far as the filter doubts its place.
        """
        settings, table = self._settings, self._table
        unobserved = (self._times.now_ns - table.observed_ns) / _NS
        path = table.velocity[:, :2] * kalman.travelled(unobserved, settings.motion)[:, None]
        doubt = np.sqrt(table.covariance[:, :2, 0]) * settings.lone_reach
        longer = table.mean[:, 2:].max(axis=1, keepdims=True)
        doubt = np.minimum(doubt, longer)
        step = longer * settings.lone_step
        just = (table.observed_ns >= self._times.before_ns)[:, None]
        reach = np.where(just, np.maximum(step, doubt), doubt)
        low = np.minimum(table.mean[:, :2], table.mean[:, :2] - path * just) - reach
        high = np.maximum(table.mean[:, :2], table.mean[:, :2] - path * just) + reach
        places = boxes[None, :, :2]
        return np.asarray(((places >= low[:, None]) & (places <= high[:, None])).all(axis=2))

    def _likeness(self, rows: Indices, measured: Measurements) -> Array:
        """Likeness of each track and each detection, float64 (n, m) in 0..1."""
        settings, tracks = self._settings, self._table.take(rows)
        doubt = np.sqrt(tracks.covariance[:, :2, 0])
        size = kalman.box_size(tracks.mean)[:, None]
        boxes = self._boxes if tracks is self._table else self._boxes[rows]
        margin = np.minimum(doubt * settings.margin, size)
        agree = side_agreement(tracks.mean[:, 2:], measured.xyxy[:, 2:] - measured.xyxy[:, :2])
        like = buffered_overlap(boxes, measured.xyxy, margin) * agree[:, :, 1]
        if measured.embedding is not None:
            near = buffered_overlap(boxes, measured.xyxy, np.minimum(doubt * _REACH, 2 * size)) > 0
            like = self._with_appearance(like, near, tracks.embedding, measured.embedding)
        same = tracks.group[:, None] == measured.group[None, :]
        return np.where(same, like, like * settings.other_label)

    def _with_appearance(self, like: Array, near: Mask, known: NDArray[np.float32], new: NDArray[np.float32]) -> Array:
        settings = self._settings
        least, full = settings.appearance_least, settings.appearance_full
        cosine = known.astype(np.float64) @ new.astype(np.float64).T
        says = np.clip((cosine - least) / max(full - least, 1e-6), 0, 1)
        mixed = (1 - settings.appearance_weight) * like + settings.appearance_weight * says * near
        both_known = np.any(known, axis=1, keepdims=True) & np.any(new, axis=1, keepdims=True).T
        return np.where(both_known, mixed, like)


def _mutual(near: Mask) -> Mask:
    """Pairs that are each the only one near the other."""
    return np.asarray(near & (near.sum(axis=1) == 1)[:, None] & (near.sum(axis=0) == 1)[None, :])
