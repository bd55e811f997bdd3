"""Tracks of one frame as the rules see them, and their recent paths."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from streamproc import Tracks

Box = tuple[float, float, float, float]
Point = tuple[float, float]

_OLDEST_BIRTH_NS = 2 * 10**9
"""a track that shows up older than this was followed elsewhere before; where it began says nothing here"""
_EDGE_PX = 0.5
_BORDER = 0.01
"""part of the picture's longer side within which a box touches its border"""
_WINDOW_NS = 10**9
_LEAST_SPAN_NS = 2 * 10**8


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A confirmed track in one frame; pixels of the source."""

    track_id: int
    label: str
    score: float
    box: Box
    """xyxy"""
    point: Point
    """its anchor, inside the picture"""
    born_ns: int
    """media time of its first detection; of this frame if it was seen shortly before, or began long ago"""
    born: Point
    """where it was then, by its velocity"""

    @property
    def size(self) -> float:
        """Mean of the box's width and height."""
        return (self.box[2] - self.box[0] + self.box[3] - self.box[1]) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The frame in which tracks are seen."""

    now_ns: int
    size: tuple[int, int]
    """width and height, pixels"""
    anchor: str = "bottom"
    before_ns: int | None = None
    """media time of the frame before"""


def sights(tracks: Tracks, look: Look, known: Container[int] = ()) -> list[Sight]:
    """The confirmed tracks; predicted places are not seen ones and would enter and leave on their own.

    known: ids seen shortly before, whose beginning says nothing more.
    """
    now_ns, size = look.now_ns, look.size
    found = []
    boxes, velocities = tracks.xyxy.tolist(), tracks.velocity.tolist()
    ids, scores, ages = tracks.track_id.tolist(), tracks.score.tolist(), tracks.age_ns.tolist()
    for row, state in enumerate(tracks.state):
        if state != "confirmed":
            continue
        left, top, right, bottom = box = tuple(boxes[row])
        y = {"bottom": bottom, "centre": (top + bottom) / 2, "top": top}[look.anchor]
        x = (left + right) / 2
        new = ages[row] <= _OLDEST_BIRTH_NS and ids[row] not in known
        age = ages[row] if new else 0
        back = age / 1e9
        found.append(
            Sight(
                track_id=ids[row],
                label=tracks.label[row],
                score=scores[row],
                box=box,
                point=_inside(x, y, size),
                born_ns=now_ns - age - (_half_step(look, now_ns - age, box) if new else 0),
                born=_inside(x - velocities[row][0] * back, y - velocities[row][1] * back, size),
            )
        )
    return found


def _half_step(look: Look, born_ns: int, box: Box) -> int:
    """Who is first seen at the picture's border came in after the frame before: most likely half-way between."""
    if look.before_ns is None:
        return 0
    width, height = look.size
    near = _BORDER * max(look.size)
    if min(box[0], box[1], width - box[2], height - box[3]) > near:
        return 0
    return min((look.now_ns - look.before_ns) // 2, _LEAST_SPAN_NS, born_ns)


def _inside(x: float, y: float, size: tuple[int, int]) -> Point:
    """A box may end on the picture's border or beyond; its anchor is put just inside, where zones are."""
    return (
        min(max(x, _EDGE_PX), size[0] - _EDGE_PX),
        min(max(y, _EDGE_PX), size[1] - _EDGE_PX),
    )


class Paths:
    """Where the anchors were during the last second of media time."""

    def __init__(self) -> None:
        self._steps: dict[int, list[tuple[int, float, float]]] = {}

    def __contains__(self, track_id: object) -> bool:
        return track_id in self._steps

    def add(self, now_ns: int, seen: list[Sight]) -> None:
        """Take a frame's sights; what is older than a second is forgotten."""
        for sight in seen:
            self._steps.setdefault(sight.track_id, []).append((now_ns, *sight.point))
        for track_id, steps in list(self._steps.items()):
            kept = [step for step in steps if now_ns - step[0] <= _WINDOW_NS]
            if kept:
                self._steps[track_id] = kept
            else:
                del self._steps[track_id]

    def velocity(self, track_id: int) -> Point | None:
        """Pixels per second, right and down: the straight line through the last second; None if it is too short."""
        steps = self._steps.get(track_id, [])
        if len(steps) < 2 or steps[-1][0] - steps[0][0] < _LEAST_SPAN_NS:
            return None
        rows = np.array(steps, np.float64)
        t = (rows[:, 0] - rows[-1, 0]) / 1e9
        t -= t.mean()
        slope = t @ rows[:, 1:] / (t @ t)
        return (float(slope[0]), float(slope[1]))

    def state(self) -> list[Any]:
        """JSON values for `restore`."""
        return [[track_id, [list(step) for step in steps]] for track_id, steps in self._steps.items()]

    def restore(self, state: list[Any]) -> None:
        """Go on from `state`."""
        self._steps = {int(i): [(int(t), float(x), float(y)) for t, x, y in steps] for i, steps in state}


def box_gap(a: Box, b: Box) -> float:
    """Distance in pixels between two boxes, 0 where they touch or overlap."""
    return math.hypot(max(a[0] - b[2], b[0] - a[2], 0), max(a[1] - b[3], b[1] - a[3], 0))


def wanted(seen: list[Sight], labels: tuple[str, ...]) -> list[Sight]:
    """Those with one of these labels; all where none is named."""
    return [sight for sight in seen if sight.label in labels] if labels else seen


def by_int(plain: Mapping[str, Any]) -> dict[int, Any]:
    """JSON turns the keys of a mapping into text; back."""
    return {int(key): value for key, value in plain.items()}
