"""Appearances of people: one episode from the first sight to the last, over short absences, in media time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from streamproc import Event, Frame, Moment


@dataclass(slots=True, kw_only=True)
class Visit:
    """Somebody who is there."""

    key: str
    """names the episode in events"""
    who: str
    """a name or a cluster; empty: unknown"""
    start_ns: int
    seen_ns: int
    best: float
    """highest cosine so far"""
    track_id: int
    """the face track seen last"""
    reason: str = ""
    """why nobody can be told by this face"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What there is to tell of a visit."""

    phase: Literal["start", "end"]
    visit: Visit


class Visits:
    """Everybody who is there in one stream; whoever is away for longer than `absent_ns` has gone."""

    def __init__(self, absent_ns: int) -> None:
        self._absent_ns = absent_ns
        self._open: dict[str, Visit] = {}

    def see(self, key: str, visit: Visit) -> list[Told]:
        """Somebody is there: `visit` begins unless one with this key is open, which goes on with its time and score."""
        going_on = self._open.get(key)
        if going_on is not None:
            going_on.seen_ns, going_on.track_id = visit.seen_ns, visit.track_id
            going_on.best = max(going_on.best, visit.best)
            return []
        self._open[key] = visit
        return [Told(phase="start", visit=visit)]

    def end(self, key: str) -> list[Told]:
        """The visit ends now where it was last seen, if it is open."""
        return [Told(phase="end", visit=self._open.pop(key))] if key in self._open else []

    def lose(self, now_ns: int) -> list[Told]:
        """Who wasn't seen for too long has gone."""
        gone = [key for key, visit in self._open.items() if now_ns - visit.seen_ns > self._absent_ns]
        return [told for key in gone for told in self.end(key)]

    def finish(self) -> list[Told]:
        """Everybody has gone."""
        return [told for key in list(self._open) for told in self.end(key)]

    def state(self) -> dict[str, Any]:
        """JSON values for `restore`."""
        return {key: asdict(visit) for key, visit in self._open.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self._open = {key: Visit(**visit) for key, visit in state.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two face tracks in view that are like one person."""

    kept: int
    """the one that is taken for this person"""
    other: int
    score: float
    """cosine of the other one with this person"""


def conflict_event(frame: Frame, who: Mapping[str, Any], pair: Pair) -> Event:
    """The event that says so."""
    score = float(np.clip(pair.score, 0, 1))
    return Event.instant(frame, "face.conflict", score=score, **who, track_id=pair.kept, other_track_id=pair.other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How visits become events."""

    type_of: Callable[[Visit], str]
    data_of: Callable[[Visit], Mapping[str, Any]]


def events_of(
    told: Iterable[Told], moment: Moment, boxes: Mapping[int, list[float]], utc_offset_ns: int | None, words: Words
) -> Iterator[Event]:
    """The events of what there is to tell. boxes: of the tracks in this frame. utc_offset_ns: UTC less media time."""
    for item in told:
        visit, ended = item.visit, item.phase == "end"
        data: dict[str, Any] = {"track_id": visit.track_id, **words.data_of(visit)}
        if visit.reason:
            data["reason"] = visit.reason
        if ended:
            data["duration_s"] = (visit.seen_ns - visit.start_ns) / 1e9
        elif visit.track_id in boxes:
            data["box"] = boxes[visit.track_id]
        yield Event(
            type=words.type_of(visit),
            phase=item.phase,
            start_ns=visit.start_ns,
            end_ns=visit.seen_ns if ended else None,
            frame_index=moment.frame_index,
            pts_ns=moment.pts_ns,
            captured_ns=None if utc_offset_ns is None else visit.start_ns + utc_offset_ns,
            episode=visit.key,
            score=float(np.clip(visit.best, 0, 1)),
            subject=visit.who,
            data=data,
        )
