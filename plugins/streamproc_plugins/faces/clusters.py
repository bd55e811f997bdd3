"""The `face_clusters` plugin: face tracks of unknown people to ids that stay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from pydantic import field_validator

from streamproc import (
    Duration,
    Episode,
    Event,
    Field,
    Frame,
    Moment,
    Options,
    Output,
    PluginContext,
    PluginError,
    Results,
    StreamPlugin,
    TimeReason,
    seconds,
)
from streamproc_plugins.faces.operating import UNDECLARED, spread_of, threshold_for
from streamproc_plugins.faces.options import Share
from streamproc_plugins.faces.people import People
from streamproc_plugins.faces.refusals import Refusals, observe_refused, visit_key
from streamproc_plugins.faces.results import FaceClusters, FaceTracks, NamedFaces, with_names
from streamproc_plugins.faces.visits import FaceVisit, VisitChange, Visits, conflict_event, events_of
from streamproc_plugins.storage import checked_folder, folder_of

_TRACK_NS = 60_000_000_000
"""time after a track's last face for which its person is remembered; ids of tracks aren't used twice"""
_EXPIRIES = 500
"""number of searches for expired vectors within `expire_after`"""


class FaceClustersOptions(Options):
    """Likeness of two faces of one person, and place and age of the stored embeddings."""

    folder: str | None = Field(
        None, description="folder that stores the ids over runs; left out: in memory. {stream} is the stream's name"
    )
    strangers_joined: Share = Field(
        0.01, description="share of new people who may be taken for a known person; sets both thresholds"
    )
    threshold: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="least cosine at which a face belongs to a known person; by default it follows "
        "`strangers_joined` and the number of people",
    )
    merge_threshold: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="least cosine at which two ids turn out to be one person, from better faces; by default for a "
        "tenth of `strangers_joined`",
    )
    min_looks: int = Field(3, ge=1, le=1000, description="good faces of a track before it is decided on")
    hold: Duration = Field(
        seconds(0.5), ge=0, description="a face that is too poor for an embedding keeps its id so long"
    )
    refused_after: Duration = Field(
        seconds(1),
        ge=0,
        description="a face that stays too poor for an embedding for so long is reported, with the reason; one that "
        "goes before is reported when it has gone",
    )
    absent_after: Duration = Field(seconds(2), ge=0, description="a shorter absence stays within the same event")
    expire_after: Duration = Field(
        seconds(30 * 86400),
        ge=0,
        description="embeddings that are older are deleted, by time of capture (where it isn't known they stay); "
        "0s: never",
    )

    @field_validator("folder")
    @classmethod
    def _check_folder(cls, folder: str | None) -> str | None:
        return None if folder is None else checked_folder(folder)


class FaceClustersPlugin(StreamPlugin[FaceClustersOptions]):
    """Gives unknown people lasting ids: `face.seen` once an appearance, `face.merged` where two were one.

    A face that is too poor for an embedding gives `face.seen` without an id and with the reason. `face.conflict` says
    that two faces in view are like one person.

    Gives `FaceClusters`. Where `face_names` stands before, people with a name keep it and get no id. The same input
    gives the same ids, if the folder held the same before.
    """

    state_version = 2
    needs = (FaceTracks,)
    uses = (NamedFaces,)
    gives = (FaceClusters,)
    writes = ("folder",)

    def open(self, context: PluginContext) -> None:
        """Check the options; the first face sets the length of the embeddings and opens the folder."""
        folder = self.options.folder
        self._folder = None if folder is None else folder_of(folder, context.stream.name)
        self._people: People | None = None
        self._restored: Mapping[str, Any] | None = None
        self._visits = Visits(self.options.absent_after)
        self._refusals = Refusals(self.options.min_looks, self.options.refused_after, self.options.absent_after)
        self._strangers = UNDECLARED
        self._expired_ns: int | None = None

    def process(self, frame: Frame, past: Results) -> Output:
        """One `FaceClusters`, and the events of people who appear or leave."""
        faces, named = past[FaceTracks], past.get(NamedFaces)
        names = ("",) * len(faces.xyxy) if named is None or named.cluster is None else named.cluster
        changes, events = self._lose(frame.pts_ns), []
        labels = list(names)
        for row in self._meeting(frame.pts_ns, faces, [row for row, name in enumerate(names) if not name]):
            labels[row], begun, merges = self._attend(frame, faces, row)
            changes += begun
            events += merges
        if self._people is not None:
            self._people.remember_company(faces.track_id.tolist())
        changes = [*self._refuse(frame, faces, labels), *changes]
        events += self._conflicts(frame)
        boxes = dict(zip(faces.track_id.tolist(), faces.xyxy.tolist(), strict=True))
        self._clean(frame)
        return [with_names(FaceClusters, faces, labels), *events, *events_of(changes, boxes)]

    def on_time(self, moment: Moment, reason: TimeReason) -> Output:
        """End the visits of people without a face for too long."""
        return list(events_of(self._lose(moment.pts_ns), {}))

    def flush(self, moment: Moment) -> Output:
        """End all visits."""
        return list(events_of([*self._refusals.lose(None), *self._visits.finish()], {}))

    def close(self) -> None:
        """Release the folder."""
        people, self._people = getattr(self, "_people", None), None
        if people is not None:
            people.close()

    def _lose(self, now_ns: int) -> list[VisitChange]:
        return [*self._refusals.lose(now_ns), *self._visits.lose(now_ns)]

    def _refuse(self, frame: Frame, faces: FaceTracks, labels: list[str]) -> list[VisitChange]:
        """Visits of faces that are too poor for an id; a visit ends where the face gets an id."""
        changes: list[VisitChange] = []
        nobody = []
        for row, label in enumerate(labels):
            track_id = int(faces.track_id[row])
            if label or (self._people is not None and self._people.person_of(track_id) is not None):
                self._refusals.drop(track_id)
                changes += self._visits.end(visit_key(track_id))
            else:
                nobody.append(row)
        return changes + observe_refused(self._visits, self._refusals.observe(frame.pts_ns, frame.index, faces, nobody))

    def _conflicts(self, frame: Frame) -> list[Event]:
        found = {} if self._people is None else {(person, pair.other): pair for person, pair in self._people.conflicts}
        return [conflict_event(frame, {"cluster": label_of(person)}, pair) for (person, _), pair in found.items()]

    def _meeting(self, now_ns: int, faces: FaceTracks, rows: list[int]) -> list[int]:
        """The rows in the order of assignment: known people, then new ones, the most alike first.

        Two faces in one frame are two people, so the first one gets the id (a cannot-link constraint: Wagstaff et
        al., Constrained K-means Clustering, ICML 2001).
        """
        if faces.templates is None or not len(faces.xyxy):
            return rows
        self._strangers = spread_of(faces.strangers)
        people = self._opened(faces.templates.shape[1])
        # also those with a name: no other face is the person they were before
        people.meet(faces.track_id.tolist(), now_ns)
        new = [row for row in rows if people.person_of(int(faces.track_id[row])) is None and self._sure(faces, row)]
        if len(new) < 2:
            return [*(row for row in rows if row not in new), *new]
        likeness = {row: people.likeness(faces.templates[row], int(faces.track_id[row])) for row in new}
        return [*(row for row in rows if row not in new), *sorted(new, key=lambda row: (-likeness[row], row))]

    def _sure(self, faces: FaceTracks, row: int) -> bool:
        return int(faces.looks[row]) >= self.options.min_looks and faces.unsure_ns[row] <= self.options.hold

    def _attend(self, frame: Frame, faces: FaceTracks, row: int) -> tuple[str, list[VisitChange], list[Event]]:
        """The label of a face that has no name, visits that begin, merges."""
        if faces.templates is None:
            raise PluginError("the faces have no embeddings; set `embedding` of the plugin `faces`, such as sface")
        track_id, looks = int(faces.track_id[row]), int(faces.looks[row])
        if not self._sure(faces, row):
            return "", [], []
        people = self._opened(faces.templates.shape[1])
        merged = people.look(frame.pts_ns, self._time_of(frame), track_id, looks, faces.templates[row])
        changes: list[VisitChange] = []
        events: list[Event] = []
        if merged is not None:
            changes += self._visits.end(str(merged.gone))
            data = {"cluster": label_of(merged.retained), "gone": label_of(merged.gone)}
            events.append(Event.instant(frame, "face.merged", score=float(np.clip(merged.score, 0, 1)), **data))
        person = people.person_of(track_id)
        assert person is not None
        subject, start_ns = label_of(person), frame.pts_ns - int(faces.age_ns[row])
        visit = FaceVisit(
            episode=Episode(type="face.seen", key=f"{subject}/{frame.index}", start_ns=start_ns, subject=subject),
            observed_ns=frame.pts_ns,
            best=people.score_of(track_id),
            track_id=track_id,
            about={"cluster": subject},
        )
        return subject, [*changes, *self._visits.observe(str(person), visit)], events

    def _opened(self, dim: int) -> People:
        if self._people is None:
            options = self.options
            self._people = People(
                self._folder,
                dim,
                self._least(1) if options.threshold is None else options.threshold,
                self._least(0.1) if options.merge_threshold is None else options.merge_threshold,
            )
            if self._restored is not None:
                self._people.restore(self._restored)
                self._restored = None
        if self._people.index.dim != dim:
            raise PluginError(f"the faces have embeddings of {dim} values, those before had {self._people.index.dim}")
        return self._people

    def _least(self, part: float) -> Callable[[int], float]:
        """The threshold for so many people at a part of `strangers_joined`."""

        def least(count: int) -> float:
            spread = self._strangers if self._people is None else self._people.spread(self._strangers)
            return threshold_for(spread, count, part * self.options.strangers_joined)

        return least

    @staticmethod
    def _time_of(frame: Frame) -> int:
        return frame.pts_ns if frame.captured_ns is None else frame.captured_ns

    def _clean(self, frame: Frame) -> None:
        """Now and then: delete what is too old, forget tracks that have ended."""
        age_ns, now_ns = self.options.expire_after, self._time_of(frame)
        if self._people is None:
            return
        if self._expired_ns is None or abs(now_ns - self._expired_ns) >= max(age_ns // _EXPIRIES, 1_000_000_000):
            self._expired_ns = now_ns
            self._people.forget_tracks(frame.pts_ns - _TRACK_NS)
            if age_ns and frame.captured_ns is not None:
                self._people.expire(now_ns - age_ns)

    def state(self) -> dict[str, Any]:
        """Visits and people as JSON values; with a folder only the position in it."""
        people = self._restored if self._people is None else self._people.state()
        return {
            "people": people,
            "dim": None if self._people is None else self._people.index.dim,
            "visits": self._visits.state(),
            "refusals": self._refusals.state(),
            "strangers": [self._strangers.mean, self._strangers.sd],
            "expired_ns": self._expired_ns,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on exactly. Rows that the folder got after the state are removed: their faces follow again."""
        self._restored = state["people"]
        if state["dim"] is not None:
            self._opened(state["dim"])
        self._visits.restore(state["visits"])
        self._refusals.restore(state["refusals"])
        self._strangers = spread_of((state["strangers"][0], state["strangers"][1]))
        self._expired_ns = state["expired_ns"]


def label_of(person: int) -> str:
    """The label of an unknown person."""
    return f"person {person}"
