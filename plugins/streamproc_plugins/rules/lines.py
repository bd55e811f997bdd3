"""One line, straight or bent: who crosses it, which way, when. Knows sights and media time only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamproc_plugins.rules.notices import Cooldown, Notice, about, plain
from streamproc_plugins.rules.options import LineOptions
from streamproc_plugins.rules.presence import Timing
from streamproc_plugins.rules.sights import Point, Sight, by_int, wanted

Side = Literal["left", "right"]


@dataclass(slots=True, kw_only=True)
class Walker:
    """What is known of a track at a line."""

    point: Point
    seen_ns: int
    side: Side | None = None
    """to which it has crossed without having got a margin beyond the line yet"""
    crossed_ns: int = 0


class Line:
    """Follows each anchor from sight to sight; a crossing counts once the anchor is a margin beyond the line.

    Who steps back over the line before that hasn't crossed. The moment is where the straight way between the two
    sights meets the line.
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
        self._legs = [((ax, ay), (bx, by)) for (ax, ay), (bx, by) in pairwise(points.tolist())]
        self._cooldown = Cooldown(options.cooldown)
        self._walkers: dict[int, Walker] = {}

    def step(self, now_ns: int, seen: list[Sight]) -> Iterator[Notice]:
        """What the sights of the frame at `now_ns` mean."""
        for sight in wanted(seen, self._options.labels):
            walker = self._walkers.get(sight.track_id)
            if walker is None:
                walker = Walker(point=sight.born, seen_ns=sight.born_ns)
                self._walkers[sight.track_id] = walker
            self._walk(walker, sight.point, now_ns)
            if walker.side is not None and self._away(sight.point) >= self._margin * sight.size:
                side, walker.side = walker.side, None
                yield from self._crossed(side, walker.crossed_ns, sight, now_ns)
        yield from self.expire(now_ns)

    def expire(self, now_ns: int) -> Iterator[Notice]:
        """Forget those not seen for too long."""
        for track_id, walker in list(self._walkers.items()):
            if now_ns - walker.seen_ns > self._timing.lost_ns:
                del self._walkers[track_id]
        yield from ()

    def finish(self, now_ns: int) -> Iterator[Notice]:
        """Nothing stays open at a line."""
        self._walkers.clear()
        yield from ()

    def state(self) -> dict[str, Any]:
        """JSON values for `restore`."""
        walkers = {str(track_id): plain(walker) for track_id, walker in self._walkers.items()}
        return {"counts": dict(self.counts), "walkers": walkers, "cooldown": self._cooldown.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.counts = dict(state["counts"])
        self._cooldown.restore(state["cooldown"])
        self._walkers = {
            track_id: Walker(**{**found, "point": (found["point"][0], found["point"][1])})
            for track_id, found in by_int(state["walkers"]).items()
        }

    def name_of(self, side: Side) -> str:
        """The user's word for a direction."""
        return getattr(self._options.directions, side)  # type: ignore[no-any-return]

    def _walk(self, walker: Walker, to: Point, now_ns: int) -> None:
        hits = sorted(hit for a, b in self._legs if (hit := meet(walker.point, to, a, b)) is not None)
        for share, side in hits:
            if walker.side is not None and walker.side != side:
                walker.side = None
            else:
                walker.side = side
                walker.crossed_ns = walker.seen_ns + round(share * (now_ns - walker.seen_ns))
        walker.point, walker.seen_ns = to, now_ns

    def _away(self, point: Point) -> float:
        """Distance of a point from the line in pixels."""
        return min(_distance(point, a, b) for a, b in self._legs)

    def _crossed(self, side: Side, at_ns: int, sight: Sight, now_ns: int) -> Iterator[Notice]:
        self.counts[side] += 1
        extra = self._cooldown.begin(side, sight.label, now_ns)
        if extra is None:
            return
        yield Notice(
            type="line.crossed", phase="instant", start_ns=at_ns, end_ns=at_ns, score=sight.score,
            episode=f"{self.name}/{sight.track_id}/{self.counts['left'] + self.counts['right']}",
            data={
                **extra, **about(sight), "line": self.name, "direction": self.name_of(side),
                "count": self.counts[side], "counts": {self.name_of(key): n for key, n in self.counts.items()},
            },
        )  # fmt: skip


def meet(start: Point, end: Point, a: Point, b: Point) -> tuple[float, Side] | None:
    """Where the way from `start` to `end` crosses the leg a -> b: the part of the way gone, and the side it leads to.

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
    """Positive on the right hand of someone walking from a to b (y down)."""
    return (b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0])


def _distance(point: Point, a: Point, b: Point) -> float:
    way_x, way_y = b[0] - a[0], b[1] - a[1]
    off_x, off_y = point[0] - a[0], point[1] - a[1]
    along = min(max((off_x * way_x + off_y * way_y) / (way_x * way_x + way_y * way_y), 0.0), 1.0)
    return float(np.hypot(off_x - along * way_x, off_y - along * way_y))


__all__ = ["Line", "Side", "Walker", "meet"]
