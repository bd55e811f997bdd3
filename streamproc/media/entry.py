"""Entering H.264 anywhere but at an IDR: what refers to pictures from before the entry point is no damage.

The way into an open group of pictures leads over references that never came: pictures shown before the keyframe can't
be decoded, and those after it may still dismiss such references, which a strict decoder calls an error though the
pictures are whole (ITU-T H.264, section D.2.8, says that they are). A strict decoder stops at the first fault and a
lenient one patches it up, so a picture that is the same from both is whole whatever the strict one complains of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

from streamproc.media.context import SentPacket, decode, drain, sent_packet_of
from streamproc.media.picture import same_pixels

if TYPE_CHECKING:
    from av import VideoFrame
    from av.video.codeccontext import VideoCodecContext

_LENGTH = 32
"""packets after the first picture, and after the last complaint, for which an old reference may still be dismissed"""

_REORDERED = 16
"""pictures that may be shown before one that was sent before them, at most"""

Verdict = Literal["whole", "early", "damaged"]
"""early: shown before the entry point, or before a picture that is refreshed bit by bit is complete"""


class Entry:
    """Judges the first pictures behind one entry point.

    lenient: a new decoder that gets the same packets as the strict one.
    key: the packet of the keyframe.
    """

    def __init__(self, lenient: VideoCodecContext, key: SentPacket) -> None:
        self._lenient = lenient
        self._key = key
        self._key_is_out = False
        self._reached = False  # a whole picture has come out
        self._calm_since = 0  # number of the packet of the first picture or of the last complaint
        self._suspects: dict[int, SentPacket] = {}  # their packets failed, and they haven't come out yet
        self._strict: dict[int, VideoFrame] = {}  # pictures from the strict decoder, until the lenient one has them too
        self.given: set[int] = set()
        """numbers of the pictures that were judged"""

    def feed(
        self, payload: Any, sent: SentPacket, strict: Iterable[VideoFrame], failed: bool
    ) -> Iterator[tuple[VideoFrame, Verdict]]:
        """The next pictures in the order of showing.

        payload: PyAV's packet. strict, failed: what the strict decoder made of it.
        """
        if failed:
            self._suspects[sent.number] = sent
            self._calm_since = sent.number
        frames, _ = decode(self._lenient, payload)
        return self._judged(strict, frames)

    def finish(self, strict: Iterable[VideoFrame]) -> Iterator[tuple[VideoFrame, Verdict]]:
        """The last pictures; strict: those that the strict decoder held back."""
        return self._judged(strict, drain(self._lenient))

    def is_over(self, number: int) -> bool:
        """Return whether the strict decoder alone is to be believed from packet `number` on."""
        return self._reached and number - max(self._calm_since, self._key.number) >= _LENGTH

    def lost(self) -> Iterable[int]:
        """Numbers of pictures that failed and never came out."""
        return self._suspects

    def rest(self) -> list[VideoFrame]:
        """Pictures that the strict decoder has given already and the lenient one not yet."""
        return [frame for number, frame in self._strict.items() if number not in self.given]

    def _judged(
        self, strict: Iterable[VideoFrame], lenient: Iterable[VideoFrame]
    ) -> Iterator[tuple[VideoFrame, Verdict]]:
        self._strict |= {sent_packet_of(frame).number: frame for frame in strict}
        for frame in lenient:
            number = sent_packet_of(frame).number
            self.given.add(number)
            yield frame, self._verdict(number, frame)

    def _verdict(self, number: int, frame: VideoFrame) -> Verdict:
        twin, sent = self._strict.pop(number, None), sent_packet_of(frame)
        suspect = self._suspects.pop(number, None) is not None
        if self._leads(sent):
            return "early"
        self._key_is_out = True
        if suspect and (twin is None or not same_pixels(twin, frame)):
            return "damaged"
        if any(_is_overdue(lost, sent) and not self._leads(lost) for lost in self._suspects.values()):
            return "damaged"
        if frame.is_corrupt:  # FFmpeg's word for one that is not refreshed as a whole yet
            return "early"
        if not self._reached:
            self._reached = True
            self._calm_since = max(self._calm_since, number)
        return "whole"

    def _leads(self, sent: SentPacket) -> bool:
        """Return whether a picture is shown before the keyframe, though it was sent after it."""
        if sent.number <= self._key.number:
            return False
        if sent.pts_ns is not None and self._key.pts_ns is not None:
            return sent.pts_ns < self._key.pts_ns
        return not self._key_is_out and sent.number - self._key.number <= self._lenient.reorder_depth


def _is_overdue(lost: SentPacket, sent: SentPacket) -> bool:
    """Return whether a picture that hasn't come out yet should have done so before this one."""
    if lost.pts_ns is not None and sent.pts_ns is not None:
        return lost.pts_ns < sent.pts_ns
    return sent.number - lost.number > _REORDERED


__all__ = ["Entry", "Verdict"]
