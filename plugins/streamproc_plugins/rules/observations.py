"""Observations: the tracks of one frame in the form that rules use, and their recent paths."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc import Tracks
from streamproc_plugins.rules.steady import scatter

Box = tuple[float, float, float, float]
Point = tuple[float, float]
Step = tuple[int, float, float]
"""media time, x, y"""

_OLDEST_BIRTH_NS = 2 * 10**9
"""a track that shows up older than this was followed elsewhere before; where it began says nothing here"""
_EDGE_PX = 0.5
_SAME_NS = 10**6
_BORDER = 0.01
"""part of the picture's longer side within which a box touches its border"""
_WINDOW_NS = 10**9
_LEAST_SPAN_NS = 2 * 10**8
_JITTER_NS = 3 * 10**9
"""how far back the scatter of a place is measured"""
_APART_NS = 9 * 10**7
"""between two stored places that are older than the window of the velocity"""
_FITS = 0.1
"""of a box's size, by which an edge may be off"""
_ALIKE = 1.5
_ACCELERATION = 2.0
"""box sizes per second squared: people and cars hardly do more"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A confirmed track in one frame; pixels of the source."""

    track_id: int
    label: str
    score: float
    box: Box
    """xyxy"""
    point: Point
    """its anchor, inside the picture"""
    born_ns: int
    """media time of its first detection; of this frame if it was observed shortly before, or began long ago"""
    born: Point
    """where it was then, by its velocity"""
    at_border: bool
    """whether its box touches the picture's border, beyond which it may vanish"""
    set_off: Point
    """the same if it gathered that speed since: the point nearest to `point` at which it may have begun"""
    look: NDArray[np.float32] | None = field(default=None, compare=False)
    """float32 (D,), unit length; None where it isn't known"""

    @property
    def size(self) -> float:
        """Mean of the box's width and height."""
        return (self.box[2] - self.box[0] + self.box[3] - self.box[1]) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameView:
    """The frame of the observations."""

    now_ns: int
    size: tuple[int, int]
    """width and height, pixels"""
    anchor: str = "bottom"
    before_ns: int | None = None
    """media time of the frame before"""


def observe_tracks(tracks: Tracks, look: FrameView, known: Container[int] = ()) -> list[Observation]:
    """Observations of the confirmed tracks; predicted places would enter and leave zones by themselves.

    known: ids observed shortly before, whose beginning has no further meaning.
    """
    now_ns, size = look.now_ns, look.size
    found = []
    boxes, velocities = tracks.xyxy.tolist(), tracks.velocity.tolist()
    ids, scores, ages = tracks.track_id.tolist(), tracks.score.tolist(), tracks.age_ns.tolist()
    looks = _looks(tracks)
    for row, state in enumerate(tracks.state):
        if state != "confirmed":
            continue
        left, top, right, bottom = box = tuple(boxes[row])
        y = {"bottom": bottom, "centre": (top + bottom) / 2, "top": top}[look.anchor]
        x = (left + right) / 2
        new = ages[row] <= _OLDEST_BIRTH_NS and ids[row] not in known
        age = ages[row] if new else 0
        back = age / 1e9
        late = back - _speeding_up_s(look, age, velocities[row], box)
        found.append(
            Observation(
                track_id=ids[row],
                label=tracks.label[row],
                score=scores[row],
                box=box,
                point=_inside(x, y, size),
                born_ns=now_ns - age - (_half_step(look, now_ns - age, box) if new else 0),
                born=_inside(x - velocities[row][0] * back, y - velocities[row][1] * back, size),
                at_border=_at_border(look, box),
                set_off=_inside(x - velocities[row][0] * late, y - velocities[row][1] * late, size),
                look=looks[row] if looks else None,
            )
        )
    return found


def _looks(tracks: Tracks) -> list[NDArray[np.float32] | None]:
    """The look of each track; empty where none has one."""
    values = tracks.embeddings
    if values is None or not values.any():
        return []
    return [
        look if known else None for look, known in zip(values, np.asarray(values.any(axis=1)).tolist(), strict=True)
    ]


def _speeding_up_s(look: FrameView, age_ns: int, velocity: Sequence[float], box: Box) -> float:
    """Seconds at this velocity that a track may be ahead of the place of its first detection, before the rules got it.

    At a steady acceleration it has moved less than its present speed suggests, half as far from a standstill. A track
    that began in the frame before has made one step, and its velocity is that step.
    """
    if look.before_ns is None or age_ns <= look.now_ns - look.before_ns + _SAME_NS:
        return 0.0
    age_s, size = age_ns / 1e9, (box[2] - box[0] + box[3] - box[1]) / 2
    speed = math.hypot(*velocity)
    gained = _ACCELERATION * size * age_s**2 / 2
    return min(gained / speed, age_s / 2) if speed else 0.0


def _half_step(look: FrameView, born_ns: int, box: Box) -> int:
    """Half the time since the frame before for a track that begins at the border, as it entered in between."""
    if look.before_ns is None:
        return 0
    if not _at_border(look, box):
        return 0
    return min((look.now_ns - look.before_ns) // 2, _LEAST_SPAN_NS, born_ns)


def _at_border(look: FrameView, box: Box) -> bool:
    width, height = look.size
    return min(box[0], box[1], width - box[2], height - box[3]) <= _BORDER * max(look.size)


def _inside(x: float, y: float, size: tuple[int, int]) -> Point:
    """A box may end on the picture's border or beyond; its anchor is put just inside, where zones are."""
    return (
        min(max(x, _EDGE_PX), size[0] - _EDGE_PX),
        min(max(y, _EDGE_PX), size[1] - _EDGE_PX),
    )


@dataclass(slots=True)
class _Path:
    """Places of one anchor: all of the last second, and one every 90 ms of the two before."""

    older: list[Step] = field(default_factory=list)
    recent: list[Step] = field(default_factory=list)

    @property
    def steps(self) -> list[Step]:
        """All places in order of time."""
        return self.older + self.recent

    def age(self, now_ns: int) -> bool:
        """Drop old places; False: none is left."""
        while self.recent and now_ns - self.recent[0][0] > _WINDOW_NS:
            step = self.recent.pop(0)
            if not self.older or step[0] - self.older[-1][0] >= _APART_NS:
                self.older.append(step)
        while self.older and now_ns - self.older[0][0] > _JITTER_NS:
            self.older.pop(0)
        return bool(self.older or self.recent)


class Paths:
    """Places of the anchors during the last seconds of media time."""

    def __init__(self) -> None:
        self._steps: dict[int, _Path] = {}

    def __contains__(self, track_id: object) -> bool:
        return track_id in self._steps

    def add(self, now_ns: int, observed: list[Observation]) -> None:
        """Add a frame's observations and drop places older than three seconds."""
        for observation in observed:
            self._steps.setdefault(observation.track_id, _Path()).recent.append((now_ns, *observation.point))
        for track_id, path in list(self._steps.items()):
            if not path.age(now_ns):
                del self._steps[track_id]

    def velocity(self, track_id: int) -> Point | None:
        """Pixels per second, right and down: the straight line through the last second; None if it is too short."""
        recent = self._steps.get(track_id, _Path()).recent
        if len(recent) < 2 or recent[-1][0] - recent[0][0] < _LEAST_SPAN_NS:
            return None
        rows = np.array(recent, np.float64)
        t = (rows[:, 0] - rows[-1, 0]) / 1e9
        t -= t.mean()
        slope = t @ rows[:, 1:] / (t @ t)
        return (float(slope[0]), float(slope[1]))

    def travel(self, track_id: int, way: Point) -> float:
        """Distance of the anchor along the unit vector `way` within the last second, pixels."""
        along = [x * way[0] + y * way[1] for _, x, y in self._steps.get(track_id, _Path()).recent]
        return along[-1] - min(along) if along else 0.0

    def jitter(self, track_id: int, way: Point | None = None) -> float:
        """Standard deviation in pixels of the anchor around a path without turns through the last 3 seconds.

        It is 0 for a track that sets off, walks or stops, at any speed, as it goes one way; a standing or swaying one
        goes to and fro. Measured along the unit vector `way`, or else along the axis of the picture where it is larger,
        either way. 0 with too few observations.
        """
        steps = self._steps.get(track_id, _Path()).steps
        if len(steps) < 4:
            return 0.0
        if way is not None:
            return scatter([x * way[0] + y * way[1] for _, x, y in steps])
        axes = [x for _, x, _ in steps], [y for _, _, y in steps]
        return max(min(scatter(places), scatter([-place for place in places])) for places in axes)

    def state(self) -> list[Any]:
        """JSON values for `restore`."""
        return [[track_id, [list(step) for step in path.steps]] for track_id, path in self._steps.items()]

    def restore(self, state: list[Any]) -> None:
        """Go on from `state`."""
        self._steps = {int(i): _Path([], [(int(t), float(x), float(y)) for t, x, y in steps]) for i, steps in state}


def about(observation: Observation) -> dict[str, Any]:
    """Event data about the observed track."""
    return {"label": observation.label, "track_id": observation.track_id, "box": list(observation.box)}


def box_gap(a: Box, b: Box) -> float:
    """Distance in pixels between two boxes, 0 where they touch or overlap."""
    return math.hypot(max(a[0] - b[2], b[0] - a[2], 0), max(a[1] - b[3], b[1] - a[3], 0))


def part_of(box: Box, whole: Box) -> bool:
    """Whether a box may show a part of another box's object: smaller, inside it, and with two of its edges."""
    size = (whole[2] - whole[0] + whole[3] - whole[1]) / 2
    near = _FITS * size
    inside = all(box[n] >= whole[n] - near and box[n + 2] <= whole[n + 2] + near for n in (0, 1))
    fits = [abs(box[n] - whole[n]) <= near for n in range(4)]
    smaller = box[2] - box[0] + box[3] - box[1] < 2 * (1 - _FITS) * size
    return inside and smaller and (fits[0] or fits[2]) and (fits[1] or fits[3])


def same_place(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether two boxes, xyxy, may show the same one standing: of like size, and no further apart than that."""
    sizes = [(box[2] - box[0] + box[3] - box[1]) / 2 for box in (a, b)]
    apart = math.dist((a[0] + a[2], a[1] + a[3]), (b[0] + b[2], b[1] + b[3])) / 2
    return apart <= min(sizes) and max(sizes) <= _ALIKE * min(sizes)


def wanted(observed: list[Observation], labels: tuple[str, ...]) -> list[Observation]:
    """Observations with one of these labels; all without labels."""
    return [observation for observation in observed if observation.label in labels] if labels else observed


def by_int(plain: Mapping[str, Any]) -> dict[int, Any]:
    """JSON turns the keys of a mapping into text; back."""
    return {int(key): value for key, value in plain.items()}
