"""The `pose_action` plugin: what each person does, by a net over sequences of keypoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from streamproc import (
    Classification,
    Event,
    Field,
    Frame,
    Mistake,
    ModelError,
    Moment,
    Output,
    PluginContext,
    Poses,
    Results,
    StreamPlugin,
    TimeReason,
)
from streamproc.models import ModelStore, label_mistakes, model_mistakes
from streamproc_plugins.action.people import PeopleEpisodes, actions
from streamproc_plugins.action.results import TrackActions
from streamproc_plugins.action.scores import activation_of, best_labels, scores_of
from streamproc_plugins.action.sequences import Beat, Sequences
from streamproc_plugins.action.skeleton import normalised
from streamproc_plugins.action.tracks import PeopleOptions
from streamproc_plugins.shots.following import ShotWatch, ended_at_cut
from streamproc_plugins.shots.results import Shot

_STATE = 1
_POINTS = 17


class PoseActionOptions(PeopleOptions):
    """Options of `pose_action`."""

    min_score: float = Field(0.2, ge=0, le=1, description="keypoints below are taken as unknown")


class PoseAction(StreamPlugin[PoseActionOptions]):
    """Says what each person does from keypoints alone: gives `TrackActions`, and `track.action` events.

    Needs poses with track ids (a pose plugin behind `tracking`). Where they have none, the best pose of each frame is
    taken as one person, track 0. The net's input is (1, T, 17, 3), as `action.nets.skeletons` builds it. No
    sequence spans a cut where `shots` stands before.
    """

    needs = (Poses,)
    uses = (Shot,)
    gives = (TrackActions,)

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
        self._sequences = Sequences(Beat.of(frames, options.rate, options.stride, context.stream.nominal_ns))
        self._episodes = PeopleEpisodes(options.events)
        self._shots = ShotWatch()

    def process(self, frame: Frame, past: Results) -> Output:
        """`TrackActions` where a person's sequence is complete and due, and what there is to tell."""
        ended = self._at_cut(self._shots.turned_ns(past), Moment.of(frame))
        found: dict[int, Classification] = {}
        for track_id, points in self._people(past[Poses]):
            if not self._sequences.wants(track_id, frame.pts_ns):
                continue
            sequence = self._sequences.add(track_id, frame.pts_ns, points)
            if sequence is not None:
                found[track_id] = self._said(sequence)
        told = [*ended, *self._episodes.see(frame, found, {}), *self._forget(Moment.of(frame))]
        return [actions(found), *told] if found else told

    def on_time(self, moment: Moment, reason: TimeReason) -> Output:
        """Actions of which nothing came for too long end; at a cut all do."""
        if reason == "cut":
            return self._at_cut(moment.pts_ns, moment)
        return list(self._episodes.lose(moment))

    def flush(self, moment: Moment) -> Output:
        """What goes on ends with the stream."""
        return list(self._episodes.finish(moment))

    def state(self) -> Mapping[str, Any]:
        """The keypoints of each person and what is open."""
        kept = {"sequences": self._sequences.state(), "episodes": self._episodes.state()}
        return {"version": _STATE, **kept, "shot": self._shots.number}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on exactly."""
        if state.get("version") != _STATE:
            raise ValueError(f"pose_action got a state of version {state.get('version')}, expected {_STATE}")
        self._sequences.restore(state["sequences"])
        self._episodes.restore(state["episodes"])
        self._shots.number = state.get("shot", 0)

    def _people(self, poses: Poses) -> list[tuple[int, Any]]:
        """Track ids and keypoints (17, 3)."""
        if poses.track_id is not None:
            return [(int(track_id), poses.keypoints[row]) for row, track_id in enumerate(poses.track_id)]
        return [(0, poses.keypoints[int(poses.score.argmax())])] if len(poses.score) else []

    def _said(self, sequence: Any) -> Classification:
        (output, *_) = self._net(np.ascontiguousarray(normalised(sequence, self.options.min_score))[None])
        scores = scores_of(self._net, output, self._activation)
        return best_labels(scores, self._net.labels, len(self._net.labels))

    def _at_cut(self, cut_ns: int | None, moment: Moment) -> list[Event]:
        """Nobody goes on through a cut: what each does ends there, and each sequence begins anew."""
        if cut_ns is None:
            return []
        self._sequences.clear()
        return ended_at_cut(self._episodes.finish(moment), cut_ns)

    def _forget(self, moment: Moment) -> Output:
        gone = self._sequences.forget(moment.pts_ns, self.options.events.lost_after)
        return list(self._episodes.finish(moment, gone))


__all__ = ["PoseAction", "PoseActionOptions"]
