"""The `face_names` plugin: names of known people for face tracks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streamproc import (
    Duration,
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
from streamproc_plugins.faces.gallery import Gallery
from streamproc_plugins.faces.naming import FaceObservation, Naming, NamingSettings
from streamproc_plugins.faces.operating import declared_strangers, gallery_threshold
from streamproc_plugins.faces.options import Share
from streamproc_plugins.faces.results import FaceTracks, NamedFaces, with_names
from streamproc_plugins.faces.visits import conflict_event, events_of


class FaceNamesOptions(Options):
    """The people to look for, and how sure a name must be; all times are media time."""

    gallery: str = Field("gallery.db", min_length=1, description="file that `streamproc faces add` wrote")
    strangers_named: Share = Field(
        0.01, description="share of strangers who may get a known person's name, such as 1%; sets `threshold`"
    )
    threshold: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="least cosine to a person; by default it follows `strangers_named`, the gallery's size and how "
        "alike its people are",
    )
    margin: float = Field(0.05, ge=0, lt=1, description="how much more like that person than like the next one")
    min_looks: int = Field(3, ge=1, le=1000, description="good faces of a track before it is decided on")
    hold: Duration = Field(
        seconds(0.5), ge=0, description="a face that is too poor for an embedding keeps its name so long"
    )
    unknown_after: Duration = Field(
        seconds(1), ge=0, description="a face without a match for so long is reported as unknown"
    )
    absent_after: Duration = Field(seconds(2), ge=0, description="a shorter absence stays within the same event")


class FaceNames(StreamPlugin[FaceNamesOptions]):
    """Recognises people of a gallery: `face.recognised` and `face.unknown`, one event with start and end an appearance.

    `face.conflict` says that two faces in view are like one person; the name stands on the surer one.
    A track is compared by the mean of all its good faces. Gives `NamedFaces`. The gallery is read when the
    stream opens.
    """

    state_version = 2
    needs = (FaceTracks,)
    gives = (NamedFaces,)

    def open(self, context: PluginContext) -> None:
        """Read the gallery. Raises `PluginError` where there is none."""
        options = self.options
        self._known = Gallery(Path(options.gallery)).known()
        threshold = options.threshold
        if threshold is None:
            spread = declared_strangers(context.models, self._known.model)
            threshold = gallery_threshold(self._known.vectors, self._known.owner, spread, options.strangers_named)
            context.log.info(
                "threshold %.3f for %d people and %.2g%% of strangers named",
                threshold,
                len(self._known.names),
                100 * options.strangers_named,
            )
        self._naming = Naming(
            self._known.names,
            NamingSettings(
                threshold=threshold,
                margin=options.margin,
                looks=options.min_looks,
                hold_ns=options.hold,
                unknown_ns=options.unknown_after,
                absent_ns=options.absent_after,
            ),
        )

    def process(self, frame: Frame, past: Results) -> Output:
        """One `NamedFaces`, and the events of people who appear or leave."""
        faces = past[FaceTracks]
        names, changes = self._naming.observe(frame.pts_ns, frame.index, self._observations(faces))
        named = with_names(NamedFaces, faces, names)
        boxes = dict(zip(faces.track_id.tolist(), faces.xyxy.tolist(), strict=True))
        conflicts = [conflict_event(frame, {"name": name}, pair) for name, pair in self._naming.conflicts]
        return [named, *conflicts, *events_of(changes, boxes)]

    def on_time(self, moment: Moment, reason: TimeReason) -> Output:
        """End the visits of people without a face for too long."""
        return list(events_of(self._naming.lose(moment.pts_ns), {}))

    def flush(self, moment: Moment) -> Output:
        """End all visits."""
        return list(events_of(self._naming.finish(), {}))

    def state(self) -> dict[str, Any]:
        """Open visits as JSON values."""
        return {"naming": self._naming.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on exactly, if the gallery is the same."""
        self._naming.restore(state["naming"])

    def _observations(self, faces: FaceTracks) -> list[FaceObservation]:
        if not len(faces.xyxy):
            return []
        if faces.templates is None:
            raise PluginError("the faces have no embeddings; set `embedding` of the plugin `faces`, such as sface")
        if faces.templates.shape[1] != self._known.vectors.shape[1]:
            raise PluginError(
                f"the faces have embeddings of {faces.templates.shape[1]} values, the gallery has "
                f"{self._known.vectors.shape[1]} ({self._known.model}); use that net in `faces`"
            )
        scores = self._known.scores(faces.templates)
        numbers = (faces.track_id, faces.looks, faces.age_ns, faces.unsure_ns)
        columns = zip(*(column.tolist() for column in numbers), scores, strict=True)
        return [
            FaceObservation(track_id=t, looks=n, age_ns=age, unsure_ns=u, scores=row) for t, n, age, u, row in columns
        ]
