"""Facts that a container states about its video stream, those that can't be meant left out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import TYPE_CHECKING

from streamproc.frames import SECOND_NS
from streamproc.media.orientation import Orientation
from streamproc.packets import ticks_ns

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_STATING = ("matroska", "flv")
"""formats whose own word FFmpeg hands on, of a file that is cut off too; of others it reckons what is there"""

LONGEST_NS = 366 * 86_400 * SECOND_NS
MOST_FRAMES = 1_000_000_000
"""a recording that states more is taken for one with a broken header (a year of 25 a second is 790 million)"""

_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d)(?:\.(\d{1,9}))?")
"""as Matroska's tags have a duration"""

_NO_DATE_BEFORE = datetime(1980, 1, 1, tzinfo=UTC)
"""cameras without a clock write 1904 or 1970"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Facts that a container states of its video stream."""

    container: str
    """FFmpeg's short name of the format, such as `mov` or `rtsp`"""
    codec: str
    """FFmpeg's name, such as `h264` or `hevc`"""
    pixel_format: str
    width: int
    height: int
    """as stored, before rotation, in pixels; 0 where only the pictures have it"""
    rate: Fraction | None
    """nominal or average frames per second"""
    odd_rate: Fraction | None
    """what it claims where that can't be meant: ticks of a clock, such as 90,000"""
    time_base: Fraction
    """seconds per tick of its time stamps"""
    orientation: Orientation
    """how the pictures are to be mirrored and turned"""
    duration_ns: int | None
    stated_ns: int | None
    """duration that the container states of its pictures alone; None where it means sound too, or FFmpeg reckons it"""
    frames: int | None
    """where the container has an index"""
    false_claim: str
    """the number of pictures or the duration that it states where that can't be meant: it is left out above"""
    started_ns: int | None
    """UTC of the start of the recording as its metadata have it"""
    has_b_frames: bool
    audio: bool
    """whether there is sound too (it is never read)"""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the pictures after rotation."""
        return self.orientation.size(self.width, self.height)


def format_name(container: InputContainer) -> str:
    """FFmpeg's short name of the format."""
    return container.format.name.split(",")[0]


def believed(value: int | None, limit: int) -> int | None:
    """The value, or None where it is impossible; FFmpeg wraps the largest ones to below 0."""
    return value if value is not None and 0 <= value <= limit else None


def false_claim(frames: int | None, duration_ns: int | None) -> str:
    """Describe the claims of the header that can't be meant; empty where there is nothing of the kind."""
    if believed(frames, MOST_FRAMES) != frames:
        return f"{frames:,} pictures"
    if duration_ns is not None and believed(duration_ns, LONGEST_NS) is None:
        return f"a duration of {duration_ns / (86_400 * SECOND_NS):,.0f} days"
    return ""


def started_ns(metadata: Mapping[str, str]) -> int | None:
    """UTC of `creation_time` (MP4, MOV, MKV) or Apple's own date where it makes sense."""
    for key in ("com.apple.quicktime.creationdate", "creation_time", "date"):
        with suppress(ValueError, OverflowError):
            found = datetime.fromisoformat(metadata.get(key, ""))
            found = found.replace(tzinfo=UTC) if found.tzinfo is None else found
            if len(metadata[key]) > len("2024-01-01") and found > _NO_DATE_BEFORE:
                return utc_ns(found)
    return None


def stated_ns(container: InputContainer, stream: VideoStream) -> int | None:
    """Matroska's tag of the stream; what is stated of the whole file only where it holds nothing that may be longer.

    A tag may be left from a longer recording that this one was cut from: it doesn't go beyond the whole file.
    """
    if format_name(container) not in _STATING:
        return None
    whole_ns = ticks_ns(container.duration, Fraction(1, 1_000_000))
    tags = [text for key, text in stream.metadata.items() if key == "DURATION" or key.startswith("DURATION-")]
    own = next((found for found in map(_CLOCK.match, tags) if found), None)
    if own is None:
        return whole_ns if len(container.streams) == 1 else None
    hours, minutes, seconds, part = own.groups(default="")
    own_ns = ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * SECOND_NS + int(part.ljust(9, "0"))
    return own_ns if whole_ns is None else min(own_ns, whole_ns)


def utc_ns(moment: datetime) -> int:
    """Nanoseconds since 1970 of a time with its zone, exact to the microsecond."""
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * SECOND_NS + since.microseconds * 1_000


__all__ = [
    "LONGEST_NS",
    "MOST_FRAMES",
    "Facts",
    "believed",
    "false_claim",
    "format_name",
    "started_ns",
    "stated_ns",
    "utc_ns",
]
