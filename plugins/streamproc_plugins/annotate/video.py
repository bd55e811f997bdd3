"""Options and file of every plugin that writes a video."""

from __future__ import annotations

import string
from typing import Literal

from streamproc import Field, Options
from streamproc.media import VideoWriter
from streamproc_plugins.storage import file_name


class EncodingOptions(Options):
    """Encoding of a video."""

    crf: int = Field(23, ge=0, le=51, description="quality: 0 lossless, 23 usual, larger is smaller and worse")
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"] = Field(
        "veryfast", description="x264's preset: slower ones make smaller files"
    )


def checked_video_path(path: str) -> str:
    """The path if it can be one of a video; `ValueError` for other placeholders than {stream} and other endings."""
    try:
        names = {name for _, name, _, _ in string.Formatter().parse(path) if name is not None}
    except ValueError as error:
        raise ValueError(f"{path!r} can't be read: {error}; write {{{{ and }}}} for braces") from None
    if unknown := sorted(names - {"stream"}):
        raise ValueError(f"{path!r} holds {{{unknown[0]}}}; the only placeholder is {{stream}}")
    if not path.lower().endswith((".mp4", ".m4v", ".mov")):
        raise ValueError(f"{path!r} doesn't end in .mp4; the video is written as H.264 in MP4")
    return path


def video_writer(path: str, stream: str, options: EncodingOptions) -> VideoWriter:
    """The writer of a stream's video; nothing is written before the first picture."""
    return VideoWriter(path.format(stream=file_name(stream)), preset=options.preset, crf=options.crf)
