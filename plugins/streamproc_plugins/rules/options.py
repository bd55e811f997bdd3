"""Options of `rules`."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, model_validator

from streamproc import Duration, Field, Options, seconds
from streamproc_plugins.drawn import Point, Polygon, points_at_least

Anchor = Literal["bottom", "centre", "top"]

_NAME = re.compile(r"[^\s/][^/\n]{0,63}")


def _check_points(points: tuple[Point, ...]) -> tuple[Point, ...]:
    if len(points) < 2:
        raise ValueError(f"a line needs at least 2 points, got {len(points)}")
    if any(a == b for a, b in pairwise(points)):
        raise ValueError("two points that follow each other are the same; leave one of them out")
    return points


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"the name {name!r} can't be used; expected 1 to 64 characters without / and line breaks")
    return name


Path = Annotated[tuple[Point, ...], points_at_least(2), AfterValidator(_check_points)]
Arrow = Annotated[tuple[Point, Point], AfterValidator(_check_points)]
Name = Annotated[str, AfterValidator(_check_name)]


class RuleOptions(Options):
    """Options of every rule. `for` is a Python keyword, so in code it is called `lasting`."""

    model_config = ConfigDict(populate_by_name=True)

    labels: tuple[str, ...] = Field((), description="labels that it looks at; empty: all")
    cooldown: Duration = Field(
        0, ge=0, description="after one event, no other of the same type and label from here begins for so long"
    )


class CrowdOptions(Options):
    """Limits for a crowd."""

    model_config = ConfigDict(populate_by_name=True)

    count: int = Field(ge=1, le=10_000, description="tracks inside at once from which it is crowded")
    lasting: Duration = Field(seconds(2), ge=0, alias="for", description="time for which they must be that many")


class LoiteringOptions(Options):
    """Limits for loitering."""

    model_config = ConfigDict(populate_by_name=True)

    lasting: Duration = Field(seconds(60), gt=0, alias="for", description="time in the zone, short absences included")
    absence: Duration = Field(seconds(5), ge=0, description="absences up to this long don't count")


class ZoneOptions(RuleOptions):
    """A part of the picture."""

    polygon: Polygon = Field(description="at least 3 corners [x, y] in fractions 0-1 of the picture")
    dwell: Duration | None = Field(None, gt=0, description="time inside after which `zone.dwell` starts")
    crowd: CrowdOptions | None = Field(None, description="how many inside start `zone.crowded`")
    loitering: LoiteringOptions | None = Field(
        None, description="how long a stay, short absences included, starts `zone.loitering`"
    )


class DirectionNames(Options):
    """Own words for the two directions over a line a -> b."""

    left: str = Field("left", min_length=1, description="to the left hand of a person who walks from a to b")
    right: str = Field("right", min_length=1, description="to the right hand")

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.left == self.right:
            raise ValueError(f"both directions are called {self.left!r}; give them different names")
        return self


class LineOptions(RuleOptions):
    """A line that counts its crossings."""

    points: Path = Field(description="two or more points [x, y] in fractions 0-1 of the picture, in walking order")
    directions: DirectionNames = Field(DirectionNames(), description="own names: {left: out, right: in}")


class StationaryOptions(RuleOptions):
    """Limits for standing still."""

    lasting: Duration = Field(seconds(30), gt=0, alias="for", description="time for which it must stand still")
    radius: float = Field(
        0.25, gt=0, le=10, description="it stands still while its anchor stays in a circle of this part of its box"
    )
    polygon: Polygon | None = Field(None, description="only inside this polygon")


class LeftObjectOptions(StationaryOptions):
    """Limits for an object left behind: it stands still with no owner near it."""

    owners: tuple[str, ...] = Field(("person",), min_length=1, description="labels of possible owners")
    near: float = Field(
        1.0, ge=0, le=20, description="an owner is near within this many of their own box heights, from box to box"
    )
    passing: Duration = Field(
        seconds(5), ge=0, description="an owner that is near later, and for less time, only passes by"
    )

    @model_validator(mode="after")
    def _others(self) -> Self:
        if not self.labels:
            raise ValueError("name the `labels` of things that can be left, such as [backpack, suitcase, handbag]")
        if both := sorted(set(self.labels) & set(self.owners)):
            raise ValueError(f"{both} can't be both a left thing and its owner; take it out of one of the lists")
        return self


class WrongWayOptions(RuleOptions):
    """A direction in which one should not move against."""

    along: Arrow = Field(description="two points [x, y]: the right way leads from the first to the second")
    lasting: Duration = Field(seconds(1), ge=0, alias="for", description="time for which it must go the wrong way")
    tolerance: float = Field(60, gt=0, le=90, description="degrees from the opposite direction that still are wrong")
    min_speed: float = Field(0.2, ge=0, le=100, description="slower is no direction; box sizes per second")
    polygon: Polygon | None = Field(None, description="only inside this polygon")


class SpeedOptions(RuleOptions):
    """A speed limit."""

    above: float = Field(gt=0, description="the limit, in `unit`")
    unit: Literal["px/s", "m/s", "km/h"] = Field("px/s", description="pixels of the source, or of the ground")
    metres: float | None = Field(
        None, gt=0, description="width of the whole picture, measured on the ground there; for m/s and km/h"
    )
    lasting: Duration = Field(seconds(0.5), ge=0, alias="for", description="time for which it must be faster")
    polygon: Polygon | None = Field(None, description="only inside this polygon")

    @model_validator(mode="after")
    def _scaled(self) -> Self:
        if (self.unit == "px/s") != (self.metres is None):
            raise ValueError(f"unit {self.unit} {'needs no' if self.metres else 'needs'} `metres`, the picture's width")
        return self


class RulesOptions(Options):
    """Zones, lines and other rules by name, and how steady a change must be before its event."""

    zones: dict[Name, ZoneOptions] = Field({}, description="zone.entered, zone.left, zone.dwell, zone.crowded, ...")
    lines: dict[Name, LineOptions] = Field({}, description="line.crossed")
    stationary: dict[Name, StationaryOptions] = Field({}, description="object.stationary")
    left_objects: dict[Name, LeftObjectOptions] = Field({}, description="object.left")
    wrong_way: dict[Name, WrongWayOptions] = Field({}, description="direction.wrong")
    speed: dict[Name, SpeedOptions] = Field({}, description="speed.exceeded")
    anchor: Anchor = Field("bottom", description="the point of a box that is inside or outside: bottom centre, ...")
    enter_after: Duration = Field(seconds(0.3), ge=0, description="time inside after which an object has entered")
    leave_after: Duration = Field(seconds(0.5), ge=0, description="time outside after which an object has left")
    lost_after: Duration = Field(
        seconds(3),
        gt=0,
        description="a track without a detection for longer has left; found earlier, its visit goes on",
    )
    margin: float = Field(
        0.05, ge=0, le=1, description="how far beyond a border or line one must get, as part of the box's size"
    )
    update_every: Duration = Field(seconds(30), ge=0, description="time between two updates; 0s: none")

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not (self.zones or self.lines or self.stationary or self.left_objects or self.wrong_way or self.speed):
            raise ValueError("there is no rule; give zones, lines, stationary, left_objects, wrong_way or speed")
        return self
