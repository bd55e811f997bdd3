"""Options of `annotate`."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from streamproc import Duration, Field, seconds
from streamproc_plugins.annotate.video import EncodingOptions, checked_video_path

Layer = Literal[
    "segmentation", "attention", "masks", "zones", "lines", "trails", "boxes", "poses", "faces", "captions", "events",
    "clock",
]  # fmt: skip
LAYERS: tuple[Layer, ...] = (
    "segmentation", "attention", "masks", "zones", "lines", "trails", "boxes", "poses", "faces", "captions", "events",
    "clock",
)  # fmt: skip


class AnnotateOptions(EncodingOptions):
    """The video's path, the layers to draw, and the encoding."""

    path: str = Field("out/{stream}.mp4", min_length=1, description="MP4 file; {stream} is the stream's name")
    draw: tuple[Layer, ...] = Field(LAYERS, description="layers to draw, where plugins before gave results for them")
    trail: Duration = Field(
        seconds(2), ge=0, le=seconds(60), description="how much of its way each track draws behind it"
    )
    event_for: Duration = Field(
        seconds(2.5),
        ge=0,
        le=seconds(60),
        description="media time for which an event, and at most a classifier's last answer, stays on the picture",
    )
    scale: float = Field(1.0, ge=0.1, le=4, description="size of the video as a multiple of the source's")

    @field_validator("path")
    @classmethod
    def _check_path(cls, path: str) -> str:
        return checked_video_path(path)
