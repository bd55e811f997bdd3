"""The `face_tracks` plugin: faces of single frames to tracks with smoothed landmarks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from streamproc import (
    Duration,
    Faces,
    Field,
    Frame,
    Moment,
    Options,
    Output,
    PluginContext,
    Results,
    StreamPlugin,
    TimeReason,
    seconds,
)
from streamproc_plugins.faces.results import FaceTracks
from streamproc_plugins.faces.tracker import FaceTracker, FaceTrackerSettings
from streamproc_plugins.one_euro import OneEuro


class FaceTracksOptions(Options):
    """Limits for two faces of one track, and smoothing of landmarks; all times are media time."""

    min_iou: float = Field(
        0.2, gt=0, le=1, description="least overlap (IoU) of a face with the last place of its track"
    )
    min_cosine: float = Field(
        0.1, ge=-1, le=1, description="faces whose embeddings are less alike are different people wherever they are"
    )
    max_speed: float = Field(
        4, gt=0, le=1000, description="faces that move faster are others, in widths of the face a second"
    )
    lost_after: Duration = Field(seconds(0.8), ge=0, description="a track ends after so long without its face")
    smooth: bool = Field(True, description="smooth the landmarks (one-euro filter)")
    min_cutoff: float = Field(
        1.5, gt=0, le=100, description="cut-off in Hz for a face that stands still: lower is smoother"
    )
    beta: float = Field(
        4.0, ge=0, le=1000, description="how much the cut-off rises with speed, in Hz for a face's width a second"
    )


class FaceTracksPlugin(StreamPlugin[FaceTracksOptions]):
    """Joins faces of successive frames to tracks and smooths their landmarks over media time. Gives `FaceTracks`.

    A track ends after `lost_after` without its face, where another person's face takes its place, and at a cut where
    `shots` stands before.
    """

    state_version = 2
    needs = (Faces,)
    gives = (FaceTracks,)

    def open(self, context: PluginContext) -> None:
        """Begin without a track."""
        options = self.options
        smooth = OneEuro(min_cutoff_hz=options.min_cutoff, beta=options.beta) if options.smooth else None
        self._tracker = FaceTracker(
            FaceTrackerSettings(
                least_iou=options.min_iou,
                least_cosine=options.min_cosine,
                most_speed=options.max_speed,
                lost_ns=options.lost_after,
                smooth=smooth,
            )
        )

    def process(self, frame: Frame, past: Results) -> Output:
        """One `FaceTracks`, the rows in the order of the `Faces`."""
        faces = past[Faces]
        tracks = self._tracker.step(frame.pts_ns, faces)
        wide = faces.embeddings
        landmarks = np.array([track.landmarks for track in tracks], np.float32).reshape(-1, 5, 2)
        templates = None if wide is None else np.array([t.template for t in tracks], np.float32).reshape(wide.shape)
        yield FaceTracks(
            xyxy=faces.xyxy,
            score=faces.score,
            landmarks=landmarks,
            embeddings=wide,
            cluster=faces.cluster,
            refused=faces.refused,
            strangers=faces.strangers,
            track_id=np.array([track.track_id for track in tracks], np.int64),
            age_ns=np.array([frame.pts_ns - track.start_ns for track in tracks], np.int64),
            looks=np.array([track.looks for track in tracks], np.int64),
            unsure_ns=np.array([frame.pts_ns - track.looked_ns for track in tracks], np.int64),
            templates=templates,
        )

    def on_time(self, moment: Moment, reason: TimeReason) -> Output:
        """Age the tracks while no frame arrives; a cut ends those that began before it."""
        if reason == "cut":
            self._tracker.forget_before(moment.pts_ns)
        else:
            self._tracker.forget(moment.pts_ns)
        return ()

    def state(self) -> dict[str, Any]:
        """The tracks, as JSON values."""
        return {"tracker": self._tracker.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on exactly."""
        self._tracker.restore(state["tracker"])
