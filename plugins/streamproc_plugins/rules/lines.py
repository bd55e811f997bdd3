"""One line, straight or bent: its crossings, their direction and time. Knows observations and media time only."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamproc import Event
from streamproc_plugins.rules.cooldown import Cooldown
from streamproc_plugins.rules.observations import Observation, Paths, Point, about, by_int, wanted
from streamproc_plugins.rules.options import LineOptions
from streamproc_plugins.rules.presence import Timing
from streamproc_plugins.rules.steady import Swings, reach

Side = Literal["left", "right"]

_TRAVEL = 1.5
_HAIR_PX = 1e-3
"""more than the rounding of places, less than any real distance"""


@dataclass(slots=True, kw_only=True)
class Walker:
    """State of a track at a line."""

    point: Point
    observed_ns: int
    side: Side | None = None
    """to which it has crossed without that being sure yet"""
    crossed_ns: int = 0
    beyond_ns: int = 0
    """first moment on that side"""
    leapt: bool = False
    """whether it got there in one step longer than its box, which no jitter does"""
    clear: bool = False
    """whether it was far enough beyond the line at its last observation"""
    leaving: bool = False
    """whether it was at the picture's border at its last observation"""
    swings: Swings = field(default_factory=Swings)
    about: dict[str, Any] = field(default_factory=dict)
    """label, track_id and box of the last observation"""
    score: float = 0.0


class Line:
    """Follows each anchor from observation to observation.

    A crossing counts once the anchor has been beyond the line for `timing.enter_ns` and is a margin away from it that
    follows its measured jitter; at once after a step longer than the box, or a box's size beyond; and when the track is
    lost, or left the picture, at such a distance. A track that steps back over the line before that hasn't crossed. The
    crossing is stamped where the straight path between the two observations meets the line.
    """

    def __init__(
        self, name: str, options: LineOptions, points: NDArray[np.float64], timing: Timing, margin: float
    ) -> None:
        self.name = name
        self.points = points
        self.counts: dict[Side, int] = {"left": 0, "right": 0}
        self._options = options
        self._timing = timing
        self._margin = margin
        self._legs = [((ax, ay), (bx, by)) for (ax, ay), (bx, by) in pairwise(_with_ends(points).tolist())]
        self._cooldown = Cooldown(options.cooldown)
        self._walkers: dict[int, Walker] = {}

    def step(self, now_ns: int, observed: list[Observation], paths: Paths) -> Iterator[Event]:
        """Events of the observations of the frame at `now_ns`."""
        for observation in wanted(observed, self._options.labels):
            walker = self._walkers.get(observation.track_id)
            if walker is None:
                walker = Walker(point=observation.set_off, observed_ns=observation.born_ns)
                self._walkers[observation.track_id] = walker
            self._walk(walker, observation, now_ns)
            if self._across(walker, observation, paths, now_ns):
                yield from self._crossed(walker, now_ns)
        yield from self.expire(now_ns)

    def expire(self, now_ns: int) -> Iterator[Event]:
        """Drop tracks without a detection for too long; one that vanished clear of the line has crossed it."""
        for track_id, walker in list(self._walkers.items()):
            unobserved_ns = now_ns - walker.observed_ns
            if unobserved_ns > self._timing.lost_ns:
                del self._walkers[track_id]
            gone = walker.leaving and unobserved_ns > 0 and now_ns - walker.beyond_ns >= self._timing.enter_ns
            if walker.clear and (gone or unobserved_ns > self._timing.lost_ns):
                yield from self._crossed(walker, now_ns)

    def finish(self, now_ns: int) -> Iterator[Event]:
        """End all tracks: the stream ends, or shows another scene."""
        walkers, self._walkers = self._walkers, {}
        for walker in walkers.values():
            if walker.clear:
                yield from self._crossed(walker, now_ns)

    def state(self) -> dict[str, Any]:
        """JSON values for `restore`."""
        walkers = {str(track_id): asdict(walker) for track_id, walker in self._walkers.items()}
        return {"counts": dict(self.counts), "walkers": walkers, "cooldown": self._cooldown.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.counts = dict(state["counts"])
        self._cooldown.restore(state["cooldown"])
        self._walkers = {
            track_id: Walker(**{**found, "point": tuple(found["point"]), "swings": Swings(**found["swings"])})
            for track_id, found in by_int(state["walkers"]).items()
        }

    def name_of(self, side: Side) -> str:
        """The user's word for a direction."""
        return getattr(self._options.directions, side)  # type: ignore[no-any-return]

    def _walk(self, walker: Walker, observation: Observation, now_ns: int) -> None:
        to = observation.point
        hits = sorted(hit for a, b in self._legs if (hit := meet(walker.point, to, a, b)) is not None)
        for share, side in hits:
            if walker.side is not None and walker.side != side:
                walker.side = None
            else:
                walker.side, walker.beyond_ns = side, now_ns
                walker.crossed_ns = walker.observed_ns + round(share * (now_ns - walker.observed_ns))
                walker.leapt = math.dist(walker.point, to) >= observation.size
        walker.point, walker.observed_ns = to, now_ns
        walker.about, walker.score, walker.leaving = about(observation), observation.score, observation.at_border

    def _across(self, walker: Walker, observation: Observation, paths: Paths, now_ns: int) -> bool:
        """Whether a crossing is sure; one that turned out to be none, around an end of the line, is given up."""
        away, (right_x, right_y) = self._away(observation.point)
        walker.swings.observe(now_ns, away >= 0, abs(away), observation.size)
        sign = 1 if walker.side == "right" else -1
        beyond, way = sign * away, (sign * right_x, sign * right_y)
        if beyond < 0:
            walker.side = None
        if walker.side is None:
            walker.clear = False
            return False
        held_ns = now_ns - walker.beyond_ns
        strayed, jitter = walker.swings.strayed_at(now_ns), paths.jitter(observation.track_id, way)
        needed = reach(self._margin, observation.size, jitter, strayed, held_ns)
        travels = paths.travel(observation.track_id, way) >= _TRAVEL * needed  # no swing, but a way that leads across
        walker.clear = beyond >= (self._margin * observation.size if travels else needed)
        return walker.clear and (walker.leapt or beyond >= observation.size or held_ns >= self._timing.enter_ns)

    def _away(self, point: Point) -> tuple[float, Point]:
        """Signed distance of a point from the line in pixels, positive on the right, and the nearest leg's normal."""
        # at a corner, both legs are equally near; the one that it is further aside of decides the side
        _, _, nearest = min((round(_distance(point, a, b), 6), -abs(_aside(point, a, b)), n)
                            for n, (a, b) in enumerate(self._legs))  # fmt: skip
        a, b = self._legs[nearest]
        length = math.dist(a, b)
        normal = ((a[1] - b[1]) / length, (b[0] - a[0]) / length)
        return math.copysign(_distance(point, a, b), _aside(point, a, b)), normal

    def _crossed(self, walker: Walker, now_ns: int) -> Iterator[Event]:
        assert walker.side is not None
        side, subject, at_ns = walker.side, walker.about, walker.crossed_ns
        walker.side, walker.clear = None, False
        self.counts[side] += 1
        extra = self._cooldown.begin(side, subject["label"], now_ns)
        if extra is None:
            return
        yield Event(
            type="line.crossed", phase="instant", start_ns=at_ns, end_ns=at_ns, score=walker.score,
            episode=f"{self.name}/{subject['track_id']}/{self.counts['left'] + self.counts['right']}",
            data={
                **extra, **subject, "line": self.name, "direction": self.name_of(side),
                "count": self.counts[side], "counts": {self.name_of(key): n for key, n in self.counts.items()},
            },
        )  # fmt: skip


def _with_ends(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The line with its outer ends moved out by a hair, so that a track exactly over an end crosses both ways."""
    first, last = points[0] - points[1], points[-1] - points[-2]
    ends = points.copy()
    ends[0] += first / np.hypot(*first) * _HAIR_PX
    ends[-1] += last / np.hypot(*last) * _HAIR_PX
    return ends


def meet(start: Point, end: Point, a: Point, b: Point) -> tuple[float, Side] | None:
    """Crossing of the way `start` to `end` with the leg a -> b: the part of the way gone, and the side it leads to.

    A point on the line counts as right of it, a corner as belonging to one of its two legs, so that every way through
    is found once.
    """
    before, after = _side(start, a, b), _side(end, a, b)
    if (before >= 0) == (after >= 0):
        return None
    if (_side(a, start, end) >= 0) == (_side(b, start, end) >= 0):
        return None
    return (before / (before - after), "right" if after >= 0 else "left")


def _side(point: Point, a: Point, b: Point) -> float:
    """Positive on the right hand of a person who walks from a to b (y down)."""
    return (b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0])


def _aside(point: Point, a: Point, b: Point) -> float:
    """Signed distance from the endless straight line through a and b, positive on the right."""
    return _side(point, a, b) / math.dist(a, b)


def _distance(point: Point, a: Point, b: Point) -> float:
    way_x, way_y = b[0] - a[0], b[1] - a[1]
    off_x, off_y = point[0] - a[0], point[1] - a[1]
    along = min(max((off_x * way_x + off_y * way_y) / (way_x * way_x + way_y * way_y), 0.0), 1.0)
    return float(np.hypot(off_x - along * way_x, off_y - along * way_y))


__all__ = ["Line", "Side", "Walker", "meet"]
