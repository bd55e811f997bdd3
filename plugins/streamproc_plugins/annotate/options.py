"""What a user can set of `annotate`."""

from __future__ import annotations

import string
from typing import Literal

from pydantic import field_validator

from streamproc import Duration, Field, Options, seconds

Layer = Literal[
    "segmentation", "masks", "zones", "lines", "trails", "boxes", "poses", "faces", "captions", "events", "clock"
]
LAYERS: tuple[Layer, ...] = (
    "segmentation", "masks", "zones", "lines", "trails", "boxes", "poses", "faces", "captions", "events", "clock",
)  # fmt: skip


class AnnotateOptions(Options):
    """Where the video goes, what is drawn, and how it is written."""

    path: str = Field("out/{stream}.mp4", min_length=1, description="MP4 file; {stream} is the stream's name")
    draw: tuple[Layer, ...] = Field(LAYERS, description="what is drawn, where plugins before gave it")
    trail: Duration = Field(
        seconds(2), ge=0, le=seconds(60), description="how much of its way each track draws behind it"
    )
    event_for: Duration = Field(
        seconds(2.5), ge=0, le=seconds(60), description="media time for which an event stays on the picture"
    )
    scale: float = Field(1.0, ge=0.1, le=4, description="size of the video as a multiple of the source's")
    crf: int = Field(23, ge=0, le=51, description="quality: 0 lossless, 23 usual, larger is smaller and worse")
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"] = Field(
        "veryfast", description="x264's preset: slower ones make smaller files"
    )

    @field_validator("path")
    @classmethod
    def _check_path(cls, path: str) -> str:
        try:
            names = {name for _, name, _, _ in string.Formatter().parse(path) if name is not None}
        except ValueError as error:
            raise ValueError(f"{path!r} can't be read: {error}; write {{{{ and }}}} for braces") from None
        if unknown := sorted(names - {"stream"}):
            raise ValueError(f"{path!r} holds {{{unknown[0]}}}; the only placeholder is {{stream}}")
        if not path.lower().endswith((".mp4", ".m4v", ".mov")):
            raise ValueError(f"{path!r} doesn't end in .mp4; the video is written as H.264 in MP4")
        return path
