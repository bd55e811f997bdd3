"""Options of `faces`."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, WithJsonSchema

from streamproc import Field, Options

Score = Annotated[float, Field(ge=0, le=1)]
Side = Annotated[int, Field(ge=32, le=4096)]


_PERCENT = r"^\s*\d+(\.\d+)?\s*%\s*$"


def parse_share(value: Any) -> Any:
    """The fraction that a text such as `1%` stands for; anything else as it is."""
    return float(value.strip().rstrip("%")) / 100 if isinstance(value, str) and re.match(_PERCENT, value) else value


Share = Annotated[
    float,
    Field(gt=0, le=0.5),
    BeforeValidator(parse_share),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "exclusiveMinimum": 0, "maximum": 0.5}, {"pattern": _PERCENT, "type": "string"}]}
    ),
]
"""A part of the whole: a percentage (`1%`) or a fraction (0.01)."""


class QualityOptions(Options):
    """Limits for a face to get an embedding; the others are given all the same, without one."""

    min_eyes: float = Field(default=10, ge=0, le=1000, description="least pixels between the eyes")
    min_score: Score = Field(default=0.6, description="least score of the detection")
    min_frontal: Score = Field(
        default=0.1, description="how far a face may be turned: 1 straight at the camera, 0 in profile"
    )
    min_sharpness: float = Field(
        default=5, ge=0, description="least variance of the Laplacian of the aligned face, in squared grey levels"
    )


class FacesOptions(Options):
    """The nets, the faces to pass on, and how closely to look."""

    model: str = Field(
        default="yunet", description="face detector: name in the model list, path of a model folder, or mtcnn"
    )
    embedding: str | None = Field(
        default=None, description="net that identifies people, such as sface or mobileface; left out: detection only"
    )
    min_score: Score | None = Field(
        default=None, description="faces below are dropped; by default it suits the model (0.6 for yunet)"
    )
    nms_iou: float = Field(
        default=0.3, gt=0, le=1, description="of two faces that overlap by more than this (IoU) the better stays"
    )
    min_size: float = Field(default=0, ge=0, le=4096, description="faces whose box is narrower or lower are dropped")
    max_items: int = Field(default=100, ge=1, le=1000, description="most faces per frame, best first")
    input_size: Literal["auto"] | tuple[Side, Side] = Field(
        default="auto", description="[height, width] of the detector's input; auto: chosen from the picture's shape"
    )
    detail: Literal["low", "normal", "high"] = Field(
        default="normal",
        description="with input_size auto: at most half, one or 3.8 times the model's usual number of pixels; pictures "
        "are never enlarged",
    )
    quality: QualityOptions = Field(default=QualityOptions(), description="which faces get an embedding")
    threads: int = Field(default=1, ge=1, le=64, description="threads that one call of a net may use")


__all__ = ["FacesOptions", "QualityOptions", "Score", "Share", "Side", "parse_share"]
