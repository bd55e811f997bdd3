"""Packets to pictures, the same ones in every run, damaged input included."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from streamproc.media.context import (
    LENIENT,
    MOST_HELD,
    STRICT,
    SentPacket,
    decode,
    drain,
    new_decoder,
    sent_packet_of,
    show_all,
)
from streamproc.media.convert import av_packet
from streamproc.media.entry import Entry, Verdict
from streamproc.media.h264 import HEAD, H264Reader
from streamproc.media.header import HEAD_BYTES, MAX_PIXELS, TOO_LARGE, too_large
from streamproc.media.orientation import UPRIGHT, Orientation, of_frame
from streamproc.media.picture import AvPicture
from streamproc.media.stamps import StampOrder
from streamproc.packets import Packet, VideoFormat
from streamproc.source import DecodedFrame

if TYPE_CHECKING:
    from av import VideoFrame

UNDECODABLE = "undecodable"

_PATIENCE = 10
"""runs of damage in a row, without one whole group of pictures, after which small faults are let pass"""

_SAY_NOW_AND_THEN, _SAY_EACH_TIME = ("h264", "hevc"), ("mjpeg", "png", "webp", "tiff")
"""codecs whose pictures may say how they are to be turned"""

_TOLERANT = ("tiff",)
"""codecs whose FFmpeg decoder calls a tag that it doesn't know a breach of the rules"""


class Decoder:
    """Decodes the packets of one stream on one thread (with frame threads a damaged file differs from run to run).

    Never shows a picture that was patched up: a packet that can't be decoded, or a picture that FFmpeg calls corrupt,
    costs everything up to the next keyframe. Each lost frame is counted once; nothing is raised. What was sent before
    the first keyframe is lost likewise, and so are pictures that refer to it; that is no damage. A stream that breaks
    its codec's rules all the time (some cameras do, in side information) is read less strictly after a while; pictures
    called corrupt are still dropped.

    form: of the packets; `SourceError` where FFmpeg has no decoder for it.
    count: called with `undecodable` for each lost frame, with `too_large` for one of too many pixels.
    warn: called with a sentence where something of note is met.
    max_pixels: a picture of more pixels isn't decoded.
    """

    def __init__(
        self,
        form: VideoFormat,
        count: Callable[[str], None],
        warn: Callable[[str], None],
        *,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self._form = form
        self._max_pixels = max_pixels
        self._orientation = UPRIGHT if form.rotation is None else Orientation(form.rotation, form.mirrored)
        self._count = count
        self._warn = warn
        self._waiting = True  # for a keyframe
        self._proving = True  # no picture since that keyframe yet: what stays away was lost
        self._damages = 0  # since the last group of pictures that was whole
        self._number = 0
        self._stamps = StampOrder(form.in_coding_order)
        self._depth = 0  # pictures that the decoder holds back at most
        self._has_warned_of_size = False
        self._early = UNDECODABLE  # what pictures count as that need what came before a keyframe
        self._sent = b""  # the packet sent last
        self._pending: dict[int, SentPacket] = {}  # sent, and nothing has come out yet
        self._held: list[tuple[int, DecodedFrame]] = []  # out, and waiting for those they may refer to
        self._entry: Entry | None = None  # while references from before the keyframe may be missing
        self.failed = False
        """whether the packet sent last could not be decoded"""
        self._given: frozenset[int] = frozenset()  # pictures that came out during the last entry
        self.size: tuple[int, int] | None = None
        """(width, height) that all pictures have: the first one's, unless it is set before"""
        self._other: tuple[int, int] | None = None  # that was warned of last
        self._h264 = H264Reader(form.extradata) if form.codec == "h264" else None
        self._turns = form.rotation is None and form.codec in (*_SAY_NOW_AND_THEN, *_SAY_EACH_TIME)
        self._strict = form.codec not in _TOLERANT
        self._context = new_decoder(form, STRICT if self._strict else LENIENT, max_pixels)
        if self._h264 is not None:
            show_all(self._context)

    def decode(self, packet: Packet | None) -> Iterator[DecodedFrame]:
        """Pictures that are ready, in presentation order; None asks for those held back."""
        if packet is None:
            return iter(self._finish())
        clean = packet.keyframe and self._is_clean(packet)
        second = self._h264 is not None and self._h264.has_fields and self._h264.is_second_field(packet.data[:HEAD])
        if self._waiting and not packet.keyframe:
            if not packet.hidden and not second:
                self._count(self._early)
            return iter(())
        payload = av_packet(packet)
        sent = self._admit(packet, payload, second)
        if packet.keyframe:
            self._begin_group(sent, clean)
        frames, failed = ([], True) if packet.damaged else decode(self._context, payload)
        self.failed = failed
        if self._entry is not None:
            return iter(self._enter(self._entry, self._entry.feed(payload, sent, frames, failed)))
        return iter(self._take(frames, sent.number if failed else None))

    def restart(self, early: str) -> list[DecodedFrame]:
        """The pictures held back; packets are then left out up to the one that comes next, a keyframe.

        early: reason by which pictures are counted that refer to what was left out.
        """
        pictures = self._finish()
        self._entry, self._given = None, frozenset()
        self._waiting = self._proving = True
        self._early = early
        return pictures

    def _is_clean(self, packet: Packet) -> bool:
        """Return whether a keyframe needs nothing from before it; only H.264 has others, which FFmpeg doesn't find."""
        return self._h264 is None or self._h264.is_idr(packet.data)

    def _admit(self, packet: Packet, payload: Any, second: bool) -> SentPacket:
        """Number the packet's picture; a second field has the number of the first."""
        if not second:
            self._number += 1
        pts_ns = self._form.ns(packet.pts)
        payload.opaque = sent = SentPacket(self._number, pts_ns, packet.captured_ns, packet.hidden)
        self._stamps.sent(pts_ns)
        self._sent = packet.data
        if not packet.hidden and not second:  # cut off by an edit list: decoded, never shown
            self._pending[sent.number] = sent
        return sent

    def _begin_group(self, sent: SentPacket, clean: bool) -> None:
        if not self._waiting:
            self._damages = 0
        elif not clean and self._strict:
            self._entry = Entry(show_all(new_decoder(self._form, LENIENT, self._max_pixels)), sent)
        self._waiting = False

    def _is_too_large(self) -> bool:
        """Return whether the decoder refused the packet for its picture's size, which some forget when they do."""
        limit = self._max_pixels
        width, height = self._context.width, self._context.height
        if width * height > limit or (width == 0 and self.size is not None):
            return True
        return bool(too_large(self._sent[:HEAD_BYTES], limit))

    def _warn_of_size(self) -> None:
        if not self._has_warned_of_size:
            self._has_warned_of_size = True
            self._warn(
                f"a picture has more than {self._max_pixels / 1e6:g} million pixels and isn't decoded, nor are "
                "those that refer to it; raise `max_pixels` if it is meant to be that large"
            )

    def _enter(self, entry: Entry, judged: Iterable[tuple[VideoFrame, Verdict]]) -> list[DecodedFrame]:
        """Return the pictures that may be shown of the first ones behind an entry point."""
        whole: list[VideoFrame] = []
        for frame, verdict in judged:
            number = sent_packet_of(frame).number
            if verdict == "damaged":
                return self._give_up(whole, number)
            if verdict == "whole":
                whole.append(frame)
            else:
                self._lose(number)
        if entry.is_over(self._number):
            self._entry, self._given = None, frozenset(entry.given)
            whole += entry.rest()
            for number in entry.lost():
                self._lose(number)
        return self._release(whole)

    def _lose(self, number: int) -> None:
        if self._pending.pop(number, None) is not None:
            self._count(self._early)

    def _take(self, frames: list[VideoFrame], failed: int | None) -> list[DecodedFrame]:
        """Return those of the new pictures that may be shown; failed: the number of the packet that failed."""
        if self._given:
            frames = [frame for frame in frames if sent_packet_of(frame).number not in self._given]
        bad = next((sent_packet_of(frame).number for frame in frames if frame.is_corrupt), None)
        if bad is not None or failed is not None:
            return self._give_up(frames, bad or failed or self._number)
        return self._release(frames)

    def _give_up(self, frames: list[VideoFrame], culprit: int) -> list[DecodedFrame]:
        """Return the pictures decoded before packet `culprit`, count all the rest, wait for a keyframe."""
        large = self._is_too_large()
        held = drain(self._context)
        frames = frames if self._entry is not None else [*frames, *held]
        shown = [self._shown(frame) for frame in frames if not frame.is_corrupt]
        saved = [(number, decoded) for number, decoded in [*self._held, *shown] if 0 < number < culprit]
        pending = {*self._pending, *(number for number, _ in self._held)}
        if large:
            self._warn_of_size()
        for number in pending.difference(number for number, _ in saved):
            self._count(TOO_LARGE if large and number == culprit else UNDECODABLE)
        self._held.clear()
        self._pending.clear()
        self._entry, self._given = None, frozenset()
        self._waiting = self._proving = True
        self._early = UNDECODABLE
        self._damages += 1
        if self._damages == _PATIENCE:
            self._relent()
        return [decoded for _, decoded in saved]

    def _finish(self) -> list[DecodedFrame]:
        frames = drain(self._context)
        pictures: list[DecodedFrame] = []
        if self._entry is not None:
            pictures = self._enter(self._entry, self._entry.finish(frames))
            frames = []
        bad = [sent_packet_of(frame).number for frame in frames if frame.is_corrupt]
        if bad or (self._proving and self._pending):
            # nothing came out since the last keyframe, or what came out is damaged
            return pictures + self._give_up(frames, min(bad, default=self._number + 1))
        pictures += self._release(frames) + [decoded for _, decoded in self._held]
        self._pending.clear()
        self._held.clear()
        return pictures

    def _release(self, frames: list[VideoFrame]) -> list[DecodedFrame]:
        """Return the pictures that may be shown: each waits for those decoded before it, which it may refer to.

        FFmpeg marks a picture as corrupt when it comes out, and B-frames come out before what they refer to.
        """
        for frame in frames:
            number, decoded = self._shown(frame)
            self._settle(number, decoded.pts_ns)
            self._held.append((number, decoded))
        unproved = min(self._pending, default=self._number + 1)
        ready = 0
        while ready < len(self._held) and self._held[ready][0] < unproved:
            ready += 1
        released, self._held = self._held[:ready], self._held[ready:]
        return [decoded for _, decoded in released]

    def _relent(self) -> None:
        """Go on with a decoder that lets small breaches of the codec's rules pass."""
        self._warn("this stream breaks its codec's rules all the time; it is decoded less strictly from here on")
        self._strict = False
        self._context = new_decoder(self._form, LENIENT, self._max_pixels)

    def _shown(self, frame: VideoFrame) -> tuple[int, DecodedFrame]:
        """The number of its packet, and the picture."""
        sent = sent_packet_of(frame)
        stamp = frame.pts if frame.pts is not None else frame.dts
        pts_ns = sent.pts_ns if stamp is None else self._form.ns(stamp)
        self._depth = max(self._depth, self._context.reorder_depth)
        if self._depth:
            pts_ns = self._stamps.shown(sent, pts_ns, self._pending, self._depth)
        if self._turns and (frame.key_frame or frame.rotation):
            self._turn(frame)
        picture = AvPicture(frame, self._orientation, self._fitting(frame))
        decoded = DecodedFrame(
            picture=picture, pts_ns=pts_ns, captured_ns=sent.captured_ns, keyframe=bool(frame.key_frame)
        )
        return sent.number, decoded

    def _turn(self, frame: VideoFrame) -> None:
        """Note how this picture is to be turned; H.264 and HEVC say it now and then, for the pictures that follow."""
        found = of_frame(frame, self._sent)
        if found is not None or self._form.codec in _SAY_EACH_TIME:
            self._orientation = found or UPRIGHT

    def _settle(self, number: int, pts_ns: int | None) -> None:
        """Give up the pictures before this one in time that didn't come out: they never will.

        Right after a keyframe they were lost (they refer to pictures before it); later on they are packets that show
        nothing, which some codecs have.
        """
        self._pending.pop(number, None)
        for other, sent in list(self._pending.items()):
            earlier = pts_ns is not None and sent.pts_ns is not None and sent.pts_ns < pts_ns
            if earlier or other < self._number - MOST_HELD:
                del self._pending[other]
                if self._proving:
                    self._count(self._early)
        self._proving = False

    def _fitting(self, frame: VideoFrame) -> tuple[int, int] | None:
        """The stream's size where this picture has another one (adaptive streams change it on the way)."""
        own = self._orientation.size(frame.width, frame.height)
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


__all__ = ["UNDECODABLE", "Decoder"]
