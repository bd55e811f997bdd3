"""Base of `track_action` and `pose_action`: people followed through time, and the actions of each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from numpy.typing import NDArray

from streamproc import (
    Classification,
    Duration,
    Event,
    Field,
    Frame,
    Moment,
    Output,
    Result,
    Results,
    StreamInfo,
    StreamPlugin,
    TimeReason,
    seconds,
)
from streamproc_plugins.action.options import NetOptions
from streamproc_plugins.action.people import PeopleEpisodes, actions
from streamproc_plugins.action.results import TrackActions
from streamproc_plugins.action.sequences import SequenceBeat, Sequences
from streamproc_plugins.labels import LabelsOptions
from streamproc_plugins.shots.following import ended_at_cut


class PeopleEvents(LabelsOptions):
    """Limits for events of a person's actions: those of the plugin labels, for answers once a second."""

    window: Duration = Field(seconds(2), ge=0, le=seconds(60), description="time that is smoothed over")
    min_duration: Duration = Field(0, ge=0, description="an action that lasts for less gives no event")
    lost_after: Duration = Field(
        seconds(4), gt=0, description="a person's actions end after so long without an answer; more than `stride`"
    )

    def named(self) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
        """The options that name labels, as those of a plugin have them, and the labels."""
        return [(("events", "labels"), self.labels), (("events", "ignore"), self.ignore)]


class PeopleOptions(NetOptions):
    """Options of a net over samples of each person."""

    rate: float = Field(8, gt=0, le=120, description="samples per second of media time in a sequence")
    stride: Duration = Field(seconds(1), gt=0, description="media time between two answers for a track")
    events: PeopleEvents = Field(PeopleEvents(), description="how sure and steady an action must be to give an event")


PeopleOptionsT = TypeVar("PeopleOptionsT", bound=PeopleOptions)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Person:
    """One person in a frame."""

    track_id: int
    sample: Callable[[], NDArray[Any]]
    """makes the net's sample from this frame"""
    box: NDArray[Any] | None = None
    """xyxy (4,) in source pixels, for events"""


class PeopleAction(StreamPlugin[PeopleOptionsT]):
    """Samples each person at a beat of media time and classifies the samples together.

    A hole begins a new sequence, and so does a camera cut.
    """

    state_version = 2
    gives: ClassVar[tuple[type[Result], ...]] = (TrackActions,)

    @abstractmethod
    def people(self, frame: Frame, past: Results) -> Iterable[Person]:
        """The people to sample in this frame."""

    @abstractmethod
    def classify(self, sequence: NDArray[Any]) -> Classification:
        """The action in T samples, an array (T, ...)."""

    def begin(self, frames: int, stream: StreamInfo) -> None:
        """Begin with no known people; call it from `open`. frames: T."""
        options = self.options
        self._sequences = Sequences(SequenceBeat.of(frames, options.rate, options.stride, stream.nominal_ns))
        self._episodes = PeopleEpisodes(options.events)

    def process(self, frame: Frame, past: Results) -> Output:
        """`TrackActions` where a person's sequence is complete and due, and the events."""
        now_ns = frame.pts_ns
        found: dict[int, Classification] = {}
        boxes: dict[int, NDArray[Any]] = {}
        for person in self.people(frame, past):
            if person.box is not None:
                boxes[person.track_id] = person.box
            if not self._sequences.wants(person.track_id, now_ns):
                continue
            sequence = self._sequences.add(person.track_id, now_ns, person.sample())
            if sequence is not None:
                found[person.track_id] = self.classify(sequence)
        events = list(self._episodes.observe(frame, found, boxes))
        gone = self._sequences.forget(now_ns, self.options.events.lost_after)
        events += self._episodes.finish(gone)
        return [actions(found), *events] if found else events

    def on_time(self, moment: Moment, reason: TimeReason) -> Output:
        """End actions without an answer for too long; a cut ends all, since no track spans it."""
        if reason != "cut":
            return list(self._episodes.lose(moment.pts_ns))
        self._sequences.clear()
        return ended_at_cut(self.flush(moment), moment.pts_ns)

    def flush(self, moment: Moment) -> list[Event]:
        """End all open actions with the stream."""
        return list(self._episodes.finish())

    def state(self) -> Mapping[str, Any]:
        """The samples of each person and the open actions."""
        return {"sequences": self._sequences.state(), "episodes": self._episodes.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on exactly."""
        self._sequences.restore(state["sequences"])
        self._episodes.restore(state["episodes"])


__all__ = ["PeopleAction", "PeopleEvents", "PeopleOptions", "Person"]
