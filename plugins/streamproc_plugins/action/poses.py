"""The `pose_action` plugin: actions of each person, by a net over sequences of keypoints."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from streamproc import Classification, Field, Frame, Mistake, ModelError, PluginContext, Poses, Results
from streamproc.models import ModelStore, label_mistakes, model_mistakes
from streamproc_plugins.action.followed import PeopleAction, PeopleOptions, Person
from streamproc_plugins.action.scores import activation_of, best_labels, scores_of
from streamproc_plugins.action.skeleton import normalised_skeleton

_POINTS = 17


class PoseActionOptions(PeopleOptions):
    """Options of `pose_action`."""

    min_score: float = Field(0.2, ge=0, le=1, description="keypoints below are taken as unknown")


class PoseAction(PeopleAction[PoseActionOptions]):
    """Classifies the actions of people from keypoints alone: gives `TrackActions`, and `track.action` events.

    Needs poses with track ids (a pose plugin behind `tracking`). Without them, it takes the best pose of each frame as
    one person, track 0. The net's input is (1, T, 17, 3), as `action.nets.skeletons` builds it. No
    sequence spans a cut where `shots` stands before.
    """

    needs = (Poses,)

    @classmethod
    def check_options(cls, options: PoseActionOptions, models: ModelStore) -> Iterable[Mistake]:
        """The model must be known, and know the labels of the events."""
        wrong = model_mistakes(models, options.model)
        return wrong or label_mistakes(models.entry(options.model), options.events.named())

    def open(self, context: PluginContext) -> None:
        """Load the net; `ModelError` where it doesn't take sequences of COCO-17 keypoints."""
        options = self.options
        self._net = context.models.load(options.model, threads=options.threads)
        (given, *others), name = self._net.inputs, self._net.entry.name
        frames = given.shape[1] if len(given.shape) == 4 else None
        if others or frames is None or not given.fits((1, frames, _POINTS, 3)):
            raise ModelError(
                f"{name} takes {'; '.join(map(str, self._net.inputs))}; `pose_action` needs a net of keypoints "
                f"(1, T, {_POINTS}, 3)"
            )
        self._net.expect("pose_action", {"#0": (1, len(self._net.labels))})
        self._activation = activation_of(options.activation, self._net.entry.decode)
        self.begin(frames, context.stream)

    def people(self, frame: Frame, past: Results) -> Iterable[Person]:
        """All people with a pose."""
        poses = past[Poses]
        if poses.track_id is not None:
            return [_person(int(track_id), poses, row) for row, track_id in enumerate(poses.track_id)]
        return [_person(0, poses, int(poses.score.argmax()))] if len(poses.score) else []

    def classify(self, sequence: NDArray[np.float32]) -> Classification:
        """The scores of all labels for keypoints (T, 17, 3)."""
        (output, *_) = self._net(np.ascontiguousarray(normalised_skeleton(sequence, self.options.min_score))[None])
        scores = scores_of(self._net, output, self._activation)
        return best_labels(scores, self._net.labels, len(self._net.labels))


def _person(track_id: int, poses: Poses, row: int) -> Person:
    return Person(track_id=track_id, sample=lambda: poses.keypoints[row])


__all__ = ["PoseAction", "PoseActionOptions"]
