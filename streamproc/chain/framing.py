"""From decoded frames to frames: index, capture time, and the one size that a stream's pictures have."""

from __future__ import annotations

from collections.abc import Callable

from streamproc.frames import Frame, Image, Picture, PixelCache, StreamInfo, resize
from streamproc.source import DecodedFrame

_LAST_CAPTURE_NS = 253_402_300_799 * 10**9
"""the end of the year 9999: a capture time beyond it (or before 1970) is nonsense"""


class FrameMaker:
    """Makes the frames of one stream, in order. warn: called once for each kind of trouble."""

    def __init__(self, info: StreamInfo, warn: Callable[[str], None]) -> None:
        self.index = 0
        """of the next frame"""
        self._info = info
        self._warn = warn
        self._warned: set[str] = set()

    def make(self, decoded: DecodedFrame, pts_ns: int) -> Frame:
        """Return the frame of a decoded picture at this media time."""
        if decoded.position is not None:
            # no index, and so no id, may occur twice, even where another worker read the partition and stored no state
            self.index = max(self.index, decoded.position.offset)
        frame = Frame(
            stream=self._info,
            index=self.index,
            pts_ns=pts_ns,
            pixels=PixelCache(self._fitted(decoded.picture)),
            captured_ns=self._captured_ns(decoded, pts_ns),
            keyframe=decoded.keyframe,
        )
        self.index += 1
        return frame

    def warn_once(self, topic: str, text: str) -> None:
        """Warn of the first trouble of a kind."""
        if topic not in self._warned:
            self._warned.add(topic)
            self._warn(text)

    def _captured_ns(self, decoded: DecodedFrame, pts_ns: int) -> int | None:
        captured_ns = decoded.captured_ns
        if captured_ns is None and self._info.started_ns is not None:
            captured_ns = self._info.started_ns + pts_ns
        if captured_ns is None or 0 <= captured_ns <= _LAST_CAPTURE_NS:
            return captured_ns
        self.warn_once("capture", f"capture time {captured_ns} ns isn't between 1970 and 9999: taken as unknown")
        return None

    def _fitted(self, picture: Picture) -> Picture:
        """Return the picture at the stream's size, in which boxes and zones are: a source may change its size."""
        size = (picture.width, picture.height)
        if size == self._info.size:
            return picture
        self.warn_once("size", f"a picture of {size} pixels is fitted to the stream's {self._info.size}")
        return _Fitted(picture, *self._info.size)


class _Fitted:
    """A picture at another size than its own."""

    def __init__(self, picture: Picture, width: int, height: int) -> None:
        self._picture = picture
        self.width = width
        self.height = height

    def to_rgb(self) -> Image:
        return resize(self._picture.to_rgb(), self.width, self.height)

    def to_gray(self) -> Image:
        return resize(self._picture.to_gray(), self.width, self.height)


__all__ = ["FrameMaker"]
