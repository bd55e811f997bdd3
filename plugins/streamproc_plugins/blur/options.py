"""Options of `blur`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import field_validator, model_validator

from streamproc import Duration, Field, seconds
from streamproc_plugins.annotate.video import EncodingOptions, checked_video_path
from streamproc_plugins.drawn import Polygon


class BlurOptions(EncodingOptions):
    """Regions to cover, the method, and the video's path."""

    faces: bool = Field(True, description="cover faces; a plugin that gives `Faces` has to stand before")
    labels: tuple[str, ...] = Field(
        (),
        description="cover whole objects with these labels, such as [person]; a plugin that gives `Detections`, "
        "`Tracks` or `Segmentation` has to stand before",
    )
    zones: dict[str, Polygon] = Field(
        {}, description="polygons that are always covered, by name, as [x, y] in fractions of the picture"
    )
    method: Literal["mosaic", "fill"] = Field("mosaic", description="a few coarse colours a part, or plain grey")
    blocks: int = Field(5, ge=1, le=8, description="mosaic: blocks along the longer side of a part")
    margin: float = Field(0.25, ge=0, le=2, description="how much is covered around, as a part of width and height")
    hold: Duration = Field(
        seconds(0.5),
        ge=0,
        description="a region that isn't found any more stays covered for so long: detectors miss single frames",
    )
    path: str | None = Field(
        None,
        min_length=1,
        description="MP4 file of the covered pictures; {stream} is the stream's name; left out: none",
    )

    @field_validator("path")
    @classmethod
    def _check_path(cls, path: str | None) -> str | None:
        return None if path is None else checked_video_path(path)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.faces and not self.labels and not self.zones:
            raise ValueError("nothing is to be covered; set faces, labels or zones, or leave blur out")
        return self
