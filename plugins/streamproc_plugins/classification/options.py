"""Options of `classification`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator

from streamproc import Field, Options

Part = Annotated[float, Field(ge=0, le=1)]
Score = Part
Point = tuple[Part, Part]


def _check_box(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = box
    if left >= right or top >= bottom:
        raise ValueError(f"the box {list(box)} is empty; give [left, top, right, bottom] in fractions 0-1")
    return box


def _check_polygon(points: tuple[Point, ...]) -> tuple[Point, ...]:
    if len({x for x, _ in points}) < 2 or len({y for _, y in points}) < 2:
        raise ValueError("the polygon's points lie on one line, so it encloses nothing; move one of them")
    return points


Box = Annotated[tuple[Part, Part, Part, Part], AfterValidator(_check_box)]
Polygon = Annotated[tuple[Point, ...], Field(min_length=3), AfterValidator(_check_polygon)]
View = Literal["whole", "centre"] | Box | Polygon


class ClassificationOptions(Options):
    """The net, the parts of the picture it looks at, and the labels to give."""

    model: str = Field(default="mobilenet-v2", description="name in the model list, or path of a model folder")
    fit: Literal["auto", "crop", "stretch", "letterbox"] = Field(
        default="auto",
        description="how the picture gets the input's shape: its middle (87.5 %), stretched, or with grey bars; "
        "auto: as the model's manifest says",
    )
    views: tuple[View, ...] = Field(
        default=("whole",),
        min_length=1,
        max_length=16,
        description="parts to look at: whole, centre, boxes [left, top, right, bottom] or polygons [[x, y], ...] "
        "in fractions 0-1 (of a polygon its bounding box)",
    )
    centre_part: float = Field(
        default=0.5, gt=0, lt=1, description="width and height of the view `centre` as a part of the picture's"
    )
    combine: Literal["mean", "max"] = Field(default="mean", description="how the scores of several views become one")
    activation: Literal["auto", "softmax", "sigmoid", "none"] = Field(
        default="auto", description="activation from the net's outputs to scores; auto: as the model's manifest says"
    )
    labels: tuple[str, ...] = Field(
        default=(), description="labels to give, each whole or one of its synonyms; empty: all that the model knows"
    )
    groups: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(
        default={},
        description="labels of your own, each in place of some of the model's, such as {cat: [tabby, Egyptian cat]}",
    )
    top_k: int = Field(default=5, ge=1, le=1000, description="most labels per frame, best first")
    min_score: Score = Field(default=0.0, description="labels below are dropped")
    scores: dict[str, Score] = Field(
        default={}, description="a lowest score of its own for a label, such as {smoke: 0.3}"
    )
    threads: int = Field(default=1, ge=1, le=64, description="threads that one call of the net may use")
