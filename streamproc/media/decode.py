"""Packets to pictures, the same ones in every run, damaged input included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from streamproc.media.ffmpeg import load, stream_ns
from streamproc.media.picture import AvPicture, turned_size
from streamproc.source import Packet, Shot

if TYPE_CHECKING:
    from av import VideoFrame
    from av.video.codeccontext import VideoCodecContext

UNDECODABLE = "undecodable"

_MOST_HELD = 64
"""packets after which a picture that hasn't come out never will; codecs reorder 16 at most"""

_PATIENCE = 10
"""runs of damage in a row, without one whole group of pictures, after which small faults are let pass"""


@dataclass(frozen=True, slots=True, eq=False)
class _Ticket:
    """Goes through FFmpeg with a packet and comes back with its picture; each must be an object of its own."""

    number: int
    pts_ns: int | None
    captured_ns: int | None


class Decoder:
    """Decodes the packets of one stream on one thread (with frame threads a damaged file differs from run to run).

    Never shows a picture that was patched up: a packet that can't be decoded, or a picture that FFmpeg calls corrupt,
    costs everything up to the next keyframe. Each lost frame is counted once; nothing is raised. What was sent before
    the first keyframe is lost likewise. A stream that breaks its codec's rules all the time (some cameras do, in side
    information) is read less strictly after a while; pictures called corrupt are still dropped.

    count: called with `undecodable` for each lost frame.
    warn: called with a sentence where something of note is met.
    """

    def __init__(
        self,
        context: VideoCodecContext,
        time_base: Fraction,
        rotation: int,
        count: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        self._av = load()
        self._time_base = time_base
        self._rotation = rotation
        self._count = count
        self._warn = warn
        self._waiting = True  # for a keyframe
        self._proving = True  # no picture since that keyframe yet: what stays away was lost
        self._damages = 0  # since the last group of pictures that was whole
        self._number = 0
        self._pending: dict[int, _Ticket] = {}  # sent, and nothing has come out yet
        self._held: list[tuple[int, Shot]] = []  # out, and waiting for those they may refer to
        self.size: tuple[int, int] | None = None
        """(width, height) that all pictures have: the first one's, unless it is set before"""
        self._other: tuple[int, int] | None = None  # that was told of last
        self._context = _set_up(context, "crccheck+explode")

    def decode(self, packet: Packet | None) -> Iterator[Shot]:
        """Pictures that are ready, in presentation order; None asks for those held back."""
        if packet is None:
            return iter(self._finish())
        if self._waiting and not packet.keyframe:
            if not packet.payload.is_discard:
                self._count(UNDECODABLE)
            return iter(())
        if packet.keyframe and not self._waiting:
            self._damages = 0
        self._waiting = False
        ticket = self._admit(packet)
        frames, damaged = self._try(packet)
        bad = [frame for frame in frames if frame.is_corrupt]
        if damaged or bad:
            return iter(self._give_up(frames, _ticket(bad[0], ticket).number if bad else ticket.number))
        return iter(self._release(frames))

    def _admit(self, packet: Packet) -> _Ticket:
        self._number += 1
        ticket = _Ticket(self._number, packet.pts_ns, packet.captured_ns)
        packet.payload.opaque = ticket
        if not packet.payload.is_discard:  # cut off by an edit list: decoded, never shown
            self._pending[ticket.number] = ticket
        return ticket

    def _try(self, packet: Packet) -> tuple[list[VideoFrame], bool]:
        """What the decoder gives, and whether it failed."""
        if packet.payload.is_corrupt:
            return [], True
        try:
            return self._context.decode(packet.payload), False
        except (self._av.FFmpegError, OSError, ValueError):
            return [], True

    def _give_up(self, frames: list[VideoFrame], culprit: int) -> list[Shot]:
        """Keep what was decoded before packet `culprit`, count all the rest, wait for a keyframe."""
        shown = [self._shown(frame) for frame in [*frames, *self._drain()] if not frame.is_corrupt]
        kept = [(number, shot) for number, shot in [*self._held, *shown] if 0 < number < culprit]
        unseen = {*self._pending, *(number for number, _ in self._held)}
        for _ in unseen.difference(number for number, _ in kept):
            self._count(UNDECODABLE)
        self._held.clear()
        self._pending.clear()
        self._waiting = self._proving = True
        self._damages += 1
        if self._damages == _PATIENCE:
            self._relent()
        return [shot for _, shot in kept]

    def _finish(self) -> list[Shot]:
        frames = self._drain()
        bad = [_ticket(frame).number for frame in frames if frame.is_corrupt]
        if bad or (self._proving and self._pending):
            # nothing came out since the last keyframe, or what came out is damaged
            return self._give_up(frames, min(bad, default=self._number + 1))
        shots = self._release(frames) + [shot for _, shot in self._held]
        self._pending.clear()
        self._held.clear()
        return shots

    def _release(self, frames: list[VideoFrame]) -> list[Shot]:
        """What may be shown: a picture waits for those decoded before it, which it may refer to, to prove sound.

        FFmpeg marks a picture as corrupt when it comes out, and B-frames come out before what they refer to.
        """
        for frame in frames:
            number, shot = self._shown(frame)
            self._settle(number, shot.pts_ns)
            self._held.append((number, shot))
        unproved = min(self._pending, default=self._number + 1)
        ready = 0
        while ready < len(self._held) and self._held[ready][0] < unproved:
            ready += 1
        released, self._held = self._held[:ready], self._held[ready:]
        return [shot for _, shot in released]

    def _relent(self) -> None:
        """Go on with a decoder that lets small breaches of the codec's rules pass."""
        self._warn("this stream breaks its codec's rules all the time; it is decoded less strictly from here on")
        strict = self._context
        context: VideoCodecContext = self._av.CodecContext.create(strict.codec.name, "r")
        if strict.extradata:
            context.extradata = strict.extradata
        context.width, context.height = strict.width, strict.height
        self._context = _set_up(context, "0")

    def _drain(self) -> list[VideoFrame]:
        """The pictures held back; the decoder is as new afterwards."""
        frames: list[VideoFrame] = []
        for _ in range(_MOST_HELD):
            try:
                held = self._context.decode(None)
            except (self._av.error.EOFError, ValueError):
                break
            except (self._av.FFmpegError, OSError):
                continue  # one that can't be had; others may come behind it
            if not held:
                break
            frames += held
        self._context.flush_buffers()
        return frames

    def _shown(self, frame: VideoFrame) -> tuple[int, Shot]:
        """The number of its packet, and the picture."""
        ticket = _ticket(frame)
        pts_ns = stream_ns(frame.pts if frame.pts is not None else frame.dts, self._time_base)
        picture = AvPicture(frame, self._rotation, self._fitting(frame))
        shot = Shot(picture=picture, pts_ns=pts_ns, captured_ns=ticket.captured_ns, keyframe=bool(frame.key_frame))
        return ticket.number, shot

    def _settle(self, number: int, pts_ns: int | None) -> None:
        """A picture came out: those before it in time that didn't come out never will.

        Right after a keyframe they were lost (they refer to pictures before it); later on they are packets that show
        nothing, which some codecs have.
        """
        self._pending.pop(number, None)
        for other, ticket in list(self._pending.items()):
            earlier = pts_ns is not None and ticket.pts_ns is not None and ticket.pts_ns < pts_ns
            if earlier or other < self._number - _MOST_HELD:
                del self._pending[other]
                if self._proving:
                    self._count(UNDECODABLE)
        self._proving = False

    def _fitting(self, frame: VideoFrame) -> tuple[int, int] | None:
        """The stream's size where this picture has another one (adaptive streams change it on the way)."""
        own = turned_size(frame.width, frame.height, self._rotation)
        if self.size is None:
            self.size = own
        if own == self.size:
            self._other = None
            return None
        if own != self._other:
            self._other = own
            self._warn(f"the picture size has changed to {own[0]}x{own[1]}; pictures are brought back to "
                   f"{self.size[0]}x{self.size[1]}")  # fmt: skip
        return self.size


def _set_up(context: VideoCodecContext, strictness: str) -> VideoCodecContext:
    context.thread_count = 1
    context.thread_type = "NONE"
    context.copy_opaque = True
    context.options = {**context.options, "err_detect": strictness}
    return context


def _ticket(frame: VideoFrame, otherwise: _Ticket | None = None) -> _Ticket:
    found: Any = frame.opaque
    return found if isinstance(found, _Ticket) else otherwise or _Ticket(0, None, None)


__all__ = ["UNDECODABLE", "Decoder"]
