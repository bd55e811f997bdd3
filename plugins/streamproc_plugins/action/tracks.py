"""The `track_action` plugin: what each tracked person does, by a net over clips cut along the track."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from streamproc import (
    Classification,
    Duration,
    Event,
    Field,
    Frame,
    Mistake,
    ModelError,
    Moment,
    Output,
    PluginContext,
    Results,
    StreamPlugin,
    TimeReason,
    Tracks,
    seconds,
)
from streamproc.models import ModelStore, label_mistakes, model_mistakes
from streamproc_plugins.action.clips import clip_input, open_clip_net
from streamproc_plugins.action.crops import cut, window_round
from streamproc_plugins.action.options import NetOptions
from streamproc_plugins.action.people import PeopleEpisodes, actions
from streamproc_plugins.action.results import TrackActions
from streamproc_plugins.action.scores import activation_of, best_labels
from streamproc_plugins.action.sequences import Beat, Sequences
from streamproc_plugins.labels import LabelsOptions
from streamproc_plugins.shots.following import ShotWatch, ended_at_cut
from streamproc_plugins.shots.results import Shot

_STATE = 1


class PeopleEvents(LabelsOptions):
    """When a person's action is told of: as the plugin labels does it, for answers that come once a second."""

    window: Duration = Field(seconds(2), ge=0, le=seconds(60), description="time that is smoothed over")
    min_duration: Duration = Field(0, ge=0, description="an action that lasts for less gives no event")
    lost_after: Duration = Field(
        seconds(4), gt=0, description="a person's actions end when no answer came for longer; more than `stride`"
    )

    def named(self) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
        """The options that name labels, as those of a plugin have them, and the labels."""
        return [(("events", "labels"), self.labels), (("events", "ignore"), self.ignore)]


class PeopleOptions(NetOptions):
    """What `track_action` and `pose_action` have in common."""

    rate: float = Field(8, gt=0, le=120, description="samples per second of media time in a sequence")
    stride: Duration = Field(seconds(1), gt=0, description="media time between two answers for a track")
    events: PeopleEvents = Field(PeopleEvents(), description="how sure and steady an action must be to give an event")


class TrackActionOptions(PeopleOptions):
    """Options of `track_action`."""

    labels: tuple[str, ...] = Field(("person",), description="labels of the tracks that are looked at; empty: all")
    margin: float = Field(1.2, ge=1, le=4, description="how much larger than its box a person's picture is")
    min_height: float = Field(24, ge=1, description="boxes that are lower, in source pixels, are not looked at")
    max_tracks: int = Field(8, ge=1, le=100, description="most tracks at once; the largest boxes are taken")


class TrackAction(StreamPlugin[TrackActionOptions]):
    """Says what each tracked person does: gives `TrackActions`, and `track.action` events from start to end.

    Pictures are cut along the track at a beat of media time, T of them, and classified by any net of pictures that
    `action` runs. Those of a track that is lost (predicted) are not taken; a hole begins a new sequence,
    and so does a cut where `shots` stands before.
    """

    pixels = True
    needs = (Tracks,)
    uses = (Shot,)
    gives = (TrackActions,)

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
        self._sequences = Sequences(Beat.of(self._net.frames, options.rate, options.stride, context.stream.nominal_ns))
        self._episodes = PeopleEpisodes(options.events)
        self._shots = ShotWatch()

    def process(self, frame: Frame, past: Results) -> Output:
        """`TrackActions` where a track's sequence is complete and due, and what there is to tell."""
        ended = self._at_cut(self._shots.turned_ns(past), Moment.of(frame))
        tracks, now = past[Tracks], frame.pts_ns
        width, height = self._net.size
        found: dict[int, Classification] = {}
        rows = self._worth(tracks)
        for row in rows:
            track_id = int(tracks.track_id[row])
            if not self._sequences.wants(track_id, now):
                continue
            window = window_round(tracks.xyxy[row], width / height, self.options.margin)
            clip = self._sequences.add(track_id, now, cut(frame.rgb, window, (width, height)))
            if clip is not None:
                found[track_id] = best_labels(self._net(clip, None).scores, self._net.net.labels, len(self._labels))
        boxes = {int(tracks.track_id[row]): tracks.xyxy[row] for row in rows}
        told = [*ended, *self._episodes.see(frame, found, boxes), *self._forget(Moment.of(frame))]
        return [actions(found), *told] if found else told

    def on_time(self, moment: Moment, reason: TimeReason) -> Output:
        """Actions of which nothing came for too long end; at a cut all do, since nobody goes on through it."""
        if reason == "cut":
            return self._at_cut(moment.pts_ns, moment)
        return list(self._episodes.lose(moment))

    def flush(self, moment: Moment) -> Output:
        """What goes on ends with the stream."""
        return list(self._episodes.finish(moment))

    def state(self) -> Mapping[str, Any]:
        """The pictures of each track and what is open."""
        kept = {"sequences": self._sequences.state(), "episodes": self._episodes.state()}
        return {"version": _STATE, **kept, "shot": self._shots.number}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on exactly."""
        if state.get("version") != _STATE:
            raise ValueError(f"track_action got a state of version {state.get('version')}, expected {_STATE}")
        self._sequences.restore(state["sequences"])
        self._episodes.restore(state["episodes"])
        self._shots.number = state.get("shot", 0)

    @property
    def _labels(self) -> tuple[str, ...]:
        return self._net.net.labels

    def _worth(self, tracks: Tracks) -> list[int]:
        """Rows of the largest tracks that are seen, in the order of their ids."""
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

    def _at_cut(self, cut_ns: int | None, moment: Moment) -> list[Event]:
        """Nobody goes on through a cut: what each does ends there, and each sequence begins anew."""
        if cut_ns is None:
            return []
        self._sequences.clear()
        return ended_at_cut(self._episodes.finish(moment), cut_ns)

    def _forget(self, moment: Moment) -> Output:
        gone = self._sequences.forget(moment.pts_ns, self.options.events.lost_after)
        return list(self._episodes.finish(moment, gone))


__all__ = ["PeopleOptions", "TrackAction", "TrackActionOptions"]
