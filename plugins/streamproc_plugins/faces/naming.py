"""Who is there: matches of face tracks made episodes, with patience in media time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamingSettings:
    """How sure it must be; times in nanoseconds of media time."""

    threshold: float
    margin: float
    looks: int
    unknown_ns: int
    absent_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One face track at a moment."""

    track_id: int
    looks: int
    age_ns: int
    scores: F32
    """(P,): cosine to each known person"""
    score: float = 1.0
    """of the detection"""


@dataclass(slots=True, kw_only=True)
class Visit:
    """Somebody who is there."""

    key: str
    name: str
    """empty: unknown"""
    start_ns: int
    seen_ns: int
    best: float
    """highest cosine so far; for unknown people to the nearest known person"""
    track_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What there is to tell of a visit."""

    phase: Literal["start", "end"]
    visit: Visit


class Naming:
    """All people of one stream."""

    def __init__(self, names: Sequence[str], settings: NamingSettings) -> None:
        self._names = tuple(names)
        self._settings = settings
        self._visits: dict[str, Visit] = {}
        self._named: dict[int, str] = {}
        self._tracks_seen_ns: dict[int, int] = {}

    def see(self, now_ns: int, index: int, faces: Sequence[Seen]) -> tuple[list[str], list[Told]]:
        """The name of each face (empty: not known), and what there is to tell. index: of the frame, to name visits."""
        told = self.lose(now_ns)
        names = self._assign(faces)
        for face, name in zip(faces, names, strict=True):
            self._tracks_seen_ns[face.track_id] = now_ns
            told += self._attend(now_ns, index, face, name)
        return names, told

    def lose(self, now_ns: int) -> list[Told]:
        """Visits of people who weren't seen for too long end where they were last seen."""
        return self._end(
            [key for key, v in self._visits.items() if now_ns - v.seen_ns > self._settings.absent_ns], now_ns
        )

    def finish(self) -> list[Told]:
        """Everybody's visit ends where they were last seen."""
        return self._end(list(self._visits), None)

    def _end(self, keys: Sequence[str], now_ns: int | None) -> list[Told]:
        ended = [Told(phase="end", visit=self._visits.pop(key)) for key in keys]
        gone = [t for t, at in self._tracks_seen_ns.items() if now_ns is None or now_ns - at > self._settings.absent_ns]
        for track_id in gone:
            del self._tracks_seen_ns[track_id]
            self._named.pop(track_id, None)
        return ended

    def _assign(self, faces: Sequence[Seen]) -> list[str]:
        """Names, each at most once: the surest first. Who was named keeps the name unless another is clearly surer."""
        wishes = []
        for row, face in enumerate(faces):
            before = self._named.get(face.track_id)
            place = self._best(face, before)
            if place is None:
                continue
            wishes.append((-float(face.scores[place]), row, self._names[place]))
        names, taken = [""] * len(faces), set()
        for _, row, name in sorted(wishes):
            if name not in taken:
                names[row] = name
                taken.add(name)
                self._named[faces[row].track_id] = name
        return names

    def _best(self, face: Seen, before: str | None) -> int | None:
        if not len(face.scores) or face.looks < self._settings.looks:
            return None
        order = np.argsort(-face.scores, kind="stable")
        first = int(order[0])
        second = float(face.scores[order[1]]) if len(order) > 1 else -1.0
        sure = float(face.scores[first]) >= self._settings.threshold
        if sure and float(face.scores[first]) - second >= self._settings.margin:
            return first
        return self._names.index(before) if before is not None else None

    def _attend(self, now_ns: int, index: int, face: Seen, name: str) -> list[Told]:
        best = float(face.scores.max(initial=-1))
        unknown = f"track {face.track_id}"
        told: list[Told] = []
        if name:
            if unknown in self._visits:
                told.append(Told(phase="end", visit=self._visits.pop(unknown)))
            best = float(face.scores[self._names.index(name)])
            return [*told, *self._visit(name, name, now_ns, index, face, best)]
        if face.track_id in self._named:
            return []  # somebody else in the picture is more like that person at the moment
        if face.age_ns >= self._settings.unknown_ns and face.looks >= self._settings.looks:
            return self._visit(unknown, "", now_ns, index, face, best)
        return []

    def _visit(self, key: str, name: str, now_ns: int, index: int, face: Seen, best: float) -> list[Told]:
        visit = self._visits.get(key)
        if visit is not None:
            visit.seen_ns, visit.track_id, visit.best = now_ns, face.track_id, max(visit.best, best)
            return []
        visit = Visit(
            key=f"{name or unknown_key(face.track_id)}/{index}",
            name=name,
            start_ns=now_ns - face.age_ns,
            seen_ns=now_ns,
            best=best,
            track_id=face.track_id,
        )
        self._visits[key] = visit
        return [Told(phase="start", visit=visit)]

    def state(self) -> dict[str, Any]:
        """JSON values for `restore`."""
        return {
            "visits": {key: asdict(visit) for key, visit in self._visits.items()},
            "named": [[track_id, name] for track_id, name in self._named.items()],
            "tracks": [[track_id, at] for track_id, at in self._tracks_seen_ns.items()],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`; names that have left the gallery since are forgotten."""
        visits = {key: Visit(**visit) for key, visit in state["visits"].items()}
        self._visits = visits
        self._named = {track_id: name for track_id, name in state["named"] if name in self._names}
        self._tracks_seen_ns = dict(state["tracks"])


def unknown_key(track_id: int) -> str:
    """How episodes of somebody unknown are called."""
    return f"unknown {track_id}"
