"""Faces of successive frames joined to tracks: by overlap, unless their embeddings show another person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc import Faces
from streamproc.geometry import iou
from streamproc_plugins.one_euro import OneEuro, one_euro
from streamproc_plugins.packing import pack, unpack

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


_RIVAL = 0.3
"""a face that is so much more like another track, or a track that is so much more like another face, isn't a match"""
_TREMBLE = 0.15
"""how far a box jumps without a movement, in widths"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceTrackerSettings:
    """Limits for two faces of one track; times in nanoseconds of media time."""

    least_iou: float
    least_cosine: float
    most_speed: float
    """of a face's centre, in widths of the face a second; its size may change by as much"""
    lost_ns: int
    smooth: OneEuro | None


@dataclass(slots=True, kw_only=True, eq=False)
class FaceTrack:
    """One face over time."""

    track_id: int
    start_ns: int
    observed_ns: int
    xyxy: F32
    landmarks: F64
    """(5, 2), smoothed"""
    speed: F64
    """(5, 2), pixels a second"""
    total: F64
    """(D,): sum of the embeddings"""
    looked_ns: int
    """when it last had an embedding, or began"""
    looks: int = 0

    @property
    def template(self) -> F32:
        """(D,) of unit length, or zeros."""
        return np.asarray(self.total / max(float(np.linalg.norm(self.total)), 1e-12), np.float32)


class FaceTracker:
    """All face tracks of one stream."""

    def __init__(self, settings: FaceTrackerSettings) -> None:
        self._settings = settings
        self._tracks: list[FaceTrack] = []
        self._next = 1

    def step(self, now_ns: int, faces: Faces) -> list[FaceTrack]:
        """The track of each face, in their order; tracks without a face for too long are forgotten."""
        self.forget(now_ns)
        chosen = self._match(now_ns, faces)
        out = []
        for row in range(len(faces.xyxy)):
            track = chosen.get(row)
            if track is None:
                track = self._begin(now_ns, faces, row)
            else:
                self._continue(track, now_ns, faces, row)
            embedding = None if faces.embeddings is None else faces.embeddings[row]
            if embedding is not None and embedding.any():
                track.total = track.total + embedding
                track.looks += 1
                track.looked_ns = now_ns
            out.append(track)
        return out

    def forget(self, now_ns: int) -> None:
        """Forget tracks without a face for too long."""
        self._tracks = [track for track in self._tracks if now_ns - track.observed_ns <= self._settings.lost_ns]

    def forget_before(self, shot_ns: int) -> None:
        """Forget tracks that began before this camera shot: no face spans a cut."""
        self._tracks = [track for track in self._tracks if track.start_ns >= shot_ns]

    def _match(self, now_ns: int, faces: Faces) -> dict[int, FaceTrack]:
        """Tracks by the row that continues them: the best overlaps first, each track and each face once."""
        if not self._tracks or not len(faces.xyxy):
            return {}
        overlap = iou(np.stack([track.xyxy for track in self._tracks]), faces.xyxy).astype(np.float64)
        overlap[~(self._alike(faces) & self._reachable(now_ns, faces))] = 0
        chosen: dict[int, FaceTrack] = {}
        for flat in np.argsort(-overlap, axis=None, kind="stable"):
            place, row = divmod(int(flat), overlap.shape[1])
            if overlap[place, row] < self._settings.least_iou:
                break
            if row not in chosen and not any(self._tracks[place] is taken for taken in chosen.values()):
                chosen[row] = self._tracks[place]
        return chosen

    def _reachable(self, now_ns: int, faces: Faces) -> NDArray[np.bool_]:
        """Pairs of track and face within the reach of its speed, bool (T, N): a cut makes faces jump."""
        boxes = np.stack([track.xyxy for track in self._tracks]).astype(np.float64)
        passed_s = (now_ns - np.array([track.observed_ns for track in self._tracks]))[:, None] / 1e9
        room = _TREMBLE + self._settings.most_speed * passed_s
        sizes = boxes[:, None, 2:] - boxes[:, None, :2], faces.xyxy[None, :, 2:] - faces.xyxy[None, :, :2]
        way = (boxes[:, None, :2] + boxes[:, None, 2:] - faces.xyxy[None, :, :2] - faces.xyxy[None, :, 2:]) / 2
        far = np.hypot(way[..., 0], way[..., 1]) / np.maximum(np.minimum(*sizes).min(axis=2), 1)
        grown = np.abs(np.log(np.maximum(sizes[0], 1) / np.maximum(sizes[1], 1))).max(axis=2)
        return np.asarray((far <= room) & (grown <= room))

    def _alike(self, faces: Faces) -> NDArray[np.bool_]:
        """Possible pairs of track and face, bool (T, N): a cut can put another person in the same place."""
        if faces.embeddings is None:
            return np.ones((len(self._tracks), len(faces.xyxy)), np.bool_)
        templates = np.stack([_fitted(track.template, faces.embeddings.shape[1]) for track in self._tracks])
        has_none = np.logical_not(templates.any(axis=1)), np.logical_not(faces.embeddings.any(axis=1))
        unknown = np.logical_or.outer(*has_none)
        cosine = np.where(unknown, -1.0, templates @ faces.embeddings.T)
        # two people cross: each is more like the other's new place than like the own one
        rival = np.maximum(_best_other(cosine), _best_other(cosine.T).T)
        alike = (cosine >= self._settings.least_cosine) & (rival - cosine <= _RIVAL)
        return np.asarray(unknown | alike)

    def _begin(self, now_ns: int, faces: Faces, row: int) -> FaceTrack:
        width = 0 if faces.embeddings is None else faces.embeddings.shape[1]
        track = FaceTrack(
            track_id=self._next,
            start_ns=now_ns,
            observed_ns=now_ns,
            xyxy=faces.xyxy[row],
            landmarks=faces.landmarks[row].astype(np.float64),
            speed=np.zeros((5, 2)),
            total=np.zeros(width),
            looked_ns=now_ns,
        )
        self._next += 1
        self._tracks.append(track)
        return track

    def _continue(self, track: FaceTrack, now_ns: int, faces: Faces, row: int) -> None:
        raw, smooth = faces.landmarks[row].astype(np.float64), self._settings.smooth
        dt_s = (now_ns - track.observed_ns) / 1e9
        if smooth is None or dt_s <= 0:
            track.landmarks = raw
        else:
            unit = max(float(faces.xyxy[row, 2] - faces.xyxy[row, 0]), 1.0)
            track.landmarks, track.speed = one_euro(raw, track.landmarks, track.speed, dt_s, unit, smooth)
        track.xyxy, track.observed_ns = faces.xyxy[row], now_ns

    def state(self) -> dict[str, Any]:
        """JSON values for `restore`."""
        return {"next": self._next, "tracks": [_written(track) for track in self._tracks]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self._next = state["next"]
        self._tracks = [_read(track) for track in state["tracks"]]


_ARRAYS = ("xyxy", "landmarks", "speed", "total")
_NUMBERS = ("track_id", "start_ns", "observed_ns", "looked_ns", "looks")


def _written(track: FaceTrack) -> dict[str, Any]:
    numbers = {name: getattr(track, name) for name in _NUMBERS}
    return {**numbers, **{name: pack(getattr(track, name)) for name in _ARRAYS}}


def _read(state: Mapping[str, Any]) -> FaceTrack:
    return FaceTrack(**{**state, **{name: unpack(state[name]) for name in _ARRAYS}})


def _best_other(values: NDArray[Any]) -> NDArray[Any]:
    """The largest other entry in the row of each entry of (R, C); -1 where it is alone."""
    if values.shape[1] < 2:
        return np.full(values.shape, -1.0)
    second, first = np.partition(values, -2, axis=1)[:, -2:].T
    return np.asarray(np.where(values == first[:, None], second[:, None], first[:, None]))


def _fitted(template: F32, width: int) -> F32:
    """Zeros in place of a template of other embeddings: it says nothing."""
    return template if len(template) == width else np.zeros(width, np.float32)
