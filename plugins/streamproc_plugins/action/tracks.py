"""The `track_action` plugin: actions of each tracked person, by a net over clips cropped along the track."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from streamproc import Classification, Field, Frame, Mistake, ModelError, PluginContext, Results, Tracks
from streamproc.models import ModelStore, label_mistakes, model_mistakes
from streamproc_plugins.action.clips import clip_input, open_clip_net
from streamproc_plugins.action.crops import crop, window_round
from streamproc_plugins.action.followed import PeopleAction, PeopleOptions, Person
from streamproc_plugins.action.scores import activation_of, best_labels


class TrackActionOptions(PeopleOptions):
    """Options of `track_action`."""

    labels: tuple[str, ...] = Field(("person",), description="labels of the tracks that are looked at; empty: all")
    margin: float = Field(1.2, ge=1, le=4, description="how much larger than its box a person's picture is")
    min_height: float = Field(24, ge=1, description="boxes that are lower, in source pixels, are not looked at")
    max_tracks: int = Field(8, ge=1, le=100, description="most tracks at once; the largest boxes are taken")


class TrackAction(PeopleAction[TrackActionOptions]):
    """Classifies the actions of tracked people: gives `TrackActions`, and `track.action` events from start to end.

    It crops T pictures along the track at a beat of media time, and classifies them by any net of pictures that
    `action` runs. Pictures of a track that is lost (predicted) are not taken; a hole begins a new sequence,
    and so does a cut where `shots` stands before.
    """

    pixels = True
    needs = (Tracks,)

    @classmethod
    def check_options(cls, options: TrackActionOptions, models: ModelStore) -> Iterable[Mistake]:
        """The model must be one of clips, and know the labels of the events."""
        wrong = model_mistakes(models, options.model, fits=lambda entry: clip_input(entry, "track_action"))
        return wrong or label_mistakes(models.entry(options.model), options.events.named())

    def open(self, context: PluginContext) -> None:
        """Load the net; `ModelError` where it doesn't take clips of pictures alone."""
        options = self.options
        self._net = open_clip_net(
            context.models,
            options.model,
            "track_action",
            activation=activation_of(options.activation, context.models.entry(options.model).decode),
            threads=options.threads,
        )
        if self._net.flow:
            raise ModelError(
                f"{options.model} wants optical flow, which pictures that follow a person don't have; choose a net of "
                "pictures alone"
            )
        self.begin(self._net.frames, context.stream)

    def people(self, frame: Frame, past: Results) -> Iterable[Person]:
        """The tracks with the largest boxes."""
        tracks = past[Tracks]
        return [
            Person(
                track_id=int(tracks.track_id[row]), sample=partial(self._picture, frame, tracks.xyxy[row]),
                box=tracks.xyxy[row],
            )
            for row in self._worth(tracks)
        ]  # fmt: skip

    def classify(self, sequence: NDArray[np.uint8]) -> Classification:
        """The scores of all labels for pictures (T, h, w, 3)."""
        labels = self._net.net.labels
        return best_labels(self._net(sequence, None).scores, labels, len(labels))

    def _picture(self, frame: Frame, box: NDArray[np.float32]) -> NDArray[np.uint8]:
        width, height = self._net.size
        return crop(frame.rgb, window_round(box, width / height, self.options.margin), (width, height))

    def _worth(self, tracks: Tracks) -> list[int]:
        """Rows of the largest detected tracks, in the order of their ids."""
        options = self.options
        heights = tracks.xyxy[:, 3] - tracks.xyxy[:, 1]
        rows = [
            row
            for row in range(len(tracks))
            if tracks.state[row] == "confirmed"
            and heights[row] >= options.min_height
            and (not options.labels or tracks.label[row] in options.labels)
        ]
        rows.sort(key=lambda row: (-float(heights[row]), int(tracks.track_id[row])))
        return sorted(rows[: options.max_tracks], key=lambda row: int(tracks.track_id[row]))


__all__ = ["TrackAction", "TrackActionOptions"]
