"""Options of `detection`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import model_validator

from streamproc import Field, Options

Score = Annotated[float, Field(ge=0, le=1)]
Side = Annotated[int, Field(ge=32, le=4096)]


class TilesOptions(Options):
    """Parts of the picture that are looked at one by one, besides the whole."""

    columns: int = Field(default=2, ge=1, le=8, description="tiles side by side")
    rows: int = Field(default=2, ge=1, le=8, description="tiles one above the other")
    overlap: float = Field(
        default=0.2,
        ge=0,
        le=0.5,
        description="part of a tile that it shares with the next; objects up to that size stay whole",
    )

    @model_validator(mode="after")
    def _more_than_one(self) -> TilesOptions:
        if self.columns * self.rows == 1:
            raise ValueError("one tile is the whole picture; ask for more columns or rows, or leave `tiles` out")
        return self


class DetectionOptions(Options):
    """The net, the detections to give, and how closely to look."""

    model: str = Field(default="yolox-nano", description="name in the model list, or path of a model folder")
    labels: tuple[str, ...] = Field(default=(), description="labels to give; empty: all that the model knows")
    min_score: Score | None = Field(
        default=None, description="detections below are dropped; by default it suits the model (0.35 for yolox-nano)"
    )
    scores: dict[str, Score] = Field(
        default={}, description="a lowest score of its own for a label, such as {person: 0.4}"
    )
    nms_iou: float = Field(
        default=0.45,
        gt=0,
        le=1,
        description="of two boxes of one label that overlap by more than this (IoU) the better stays",
    )
    nms_across_labels: bool = Field(
        default=False,
        description="boxes of different labels give way to each other too, as where one vehicle is a car and a truck",
    )
    max_items: int = Field(default=100, ge=1, le=1000, description="most detections per frame, best first")
    input_size: Literal["auto"] | tuple[Side, Side] = Field(
        default="auto", description="[height, width] of the net's input; auto: chosen from the picture's shape"
    )
    detail: Literal["low", "normal", "high"] = Field(
        default="normal", description="with input_size auto: half, one or 2.7 times the model's usual number of pixels"
    )
    tiles: TilesOptions | None = Field(
        default=None, description="look at parts too, for small objects in large pictures"
    )
    threads: int = Field(default=1, ge=1, le=64, description="threads that one call of the net may use")
