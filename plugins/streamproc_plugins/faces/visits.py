"""Appearances of people: one episode from the first face to the last, over short absences, in media time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from streamproc import Episode, Event, Frame


@dataclass(slots=True, kw_only=True)
class FaceVisit:
    """A person who is present."""

    episode: Episode
    observed_ns: int
    best: float
    """highest cosine so far"""
    track_id: int
    """the latest face track"""
    about: dict[str, Any] = field(default_factory=dict)
    """event data about the person, or the reason for no id"""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitChange:
    """A visit that begins or ends."""

    phase: Literal["start", "end"]
    visit: FaceVisit


class Visits:
    """All people present in one stream; an absence of more than `absent_ns` ends a visit."""

    def __init__(self, absent_ns: int) -> None:
        self._absent_ns = absent_ns
        self._open: dict[str, FaceVisit] = {}

    def observe(self, key: str, visit: FaceVisit) -> list[VisitChange]:
        """Begin `visit`, or extend the open one with this key by its time and score."""
        going_on = self._open.get(key)
        if going_on is not None:
            going_on.observed_ns, going_on.track_id = visit.observed_ns, visit.track_id
            going_on.best = max(going_on.best, visit.best)
            return []
        self._open[key] = visit
        return [VisitChange(phase="start", visit=visit)]

    def end(self, key: str) -> list[VisitChange]:
        """End the visit now, at its last face, if it is open."""
        return [VisitChange(phase="end", visit=self._open.pop(key))] if key in self._open else []

    def lose(self, now_ns: int) -> list[VisitChange]:
        """End the visits of people without a face for too long."""
        gone = [key for key, visit in self._open.items() if now_ns - visit.observed_ns > self._absent_ns]
        return [change for key in gone for change in self.end(key)]

    def finish(self) -> list[VisitChange]:
        """End all visits."""
        return [change for key in list(self._open) for change in self.end(key)]

    def state(self) -> dict[str, Any]:
        """JSON values for `restore`."""
        return {key: asdict(visit) for key, visit in self._open.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self._open = {key: FaceVisit(**{**one, "episode": Episode(**one["episode"])}) for key, one in state.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two face tracks in view that are like one person."""

    retained: int
    """the one that is taken for this person"""
    other: int
    score: float
    """cosine of the other one with this person"""


def conflict_event(frame: Frame, subject: Mapping[str, Any], pair: Pair) -> Event:
    """The event that says so."""
    score = float(np.clip(pair.score, 0, 1))
    return Event.instant(
        frame, "face.conflict", score=score, **subject, track_id=pair.retained, other_track_id=pair.other
    )


def events_of(changes: Iterable[VisitChange], boxes: Mapping[int, list[float]]) -> Iterator[Event]:
    """The events of visits that begin or end. boxes: of the tracks in this frame."""
    for change in changes:
        visit, episode = change.visit, change.visit.episode
        score, data = float(np.clip(visit.best, 0, 1)), {"track_id": visit.track_id, **visit.about}
        if change.phase == "end":
            yield episode.end(visit.observed_ns, score=score, **data, duration_s=episode.lasted_s(visit.observed_ns))
        else:
            box = {"box": boxes[visit.track_id]} if visit.track_id in boxes else {}
            yield episode.start(visit.observed_ns, score=score, **data, **box)
