"""Interface of sources, which frames come from. Touched by its own reader thread only.

A `VideoSource` (file, RTSP) says the format of its packets and yields them, and the engine decodes them; a
`PictureSource` (images, camera, Kafka, synthetic) yields pictures. Both simply end when the input ends, and raise
`SourceLost` when a live input went away: the engine then closes the source and opens it again after a while.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, ClassVar, Protocol

from streamproc.frames import Picture
from streamproc.options import Configurable, OptionsT
from streamproc.packets import MAX_PIXELS, Packet, VideoFormat


class Count(Protocol):
    """Counts frames that can't be read, with a short reason such as `undecodable`."""

    def __call__(self, reason: str, number: int = 1, /) -> None: ...


def _ignore(_: str) -> None:
    """Take no note: for a source outside an engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceContext:
    """Services that a source may use once it is opened."""

    stream: str
    """the stream's name in the configuration"""
    log: logging.Logger
    stopping: Callable[[], bool]
    """true once the run is being stopped: give up waiting"""
    count: Count
    """count one frame, or a number of them, that can't be read, with a short reason such as `undecodable`"""
    away: Callable[[str], None] = _ignore
    """for a source that waits for its input by itself: say why it is away, and with an empty text that it is back"""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputInfo:
    """Facts that a source states of its input when it opens."""

    identity: str
    """content fingerprint of a recording, a live stream's address and start, or what the user chose; no secrets"""
    live: bool
    rate: Fraction | None = None
    """nominal frames per second"""
    started_ns: int | None = None
    """UTC of the first frame where the recording itself or an option says so"""
    duration_ns: int | None = None
    """for progress only"""
    frames: int | None = None
    """how many frames there are, where it is known, for progress only"""
    rotation: int = 0
    """degrees clockwise by which the decoded pictures are to be turned: 0, 90, 180 or 270"""
    format: VideoFormat | None = None
    """how the packets of a `VideoSource` are to be decoded; None for a `PictureSource`"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Position of a picture in a partitioned input."""

    partition: str
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DecodedFrame:
    """One decoded picture as the source or the decoder gives it, before its time is corrected."""

    picture: Picture = field(repr=False)
    pts_ns: int | None
    """presentation time in the source's own count, None where it has none"""
    captured_ns: int | None = None
    """UTC of capture where the source knows it"""
    keyframe: bool = False
    stream: str | None = None
    """the stream it belongs to, where one source carries many"""
    position: Position | None = None
    """where to go on after a restart, for inputs that can be read again"""


class Source(Configurable[OptionsT], ABC):
    """Base of both kinds of sources. The constructor touches nothing; `open` does."""

    api: ClassVar[int] = 1
    resumable: ClassVar[bool] = False
    """whether its pictures carry positions and `commit` saves them"""
    several: ClassVar[bool] = False
    """whether it carries several streams, which it names while it runs"""

    @property
    def most_streams(self) -> int:
        """Number of streams it may carry at a time; where more come, the one that was silent for longest ends."""
        return 256

    @abstractmethod
    def open(self, context: SourceContext) -> InputInfo:
        """Connect; raise `SourceError` (it will never work) or `SourceLost` (try again later)."""

    def seek(self, positions: Mapping[str, int]) -> None:
        """Go on at these offsets, by partition; called after `open`, before reading, where a state was saved."""
        raise NotImplementedError(f"{type(self).__name__} can't be read from a position; implement `seek` for that")

    def commit(self, positions: Mapping[str, int]) -> None:
        """Commit these offsets, by partition: everything before them is done for good; called by the reader thread."""
        raise NotImplementedError(
            f"{type(self).__name__} saves no position; implement `commit`, or don't set `resumable`"
        )

    def close(self) -> None:
        """Let go of everything; called once per `open`, also after a failure."""


class VideoSource(Source[OptionsT]):
    """Yields packets; the engine decodes them.

    `open` describes them by `InputInfo.format`. The format may be another one when the source is opened again; where it
    changes in between, the first packet that has the new one says so (`Packet.format`).
    """

    @property
    def max_pixels(self) -> int:
        """Pixels of one picture at most; a larger one isn't decoded, but counted."""
        return MAX_PIXELS

    @abstractmethod
    def packets(self) -> Iterator[Packet]:
        """Packets in decoding order until the input ends or `SourceLost`.

        `SourceError` where it ends before its end: what came before is processed, and the stream counts as failed.
        """

    def ended_undecodable(self) -> None:
        """Take note that the last packet before the end could not be decoded: the input may be cut off there."""


class PictureSource(Source[OptionsT]):
    """Yields pictures."""

    @abstractmethod
    def frames(self) -> Iterator[DecodedFrame | None]:
        """Pictures in the order of their time until the input ends or `SourceLost`.

        A source that waits for pictures gives None about once a second, so that the engine can commit and stop.
        """


AnySource = VideoSource[Any] | PictureSource[Any]

__all__ = [
    "AnySource",
    "DecodedFrame",
    "InputInfo",
    "Packet",
    "PictureSource",
    "Position",
    "Source",
    "SourceContext",
    "VideoFormat",
    "VideoSource",
]
