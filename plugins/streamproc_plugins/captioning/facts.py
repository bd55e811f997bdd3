"""Facts of a window of time: gathered frame by frame, small enough to be stored over a restart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from streamproc import Classification, Detections, Event, Tracks

EVENT_TYPES = frozenset(
    {
        "zone.entered", "zone.left", "zone.dwell", "zone.loitering", "zone.crowded", "line.crossed", "object.left",
        "object.stationary", "direction.wrong", "speed.exceeded", "pose.fall", "pose.lying", "pose.raised_hands",
        "face.recognised", "action.seen", "label.seen", "motion",
    }
)  # fmt: skip
"""event types that there is a sentence for"""
_DATA_KEYS = ("label", "zone", "line", "direction", "count", "name", "duration_s")


@dataclass(slots=True)
class Walk:
    """One track within the window; places are fractions of the picture's width and height."""

    label: str
    since_ns: int
    first: tuple[float, float]
    until_ns: int
    last: tuple[float, float]
    size: float
    """of the last box: mean of its sides, as a fraction of the picture's width"""


@dataclass(slots=True)
class WindowFacts:
    """Facts of a window so far."""

    walks: dict[int, Walk] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)
    """by label, the most detections in one frame"""
    happened: list[dict[str, Any]] = field(default_factory=list)
    """`type` and the data that a sentence needs, in order"""
    shown: dict[str, float] = field(default_factory=dict)
    """by label of a classifier: sum of its scores where it was the best"""
    frames: int = 0

    def observe_tracks(self, tracks: Tracks, now_ns: int, size: tuple[int, int]) -> None:
        """Take the confirmed tracks of a frame of this (width, height)."""
        for row, track_id in enumerate(tracks.track_id.tolist()):
            if tracks.state[row] != "confirmed":
                continue
            left, top, right, bottom = tracks.xyxy[row].tolist()
            place = ((left + right) / 2 / size[0], (top + bottom) / 2 / size[1])
            walk = self.walks.get(track_id)
            if walk is None:
                walk = Walk(tracks.label[row], now_ns, place, now_ns, place, 0.0)
                self.walks[track_id] = walk
            walk.label, walk.until_ns, walk.last = tracks.label[row], now_ns, place
            walk.size = (right - left + bottom - top) / 2 / size[0]

    def observe_detections(self, found: Detections) -> None:
        """Take the detections of a frame."""
        for label in set(found.label):
            self.most[label] = max(self.most.get(label, 0), found.label.count(label))

    def observe_classes(self, found: Classification) -> None:
        """Add a classifier's answer for a frame."""
        if found.label:
            label = found.label[0]
            self.shown[label] = self.shown.get(label, 0.0) + float(found.score[0])

    def observe_events(self, events: Iterable[Event]) -> None:
        """Add the events of a frame: beginnings and instants."""
        for event in events:
            if event.type in EVENT_TYPES and event.phase in ("start", "instant"):
                data = {key: event.data[key] for key in _DATA_KEYS if key in event.data}
                self.happened.append({"type": event.type, **data})

    def state(self) -> dict[str, Any]:
        """JSON values for `of`."""
        plain = asdict(self)
        return plain | {"walks": [[track_id, asdict(walk)] for track_id, walk in self.walks.items()]}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> WindowFacts:
        """The facts from a `state`."""
        walks = {int(key): _walk(value) for key, value in state["walks"]}
        rest = {key: state[key] for key in ("most", "happened", "shown", "frames")}
        return cls(walks=walks, **rest)


def _walk(value: Mapping[str, Any]) -> Walk:
    first, last = value["first"], value["last"]
    return Walk(**{**value, "first": (first[0], first[1]), "last": (last[0], last[1])})
