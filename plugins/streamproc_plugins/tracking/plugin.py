"""`tracking`: detections become tracks with an identity over time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streamproc import Detections, Flow, Frame, Output, Result, Results, StreamPlugin, TimeReason, Tracks
from streamproc.events import Moment
from streamproc.models import ModelStore
from streamproc_plugins.tracking.missed import Missed
from streamproc_plugins.tracking.options import TrackingOptions
from streamproc_plugins.tracking.results import CameraMotion, Embeddings
from streamproc_plugins.tracking.scale import Scale
from streamproc_plugins.tracking.table import Measurements, TrackerStep, TrackState
from streamproc_plugins.tracking.tracker import Tracker

_NO_TRACKS = Tracks.empty()
_STATE_NAMES = tuple(state.name.lower() for state in TrackState)


class Tracking(StreamPlugin[TrackingOptions]):
    """Gives `Tracks` for every processed frame: confirmed tracks with a detection, and some without as `lost`.

    Ids are positive and never used twice within a stream, also over a restart. Every age is counted in media time. All
    tracks end at a camera cut where `shots` stands before.
    """

    state_version = 2
    needs: ClassVar[tuple[type[Result | Flow], ...]] = (Detections,)
    uses: ClassVar[tuple[type[Result | Flow], ...]] = (CameraMotion, Embeddings)
    gives: ClassVar[tuple[type[Result], ...]] = (Tracks,)

    @classmethod
    def labels_given(
        cls, options: TrackingOptions, models: ModelStore, before: Collection[str] | None
    ) -> Collection[str] | None:
        """The detections to follow."""
        return options.labels or before

    @classmethod
    def labels_named(cls, options: TrackingOptions) -> Iterable[tuple[tuple[str | int, ...], str]]:
        """The labels that it follows."""
        return ((("labels", index), label) for index, label in enumerate(options.labels))

    def __init__(self, options: TrackingOptions) -> None:
        super().__init__(options)
        self._tracker = Tracker(options.settings())
        self._classes: dict[str, tuple[int, int]] = {}  # label -> (its number here, class_id)
        self._last_ns: int | None = None
        self._scale = Scale()
        self._missed = Missed()

    def process(self, frame: Frame, past: Results) -> Output:
        """The tracks as they stand at this frame."""
        measured = self._measurements(past[Detections], past.get(Embeddings))
        step = self._tracker.step(frame.pts_ns, measured, self._camera(frame, past.get(CameraMotion)), frame.size)
        self._last_ns = frame.pts_ns
        self._missed.add(past[Detections], bool(step.shown.any()))
        return [self._tracks(step, frame.pts_ns)]

    def remarks(self) -> Iterable[str]:
        """Detections that begin no track."""
        new_score = self._scale.own(np.array([self._tracker.settings.new_score]))[0]
        return self._missed.remarks(self.options.labels, float(new_score))

    def on_time(self, moment: Moment, reason: TimeReason) -> None:
        """Tracks age while nothing is processed; at a cut they all end."""
        if reason == "cut":
            self._tracker.forget()
        else:
            self._tracker.expire(moment.pts_ns)

    def state(self) -> dict[str, Any]:
        """The tracker's memory, as JSON values."""
        classes = [[label, class_id] for label, (_, class_id) in self._classes.items()]
        return {**self._tracker.state(), "classes": classes, "last_ns": self._last_ns}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on with the ids and boxes that `state` gave."""
        self._tracker.restore(state)
        self._classes = {
            str(label): (number, int(class_id)) for number, (label, class_id) in enumerate(state["classes"])
        }
        self._last_ns = state["last_ns"]

    def _measurements(self, found: Detections, looks: Embeddings | None) -> Measurements:
        values = found.embeddings if looks is None else looks.values
        if values is not None and len(values) != len(found):
            raise ValueError(
                f"{len(values)} embeddings for {len(found)} detections; under `inputs` name the same detections "
                "for appearance and tracking"
            )
        wanted = self.options.labels
        # an unwanted detection keeps its row, so that rows and embeddings go on fitting, but can't be used
        score = self._scaled(found)
        if wanted:
            score = np.where([label in wanted for label in found.label], score, -1.0)
        return Measurements(
            xyxy=found.xyxy.astype(np.float64),
            score=score,
            group=self._numbers(found),
            embedding=None if values is None or not values.shape[1] else values.astype(np.float32),
        )

    def _scaled(self, found: Detections) -> NDArray[np.float64]:
        """Scores on the tracker's scale, which its thresholds follow when another detector is used."""
        operating = found.operating_score
        if operating is not None and operating != self._scale.operating:
            self._scale = Scale(operating)
            self._tracker.settings = self.options.settings(self._scale)
        return self._scale.common(found.score.astype(np.float64))

    def _numbers(self, found: Detections) -> NDArray[np.int64]:
        for label, class_id in zip(found.label, found.class_id.tolist(), strict=True):
            self._classes.setdefault(label, (len(self._classes), class_id))
        return np.array([self._classes[label][0] for label in found.label], np.int64)

    def _camera(self, frame: Frame, motion: CameraMotion | None) -> NDArray[np.float64] | None:
        if motion is None or self._last_ns is None or motion.support <= 0:
            return None
        return motion.over(frame.pts_ns - self._last_ns)

    def _tracks(self, step: TrackerStep, now_ns: int) -> Tracks:
        shown = step.shown | (self.options.show_tentative & (step.source >= 0))
        rows = shown.nonzero()[0]
        if not len(rows):
            return _NO_TRACKS
        classes = list(self._classes.items())
        chosen = [classes[number] for number in step.group[rows].tolist()]
        return Tracks(
            xyxy=step.xyxy[rows].astype(np.float32),
            score=np.minimum(np.maximum(self._scale.own(step.score[rows]), 0), 1).astype(np.float32),
            class_id=np.array([class_id for _, (_, class_id) in chosen], np.int64),
            label=tuple(label for label, _ in chosen),
            track_id=step.track_id[rows],
            state=tuple(_STATE_NAMES[code] for code in step.state[rows].tolist()),
            velocity=step.velocity[rows].astype(np.float32),
            embeddings=step.embedding[rows] if step.embedding.shape[1] else None,
            age_ns=now_ns - step.start_ns[rows],
            operating_score=None if self._scale.operating == Scale().operating else self._scale.operating,
        )
