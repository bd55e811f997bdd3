"""The tracker itself: detections of one frame after the other in, tracks out. Knows arrays and media time only.

Sure detections are matched first, doubtful ones to what is left (ByteTrack, Zhang et al. 2022); tracks seen just now
choose before lost ones (Deep SORT, Wojke et al. 2017); boxes grow by the filter's own doubt before they are compared
(after C-BIoU, Yang et al. 2023); heights must agree (Hybrid-SORT, Yang et al. 2024); a low score means a less certain
box (NSA Kalman, Du et al. 2021).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc_plugins.tracking import kalman
from streamproc_plugins.tracking.association import assign, buffered_overlap, distinct, inside, overlap, side_agreement
from streamproc_plugins.tracking.settings import Settings
from streamproc_plugins.tracking.shift import common_shift
from streamproc_plugins.tracking.table import NONE, NOTHING, Seen, Step, Table, TrackState

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]

VERSION = 1
_NS = 1e9
_REACH = 3.0
"""standard deviations within which appearance alone may find a track again"""
_EDGE_PX = 1.0
_TENTATIVE, _CONFIRMED, _LOST = (np.int64(state.value) for state in TrackState)


class Tracker:
    """Follows the things of one stream: the same calls give the same answers; `state` and `restore` carry it over."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._table = Table.empty()
        self._next_id = 1
        self._now_ns: int | None = None

    def step(self, now_ns: int, seen: Seen, camera: Array | None = None, size: tuple[int, int] | None = None) -> Step:
        """Take the detections of the frame at `now_ns` and give the tracks as they stand then.

        camera: float64 (2, 3), affine from the picture of the step before to this one.
        size: width and height of the picture; what leaves it is not shown or followed further.
        """
        self.expire(now_ns)
        if not len(self._table) and not bool((seen.score >= self.settings.min_score).any()):
            self._now_ns = now_ns
            return NOTHING
        if seen.embedding is not None:
            self._table = self._table.looking(seen.embedding.shape[1])
        before_ns = now_ns if self._now_ns is None else self._now_ns
        self._advance(now_ns, camera)
        rows = self._usable(seen)
        usable = seen.take(rows)
        owner = self._match(usable, now_ns, before_ns)
        taken = (owner != NONE).nonzero()[0]
        if len(taken):
            self._table = self._updated(owner[taken], usable.take(taken), now_ns)
        source = np.full(len(self._table), NONE, np.int64)
        source[owner[taken]] = rows[taken]
        born = self._begin(usable, owner, now_ns)
        return self._finish(np.concatenate([source, rows[born]]), now_ns, size)

    def expire(self, now_ns: int) -> None:
        """End the tracks that were not seen for too long."""
        if len(self._table):
            self._keep((now_ns - self._table.seen_ns) / _NS <= self.settings.lost_s)

    def forget(self) -> None:
        """End all tracks, as after a cut; their ids are not used again."""
        self._table = Table.empty()

    def state(self) -> dict[str, Any]:
        """JSON values from which `restore` goes on exactly."""
        return {
            "version": VERSION,
            "next_id": self._next_id,
            "now_ns": self._now_ns,
            "tracks": self._table.to_plain(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave; `ValueError` where it can't be read."""
        if state.get("version") != VERSION:
            raise ValueError(
                f"the tracker's state has version {state.get('version')!r}, expected {VERSION}; "
                "start without the stored state"
            )
        table = Table.from_plain(state["tracks"])
        self._table, self._next_id, self._now_ns = table, int(state["next_id"]), state["now_ns"]

    def _advance(self, now_ns: int, camera: Array | None) -> None:
        elapsed = 0.0 if self._now_ns is None else max(now_ns - self._now_ns, 0) / _NS
        self._now_ns = now_ns
        belief = self._table.belief if camera is None else kalman.warp(self._table.belief, camera)
        self._table = self._table.believing(kalman.predict(belief, elapsed, self.settings.motion))

    def _usable(self, seen: Seen) -> Indices:
        rows = (seen.score >= self.settings.min_score).nonzero()[0]
        return rows[distinct(seen.xyxy[rows], seen.score[rows], seen.group[rows], self.settings.repeated)]

    def _match(self, seen: Seen, now_ns: int, before_ns: int) -> Indices:
        """Row of the track that takes each detection, -1 for none: int64 (n,)."""
        settings = self.settings
        owner = np.full(len(seen), NONE, np.int64)
        sure = seen.score >= settings.high_score
        known = self._table.confirmed
        # at a low rate the frame before is the last in which anything could be seen, however long ago it was
        just_now = self._table.seen_ns >= min(before_ns, now_ns - settings.lost_after_s * _NS)
        recent = known & (self._table.seen_ns >= min(before_ns, now_ns - settings.rescue_s * _NS))
        self._follow_camera(seen.xyxy[sure], just_now)
        rounds = (
            (sure, known & just_now, settings.least_likeness),
            (sure, known, settings.lost_likeness),
            (~sure, recent, settings.rescue_likeness),
            (sure, ~known, settings.least_likeness),
        )
        for wanted, tracks, least in rounds:
            if NONE not in owner:
                break
            self._round(owner, seen, wanted, tracks, least)
        if NONE in owner:
            self._find_again(owner, seen, sure, known & (self._table.seen_ns >= now_ns - settings.lone_s * _NS))
        return owner

    def _follow_camera(self, detected: Array, tracks: Mask) -> None:
        if not self.settings.shift_pairs:
            return
        shift = common_shift(self._table.mean[tracks], detected, self.settings.shift_pairs)
        if shift.any():
            mean = self._table.mean.copy()
            mean[:, :2] += shift
            self._table = replace(self._table, mean=mean)

    def _round(self, owner: Indices, seen: Seen, wanted: Mask, tracks: Mask, least: float) -> None:
        """Match the free detections among `wanted` with the free tracks among `tracks`; writes into `owner`."""
        right = (wanted & (owner == NONE)).nonzero()[0]
        if not len(right) or not tracks.any():
            return
        free = tracks.copy()
        free[owner[owner != NONE]] = False
        left = free.nonzero()[0]
        if len(left):
            table = self._table if len(left) == len(free) else self._table.take(left)
            a, b = assign(self._likeness(table, seen.take(right)), least)
            owner[right[b]] = left[a]

    def _find_again(self, owner: Indices, seen: Seen, wanted: Mask, tracks: Mask) -> None:
        """Match what is left where a track and a detection are each the only one within the other's reach."""
        left, right = tracks.copy(), wanted & (owner == NONE)
        left[owner[owner != NONE]] = False
        if not left.any() or not right.any():
            return
        settings, table, boxes = self.settings, self._table, kalman.to_cxcywh(seen.xyxy)
        reach = np.sqrt(table.covariance[:, :2, 0]) * settings.lone_reach
        reach = np.minimum(reach, kalman.box_size(table.mean)[:, None])
        near = (np.abs(table.mean[:, None, :2] - boxes[None, :, :2]) <= reach[:, None]).all(axis=2)
        only = near & (near.sum(axis=1) == 1)[:, None] & (near.sum(axis=0) == 1)[None, :]
        only &= left[:, None] & right[None, :] & (table.group[:, None] == seen.group[None, :])
        only &= side_agreement(table.mean[:, 2:], boxes[:, 2:])[:, :, 1] >= settings.lone_agreement
        rows, columns = only.nonzero()
        owner[columns] = rows

    def _likeness(self, tracks: Table, seen: Seen) -> Array:
        """How well each track fits each detection, float64 (n, m) in 0..1."""
        settings = self.settings
        doubt = np.sqrt(tracks.covariance[:, :2, 0])
        size = kalman.box_size(tracks.mean)[:, None]
        boxes = tracks.xyxy()
        margin = np.minimum(doubt * settings.margin, size)
        agree = side_agreement(tracks.mean[:, 2:], seen.xyxy[:, 2:] - seen.xyxy[:, :2])
        like = buffered_overlap(boxes, seen.xyxy, margin) * agree[:, :, 1]
        if seen.embedding is not None:
            near = buffered_overlap(boxes, seen.xyxy, np.minimum(doubt * _REACH, 2 * size)) > 0
            like = self._with_appearance(like, near, tracks.embedding, seen.embedding)
        same = tracks.group[:, None] == seen.group[None, :]
        return np.where(same, like, like * settings.other_label)

    def _with_appearance(self, like: Array, near: Mask, known: NDArray[np.float32], new: NDArray[np.float32]) -> Array:
        settings = self.settings
        least, full = settings.appearance_least, settings.appearance_full
        cosine = known.astype(np.float64) @ new.astype(np.float64).T
        says = np.clip((cosine - least) / max(full - least, 1e-6), 0, 1)
        mixed = (1 - settings.appearance_weight) * like + settings.appearance_weight * says * near
        told = np.any(known, axis=1, keepdims=True) & np.any(new, axis=1, keepdims=True).T
        return np.where(told, mixed, like)

    def _updated(self, rows: Indices, seen: Seen, now_ns: int) -> Table:
        """The table after `rows` were seen, one detection each."""
        settings = self.settings
        part = self._table.take(rows)
        belief = kalman.correct(part.belief, kalman.to_cxcywh(seen.xyxy), seen.score, settings.motion)
        since = (now_ns - part.seen_ns) / _NS
        blend = 1 - np.exp(-since / settings.score_memory_s)
        hits = part.hits + 1
        ripe = (hits >= settings.confirm_hits) & (now_ns - part.start_ns >= settings.confirm_s * _NS)
        part = replace(
            part,
            **self._relabelled(part, seen.group, now_ns),
            mean=belief.mean,
            velocity=belief.velocity,
            covariance=belief.covariance,
            hits=hits,
            confirmed=part.confirmed | ripe,
            seen_ns=np.full(len(rows), now_ns, np.int64),
            score=part.score + blend * (seen.score - part.score),
            embedding=self._blended(part.embedding, seen, since),
        )
        return self._table.with_rows(rows, part)

    def _relabelled(self, part: Table, group: Indices, now_ns: int) -> dict[str, Indices]:
        """A track's label flickers less than a detection's: it changes only when the new one has stayed for a while.

        Gives the columns that change.
        """
        own = group == part.group
        if own.all() and (part.rival == NONE).all():
            return {}
        same_rival = ~own & (group == part.rival)
        since = np.where(same_rival, part.rival_ns, now_ns)
        change = same_rival & (now_ns - since >= self.settings.label_hold_s * _NS)
        rival = np.where(own | change, NONE, group)
        return {"group": np.where(change, group, part.group), "rival": rival, "rival_ns": since}

    def _blended(self, known: NDArray[np.float32], seen: Seen, since: Array) -> NDArray[np.float32]:
        """Running mean of unit embeddings, from sure detections only: others show mostly what is in front."""
        if seen.embedding is None:
            return known
        weight = 1 - np.exp(-since / self.settings.appearance_memory_s)
        weight = np.where(known.any(axis=1), weight, 1.0)[:, None]
        mixed = (1 - weight) * known + weight * seen.embedding
        mixed /= np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), 1e-9)
        good = (seen.score >= self.settings.high_score) & seen.embedding.any(axis=1)
        return np.where(good[:, None], mixed, known).astype(np.float32)

    def _begin(self, seen: Seen, owner: Indices, now_ns: int) -> Indices:
        """Begin tracks with what nobody took; gives the indices of those detections."""
        fresh: Indices = ((owner == NONE) & (seen.score >= self.settings.new_score)).nonzero()[0]
        if not len(fresh):
            return fresh
        taken = np.flatnonzero(owner != NONE)
        if len(fresh) and len(taken):
            covered = overlap(seen.xyxy[fresh], seen.xyxy[taken]).max(axis=1) > self.settings.new_overlap
            fresh = fresh[~covered]
        ids = np.arange(self._next_id, self._next_id + len(fresh), dtype=np.int64)
        self._next_id += len(fresh)
        born = Table.born(ids, seen.take(fresh), now_ns, self.settings)
        if self.settings.confirm_hits <= 1 and self.settings.confirm_s <= 0:
            born = replace(born, confirmed=np.ones(len(born), np.bool_))
        self._table = self._table.joined(born)
        return fresh

    def _finish(self, source: Indices, now_ns: int, size: tuple[int, int] | None) -> Step:
        table = self._table
        now = table.seen_ns == now_ns
        boxes = table.xyxy()
        if now.all():
            alive, shown = now, table.confirmed
        else:
            alive = self._alive(table, boxes, now_ns, size)
            shown = table.confirmed & (now | self._coasting(table, now_ns, size))
        if not alive.all():
            self._table = table = table.take(alive)
            boxes, now, shown, source = boxes[alive], now[alive], shown[alive], source[alive]
        return Step(
            track_id=table.track_id, xyxy=boxes, velocity=table.velocity[:, :2],
            state=np.where(table.confirmed, np.where(now, _CONFIRMED, _LOST), _TENTATIVE), shown=shown,
            score=table.score, group=table.group, start_ns=table.start_ns, source=source,
        )  # fmt: skip

    def _alive(self, table: Table, boxes: Array, now_ns: int, size: tuple[int, int] | None) -> Mask:
        """Which tracks go on: those seen now, and those unseen for a short while and not out of the picture."""
        now = table.seen_ns == now_ns
        unseen = (now_ns - table.seen_ns) / _NS
        alive = now | table.confirmed | (unseen <= self.settings.tentative_s)
        if size is not None:
            picture = np.array([[0.0, 0.0, size[0], size[1]]])
            alive &= now | (inside(boxes, picture)[:, 0] >= 0.5)
        return np.asarray(alive, np.bool_)

    def _coasting(self, table: Table, now_ns: int, size: tuple[int, int] | None) -> Mask:
        """Which tracks are shown at their predicted place if they weren't seen now."""
        settings, boxes, seen_now = self.settings, table.xyxy(), table.confirmed & (table.seen_ns == now_ns)
        limit = np.full(len(table), settings.coast_s)
        if seen_now.any():
            hidden = inside(boxes, boxes[seen_now]).max(axis=1) >= settings.hidden_share
            limit[hidden] = max(settings.hidden_s, settings.coast_s)
        limit = np.minimum(limit, settings.coast_share * (table.seen_ns - table.start_ns) / _NS)
        showing = (now_ns - table.seen_ns) / _NS <= limit
        if size is not None:  # who is cut by the side of the picture has mostly left it
            showing &= (boxes[:, 0] >= _EDGE_PX) & (boxes[:, 2] <= size[0] - _EDGE_PX)
        return np.asarray(showing, np.bool_)

    def _keep(self, alive: Mask) -> None:
        if not alive.all():
            self._table = self._table.take(alive)
