"""The tracker itself: detections of one frame after the other in, tracks out. Knows arrays and media time only.

`matching` assigns the detections; a low score means a less certain box (NSA Kalman, Du et al. 2021).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc_plugins.tracking import kalman
from streamproc_plugins.tracking.association import clipped_likeness, distinct, inside, overlap
from streamproc_plugins.tracking.matching import Match, Times, match
from streamproc_plugins.tracking.reliability import Reliability
from streamproc_plugins.tracking.settings import TrackerSettings
from streamproc_plugins.tracking.shift import common_shift
from streamproc_plugins.tracking.table import NONE, NOTHING, Measurements, Table, TrackerStep, TrackState

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]

_NS = 1e9
_EDGE_PX = 1.0
_TENTATIVE, _CONFIRMED, _LOST = (np.int64(state.value) for state in TrackState)


class Tracker:
    """Follows the objects of one stream: the same calls give the same answers; `state` and `restore` carry it over."""

    def __init__(self, settings: TrackerSettings) -> None:
        self.settings = settings
        self._table = Table.empty()
        self._next_id = 1
        self._now_ns: int | None = None
        self._reliability = Reliability(settings.coast_trust)
        self._sides: tuple[float, float] | None = None

    def step(
        self, now_ns: int, observed: Measurements, camera: Array | None = None, size: tuple[int, int] | None = None
    ) -> TrackerStep:
        """Take the detections of the frame at `now_ns` and give the tracks as they stand then.

        camera: float64 (2, 3), affine from the picture of the step before to this one.
        size: width and height of the picture; tracks that leave it are not shown or followed further.
        """
        self.expire(now_ns)
        if not len(self._table) and not bool((observed.score >= self.settings.min_score).any()):
            self._now_ns = now_ns
            return NOTHING
        if observed.embedding is not None:
            self._table = self._table.looking(observed.embedding.shape[1])
        before_ns = now_ns if self._now_ns is None else self._now_ns
        self._advance(now_ns, camera)
        rows = self._usable(observed)
        usable = observed.take(rows)
        self._note_sides(usable.xyxy, size)
        found = self._match(usable, Times(now_ns=now_ns, before_ns=before_ns))
        owner = found.owner
        taken = (owner != NONE).nonzero()[0]
        if len(taken):
            self._table = self._updated(owner[taken], usable.take(taken), found.take(taken), now_ns)
        source = np.full(len(self._table), NONE, np.int64)
        source[owner[taken]] = rows[taken]
        self._reliability.look(self._table, now_ns, self.settings.motion)
        born = self._begin(usable, owner, now_ns)
        return self._finish(np.concatenate([source, rows[born]]), now_ns, size)

    def expire(self, now_ns: int) -> None:
        """End the tracks without a detection for too long."""
        if len(self._table):
            self._retain(self._table.observed_ns >= now_ns - round(self.settings.lost_s * _NS))

    def forget(self) -> None:
        """End all tracks, as after a cut; their ids are not used again."""
        self._table = Table.empty()
        self._reliability.forget()

    def state(self) -> dict[str, Any]:
        """JSON values from which `restore` goes on exactly."""
        return {
            "next_id": self._next_id,
            "now_ns": self._now_ns,
            "tracks": self._table.to_plain(),
            "reliability": self._reliability.state(),
            "sides": self._sides,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`; `ValueError` where it can't be read."""
        table = Table.from_plain(state["tracks"])
        self._table, self._next_id, self._now_ns = table, int(state["next_id"]), state["now_ns"]
        self._reliability.restore(state["reliability"])
        sides = state["sides"]
        self._sides = None if sides is None else (float(sides[0]), float(sides[1]))

    def _advance(self, now_ns: int, camera: Array | None) -> None:
        elapsed = 0.0 if self._now_ns is None else max(now_ns - self._now_ns, 0) / _NS
        self._now_ns = now_ns
        belief = self._table.belief
        if camera is not None:
            belief = kalman.warp_belief(belief, camera)
            self._reliability.follow(camera)
        self._table = self._table.believing(kalman.predict(belief, elapsed, self.settings.motion))

    def _usable(self, observed: Measurements) -> Indices:
        rows = (observed.score >= self.settings.min_score).nonzero()[0]
        return rows[distinct(observed.xyxy[rows], observed.score[rows], observed.group[rows], self.settings.repeated)]

    def _note_sides(self, boxes: Array, size: tuple[int, int] | None) -> None:
        """Update the left and right ends of the picture; of an unknown size, by the boxes so far."""
        if size is not None:
            self._sides = (0.0, float(size[0]))
        elif len(boxes):
            left, right = float(boxes[:, 0].min()), float(boxes[:, 2].max())
            before = (left, right) if self._sides is None else self._sides
            self._sides = min(left, before[0]), max(right, before[1])

    def _match(self, observed: Measurements, times: Times) -> Match:
        settings = self.settings
        if 0 < settings.shift_pairs <= min(len(self._table), len(observed)):
            just_now = self._table.observed_ns >= times.since(settings.lost_after_s)
            self._follow_camera(observed.xyxy[observed.score >= settings.high_score], just_now)
        return match(self._table, observed, times, settings)

    def _follow_camera(self, detected: Array, tracks: Mask) -> None:
        shift = common_shift(self._table.mean[tracks], detected, self.settings.shift_pairs)
        if shift.any():
            mean = self._table.mean.copy()
            mean[:, :2] += shift
            self._table = self._table.changed(mean=mean)
            self._reliability.shift(shift)

    def _updated(self, rows: Indices, observed: Measurements, found: Match, now_ns: int) -> Table:
        """The table after `rows` were detected, one detection each."""
        settings = self.settings
        part = self._table.take(rows)
        since = (now_ns - part.observed_ns) / _NS
        measured = kalman.to_cxcywh(observed.xyxy)
        if found.clipped is not None:
            measured = self._completed(measured, part, found.clipped, since)
        belief = kalman.correct(part.belief, measured, observed.score, settings.motion)
        if found.clipped is not None:
            # an object that reappears from behind another or enters the picture is as large as detected now
            grown = found.clipped & (measured[:, 3] > part.mean[:, 3])
            fresh = replace(kalman.begin(measured, observed.score, settings.motion), velocity=part.velocity)
            belief = belief.where(grown, fresh)
        hits = part.hits + 1
        if found.alone is not None:
            # a third detection must bear out the second
            hits -= found.alone & ~part.confirmed & (part.observed_ns == part.start_ns)
            jumped = found.alone & kalman.unexpected(part.belief, measured, observed.score, settings.motion)
            if jumped.any():
                belief = belief.where(
                    jumped, kalman.restart(part.belief, measured, observed.score, since, settings.motion)
                )
        blend = 1 - np.exp(-since / settings.score_memory_s)
        score = part.score + blend * (observed.score - part.score)
        confirmed = part.confirmed
        if not confirmed.all():
            confirmed = confirmed | self._ripe(part, hits, score, now_ns)
        part = part.changed(
            **self._relabelled(part, observed.group, now_ns),
            mean=belief.mean,
            velocity=belief.velocity,
            covariance=belief.covariance,
            hits=hits,
            confirmed=confirmed,
            observed_ns=np.full(len(rows), now_ns, np.int64),
            score=score,
            embedding=self._blended(part.embedding, observed, since),
        )
        return self._table.with_rows(rows, part)

    def _ripe(self, part: Table, hits: Indices, score: Array, now_ns: int) -> Mask:
        """Tracks that were detected often, surely and long enough to be confirmed: bool mask."""
        settings = self.settings
        often = (hits >= settings.confirm_hits) & (hits * score >= settings.confirm_score * settings.confirm_hits)
        return np.asarray(often & (now_ns - part.start_ns >= settings.confirm_s * _NS))

    def _completed(self, measured: Array, part: Table, clipped: Mask, since: Array) -> Array:
        """Measured boxes of half-hidden objects, with the hidden end put where the track has it.

        The height adapts to a lower one in time, for objects that stay hidden or were measured too tall.
        """
        mean = part.mean
        blend = np.where(measured[:, 3] > mean[:, 3], 1, 1 - np.exp(-since / self.settings.clipped_memory_s))
        height = mean[:, 3] + blend * (measured[:, 3] - mean[:, 3])
        top, bottom = measured[:, 1] - measured[:, 3] / 2, measured[:, 1] + measured[:, 3] / 2
        off_top = np.abs(top - (mean[:, 1] - mean[:, 3] / 2))
        off_bottom = np.abs(bottom - (mean[:, 1] + mean[:, 3] / 2))
        middle = np.where(off_top <= off_bottom, top + height / 2, bottom - height / 2)
        whole = np.column_stack([measured[:, 0], middle, measured[:, 2], height])
        return np.where(clipped[:, None], whole, measured)

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

    def _blended(self, known: NDArray[np.float32], observed: Measurements, since: Array) -> NDArray[np.float32]:
        """Running mean of unit embeddings, from sure detections only: others show mostly the object in front."""
        if observed.embedding is None:
            return known
        weight = 1 - np.exp(-since / self.settings.appearance_memory_s)
        weight = np.where(known.any(axis=1), weight, 1.0)[:, None]
        mixed = (1 - weight) * known + weight * observed.embedding
        mixed /= np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), 1e-9)
        good = (observed.score >= self.settings.high_score) & observed.embedding.any(axis=1)
        return np.where(good[:, None], mixed, known).astype(np.float32)

    def _begin(self, observed: Measurements, owner: Indices, now_ns: int) -> Indices:
        """Begin tracks with the unassigned detections; gives their indices."""
        fresh: Indices = ((owner == NONE) & (observed.score >= self.settings.new_score)).nonzero()[0]
        if not len(fresh):
            return fresh
        fresh = fresh[self._shows_something_new(observed, fresh, (owner != NONE).nonzero()[0])]
        ids = np.arange(self._next_id, self._next_id + len(fresh), dtype=np.int64)
        self._next_id += len(fresh)
        born = Table.born(ids, observed.take(fresh), now_ns, self.settings)
        if self.settings.confirm_hits <= 1 and self.settings.confirm_s <= 0:
            born = born.changed(confirmed=np.ones(len(born), np.bool_))
        self._table = self._table.joined(born)
        return fresh

    def _shows_something_new(self, observed: Measurements, fresh: Indices, taken: Indices) -> Mask:
        """Detections of `fresh` whose object no taken one, and no surer one of `fresh`, shows too: bool (n,)."""
        order = np.argsort(-observed.score[fresh], kind="stable")
        rivals = np.concatenate([taken, fresh[order]])
        if len(rivals) < 2:
            return np.ones(len(fresh), np.bool_)
        boxes, others = observed.xyxy[fresh], observed.xyxy[rivals]
        same = observed.group[fresh][:, None] == observed.group[rivals][None, :]
        settings, tracked = self.settings, np.arange(len(rivals)) < len(taken)
        limit = np.where(same & tracked, settings.new_overlap, settings.new_overlap_other)
        clash = (overlap(boxes, others) > limit) | (same & (clipped_likeness(boxes, others) >= settings.new_clipped))
        new = np.ones(len(fresh), np.bool_)
        for place, row in enumerate(order.tolist()):
            before = np.concatenate([np.ones(len(taken), np.bool_), new[order[:place]]])
            new[row] = not (clash[row, : len(before)] & before).any()
        return new

    def _finish(self, source: Indices, now_ns: int, size: tuple[int, int] | None) -> TrackerStep:
        table = self._table
        now = table.observed_ns == now_ns
        boxes = table.xyxy()
        if now.all():
            alive, shown = now, table.confirmed
        else:
            alive = self._alive(table, boxes, now_ns, size)
            shown = table.confirmed & (now | self._coasting(table, boxes, now_ns))
        if not alive.all():
            self._table = table = table.take(alive)
            boxes, now, shown, source = boxes[alive], now[alive], shown[alive], source[alive]
        return TrackerStep(
            track_id=table.track_id, xyxy=boxes, velocity=table.velocity[:, :2],
            state=np.where(table.confirmed, np.where(now, _CONFIRMED, _LOST), _TENTATIVE), shown=shown,
            score=table.score, group=table.group, start_ns=table.start_ns, source=source, embedding=table.embedding,
        )  # fmt: skip

    def _alive(self, table: Table, boxes: Array, now_ns: int, size: tuple[int, int] | None) -> Mask:
        """Tracks that go on: detected now, or without a detection for a short while and inside the picture."""
        now = table.observed_ns == now_ns
        unobserved = (now_ns - table.observed_ns) / _NS
        alive = now | table.confirmed | (unobserved <= self.settings.tentative_s)
        if size is not None:
            picture = np.array([[0.0, 0.0, size[0], size[1]]])
            alive &= now | (inside(boxes, picture)[:, 0] >= 0.5)
        return np.asarray(alive, np.bool_)

    def _coasting(self, table: Table, boxes: Array, now_ns: int) -> Mask:
        """Tracks that are shown at their predicted place although they weren't detected now."""
        settings, observed_now = self.settings, table.confirmed & (table.observed_ns == now_ns)
        limit = np.full(len(table), settings.coast_s)
        if observed_now.any():
            hidden = inside(boxes, boxes[observed_now]).max(axis=1) >= settings.hidden_share
            limit[hidden] = max(settings.hidden_s, settings.coast_s)
        limit = np.minimum(limit, settings.coast_share * (table.observed_ns - table.start_ns) / _NS)
        limit = np.minimum(limit, self._reliability.horizon_s)
        unobserved = (now_ns - table.observed_ns) / _NS
        showing = (unobserved <= limit) & ((unobserved <= settings.brief_s) | self._reliability.steady(table.track_id))
        # an object clipped by the side of the picture has mostly left it
        if self._sides is not None:
            showing &= (boxes[:, 0] >= self._sides[0] + _EDGE_PX) & (boxes[:, 2] <= self._sides[1] - _EDGE_PX)
        return np.asarray(showing, np.bool_)

    def _retain(self, alive: Mask) -> None:
        if not alive.all():
            self._table = self._table.take(alive)
