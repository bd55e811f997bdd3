"""Face tracks matched with known people, each name on one face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc import Episode
from streamproc_plugins.faces.visits import FaceVisit, Pair, VisitChange, Visits

F32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamingSettings:
    """Limits for a name; times in nanoseconds of media time."""

    threshold: float
    margin: float
    looks: int
    hold_ns: int
    unknown_ns: int
    absent_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceObservation:
    """One face track at a moment."""

    track_id: int
    looks: int
    age_ns: int
    unsure_ns: int
    scores: F32
    """(P,): cosine to each known person"""


class Naming:
    """All people of one stream."""

    def __init__(self, names: Sequence[str], settings: NamingSettings) -> None:
        self._names = tuple(names)
        self._settings = settings
        self._visits = Visits(settings.absent_ns)
        self._named: dict[int, str] = {}
        self._observed_ns: dict[int, int] = {}
        self._emitted: set[tuple[str, int]] = set()
        self.conflicts: list[tuple[str, Pair]] = []
        """of the last frame: names that two faces in view are like, each once for a track that doesn't get it"""

    def observe(self, now_ns: int, index: int, faces: Sequence[FaceObservation]) -> tuple[list[str], list[VisitChange]]:
        """The name of each face (empty: not known), and visits that change. index: of the frame, to name visits."""
        changes = self.lose(now_ns)
        names = self._assign(now_ns, faces)
        for face, name in zip(faces, names, strict=True):
            self._observed_ns[face.track_id] = now_ns
            changes += self._attend(now_ns, index, face, name)
        return names, changes

    def lose(self, now_ns: int) -> list[VisitChange]:
        """End the visits of people without a face for too long, at their last face."""
        for track_id in [t for t, at in self._observed_ns.items() if now_ns - at > self._settings.absent_ns]:
            del self._observed_ns[track_id]
            self._named.pop(track_id, None)
            self._emitted = {(name, other) for name, other in self._emitted if other != track_id}
        return self._visits.lose(now_ns)

    def finish(self) -> list[VisitChange]:
        """End all visits, at their last faces."""
        return self._visits.finish()

    def _assign(self, now_ns: int, faces: Sequence[FaceObservation]) -> list[str]:
        """Names, each at most once, the surest first. A named track keeps its name unless another is sure.

        A track that was in view together with the holder of a name doesn't get it while the holder turns away.
        """
        self.conflicts = []
        here = {face.track_id for face in faces}
        away = {name: t for t, name in self._named.items() if t not in here and t in self._observed_ns}
        holders: dict[str, int] = {}
        wishes = []
        for row, face in enumerate(faces):
            place = self._best(face, self._named.get(face.track_id))
            if place is not None:
                wishes.append((-float(face.scores[place]), row, self._names[place]))
        names = [""] * len(faces)
        for _, row, name in sorted(wishes):
            face = faces[row]
            elsewhere = away.get(name)
            if elsewhere is not None and self._observed_ns[elsewhere] >= now_ns - face.age_ns:
                holders.setdefault(name, elsewhere)
            if name in holders:
                self._clash(name, holders[name], face)
                continue
            holders[name] = face.track_id
            names[row] = name
            self._named = {t: known for t, known in self._named.items() if known != name}
            self._named[face.track_id] = name
        return names

    def _clash(self, name: str, retained: int, face: FaceObservation) -> None:
        if (name, face.track_id) not in self._emitted:
            self._emitted.add((name, face.track_id))
            score = float(face.scores[self._names.index(name)])
            self.conflicts.append((name, Pair(retained=retained, other=face.track_id, score=score)))

    def _best(self, face: FaceObservation, before: str | None) -> int | None:
        held = face.unsure_ns <= self._settings.hold_ns
        if not len(face.scores) or face.looks < self._settings.looks or not held:
            return None
        order = np.argsort(-face.scores, kind="stable")
        first = int(order[0])
        second = float(face.scores[order[1]]) if len(order) > 1 else -1.0
        sure = float(face.scores[first]) >= self._settings.threshold
        if sure and float(face.scores[first]) - second >= self._settings.margin:
            return first
        return self._names.index(before) if before is not None else None

    def _attend(self, now_ns: int, index: int, face: FaceObservation, name: str) -> list[VisitChange]:
        unknown = f"unknown {face.track_id}"
        best = float(face.scores[self._names.index(name)] if name else face.scores.max(initial=-1))
        visit = FaceVisit(
            episode=Episode(
                type="face.recognised" if name else "face.unknown",
                key=f"{name or unknown}/{index}",
                start_ns=now_ns - face.age_ns,
                subject=name,
            ),
            observed_ns=now_ns,
            best=best,
            track_id=face.track_id,
            about={"name": name} if name else {},
        )
        if name:
            return [*self._visits.end(unknown), *self._visits.observe(name, visit)]
        if face.track_id in self._named:
            return []  # too poor now, or another face in the picture is more like that person
        if face.age_ns >= self._settings.unknown_ns and face.looks >= self._settings.looks:
            return self._visits.observe(unknown, visit)
        return []

    def state(self) -> dict[str, Any]:
        """JSON values for `restore`."""
        return {
            "visits": self._visits.state(),
            "named": [[track_id, name] for track_id, name in self._named.items()],
            "observed": [[track_id, at] for track_id, at in self._observed_ns.items()],
            "emitted": [list(pair) for pair in sorted(self._emitted)],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`; names that have left the gallery since are forgotten."""
        self._visits.restore(state["visits"])
        self._named = {track_id: name for track_id, name in state["named"] if name in self._names}
        self._observed_ns = dict(state["observed"])
        self._emitted = {(name, track_id) for name, track_id in state["emitted"]}
