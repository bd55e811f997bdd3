"""Faces too poor for an id: followed all the same, with the reason why they got no embedding."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from streamproc import Episode
from streamproc_plugins.faces.results import FaceTracks
from streamproc_plugins.faces.visits import FaceVisit, VisitChange, Visits


@dataclass(slots=True, kw_only=True)
class Refused:
    """A face track that was refused so far."""

    start_ns: int
    observed_ns: int
    looks: int
    """faces of it that the quality gate refused"""
    reason: str
    """why, of the last of them"""
    score: float
    """of the detection"""
    index: int
    """of the frame in which it was refused first"""
    emitted: bool = False


class Refusals:
    """The refused face tracks of one stream; a track that turns out good enough is dropped."""

    def __init__(self, least_looks: int, after_ns: int, absent_ns: int) -> None:
        """least_looks: faces of a track before it counts. after_ns: age at which a visit starts while it is there."""
        self._least, self._after_ns, self._absent_ns = least_looks, after_ns, absent_ns
        self._tracks: dict[int, Refused] = {}

    def observe(self, now_ns: int, index: int, faces: FaceTracks, rows: Collection[int]) -> dict[int, FaceVisit]:
        """Visits by track of the rows without an id, once they were refused for long enough."""
        if faces.refused is None:
            return {}
        found: dict[int, FaceVisit] = {}
        for row in rows:
            track_id, reason = int(faces.track_id[row]), faces.refused[row]
            track = self._tracks.get(track_id)
            if track is None and not reason:
                continue
            if track is None:
                start_ns, score = now_ns - int(faces.age_ns[row]), float(faces.score[row])
                track = self._tracks[track_id] = Refused(
                    start_ns=start_ns, observed_ns=now_ns, looks=0, reason=reason, score=score, index=index
                )
            track.observed_ns = now_ns
            if reason:
                track.looks, track.reason = track.looks + 1, reason
            if track.looks >= self._least and now_ns - track.start_ns >= self._after_ns:
                track.emitted = True
                found[track_id] = _visit(track_id, track)
        return found

    def drop(self, track_id: int) -> None:
        """Drop a track that has an id now."""
        self._tracks.pop(track_id, None)

    def lose(self, now_ns: int | None) -> list[VisitChange]:
        """Whole visits of tracks that ended before their event; all of them where `now_ns` is None."""
        gone = [
            t for t, track in self._tracks.items() if now_ns is None or now_ns - track.observed_ns > self._absent_ns
        ]
        changes: list[VisitChange] = []
        for track_id in gone:
            track = self._tracks.pop(track_id)
            if not track.emitted and track.looks >= self._least:
                visit = _visit(track_id, track)
                changes += [VisitChange(phase="start", visit=visit), VisitChange(phase="end", visit=visit)]
        return changes

    def state(self) -> list[Any]:
        """JSON values for `restore`."""
        return [[track_id, asdict(track)] for track_id, track in self._tracks.items()]

    def restore(self, state: list[Any]) -> None:
        """Go on from `state`."""
        self._tracks = {int(track_id): Refused(**track) for track_id, track in state}


def _visit(track_id: int, track: Refused) -> FaceVisit:
    return FaceVisit(
        episode=Episode(type="face.seen", key=f"refused {track_id}/{track.index}", start_ns=track.start_ns),
        observed_ns=track.observed_ns,
        best=track.score,
        track_id=track_id,
        about={"cluster": "", "reason": track.reason},
    )


def visit_key(track_id: int) -> str:
    """Key of a refused track's visit in `Visits`."""
    return f"refused {track_id}"


def observe_refused(visits: Visits, found: Mapping[int, FaceVisit]) -> list[VisitChange]:
    """Begin or go on with the visits of refused tracks."""
    return [change for track_id, visit in found.items() for change in visits.observe(visit_key(track_id), visit)]


__all__ = ["Refusals", "observe_refused", "visit_key"]
