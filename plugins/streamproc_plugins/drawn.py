"""Points and polygons that users draw: every mistake in them is reported at once."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import InitErrorDetails, PydanticCustomError

from streamproc import Field

Part = Annotated[float, Field(ge=0, le=1)]
Point = tuple[Part, Part]

_LEAST_AREA = 1e-5


def points_at_least(least: int) -> WrapValidator:
    """Checks the number of points after their coordinates; a list that is only short is left to other checks."""

    def check(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            if not isinstance(value, list | tuple) or len(value) >= least:
                raise
            found = [
                InitErrorDetails(type=e["type"], loc=e["loc"], input=e["input"], ctx=e.get("ctx", {}))
                for e in error.errors(include_url=False)
            ]
            few = PydanticCustomError("too_few_points", "give at least {least} points", {"least": least})
            found.append(InitErrorDetails(type=few, input=value))
            raise ValidationError.from_exception_data(error.title, found) from None

    return WrapValidator(check)


def checked_polygon(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """The points; `ValueError` where they enclose nothing, or edges cross each other."""
    if len(set(points)) < 3:
        raise ValueError(f"a polygon of {len(set(points))} different points encloses nothing; give at least 3")
    x, y = np.array(points).T
    # a polygon that crosses itself may have no net area, so each triangle with the first corner counts for itself
    if np.abs((x - x[0]) * (np.roll(y, -1) - y[0]) - (np.roll(x, -1) - x[0]) * (y - y[0])).sum() < _LEAST_AREA:
        raise ValueError("the polygon's points lie on one line, so it encloses nothing; move one of them")
    if crossing := _crossing_edges(points):
        (a, b), (c, d) = crossing
        raise ValueError(
            f"the polygon crosses itself: its edges {list(a)} to {list(b)} and {list(c)} to {list(d)} cross, so that a "
            "part of it counts as outside; name the corners in the order of its border"
        )
    return points


def _crossing_edges(points: tuple[Point, ...]) -> tuple[tuple[Point, Point], tuple[Point, Point]] | None:
    """The first two edges that cross each other; that they touch is no crossing."""
    edges = [edge for edge in pairwise((*points, points[0])) if edge[0] != edge[1]]
    return next(((one, other) for one, other in combinations(edges, 2) if _cross(*one, *other)), None)


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    return _turn(a, b, c) * _turn(a, b, d) < 0 and _turn(c, d, a) * _turn(c, d, b) < 0


def _turn(a: Point, b: Point, c: Point) -> float:
    """Positive where the way from a over b to c turns one way, negative the other, 0 straight on."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


Polygon = Annotated[tuple[Point, ...], points_at_least(3), AfterValidator(checked_polygon)]
"""At least 3 corners [x, y] in fractions 0-1 of the picture, whose edges don't cross."""

__all__ = ["Part", "Point", "Polygon", "checked_polygon", "points_at_least"]
