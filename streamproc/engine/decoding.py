"""From an open source of either kind to its decoded frames: ring, gate, decoder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from streamproc.engine.gate import GATED, Gate, GatedDecoder
from streamproc.engine.given import checked_format, checked_frames, checked_packet
from streamproc.engine.ring import PacketRing
from streamproc.errors import SourceError
from streamproc.media import Decoder
from streamproc.packets import Packet, VideoFormat
from streamproc.source import AnySource, Count, DecodedFrame, InputInfo, VideoSource


def _nowhere(_: int) -> None:
    """Count nothing: without a gate nothing is gated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Services of the engine that decoding one connection needs."""

    stopping: Callable[[], bool]
    count: Count
    """called for frames that can't be decoded"""
    gated: Callable[[int], None] = _nowhere
    """called with a number of frames that the gate didn't let through"""


class Decoding:
    """Decodes one source, over all its connections: pictures of a live one keep their first size.

    gate: decides which packets are decoded; None: all are.
    ring: gets every packet; a gate without one makes its own. With neither, no packet is held.
    """

    def __init__(
        self, source: AnySource, stream: str, *, gate: Gate | None = None, ring: PacketRing | None = None
    ) -> None:
        self.source = source
        self._stream = stream
        self._gate = gate
        self.ring = PacketRing() if ring is None and gate is not None else ring
        self._size: tuple[int, int] | None = None

    def frames(self, info: InputInfo, outside: Outside) -> Iterator[tuple[DecodedFrame | None, int | None]]:
        """Each decoded frame with the time stamp of the one after it, None where it isn't known.

        Only video that isn't live is looked at one frame ahead; live video would come late.
        """
        if not isinstance(self.source, VideoSource):
            return ((decoded, None) for decoded in checked_frames(self.source, self.source.frames()))
        frames = self._decoded(self.source, info, outside)
        return ((decoded, None) for decoded in frames) if info.live else _looking_ahead(frames)

    def _decoded(self, source: VideoSource[Any], info: InputInfo, outside: Outside) -> Iterator[DecodedFrame]:
        path = _Path(source, self, checked_format(source, info), outside)
        if info.live:
            path.size = self._size
        try:
            for packet in source.packets():
                yield from path.take(checked_packet(source, packet))
                if outside.stopping():
                    return
        except SourceError:  # it is lost, or breaks off: what came before counts
            yield from path.finish()
            raise
        finally:
            self._size = path.size
            path.close()
        if path.decoder.failed:
            source.ended_undecodable()
        yield from path.finish()

    def new_path(self, form: VideoFormat, decoder: Decoder, gated: Callable[[int], None]) -> GatedDecoder | None:
        """Begin the ring anew for packets of this format; the way through the gate, where there is one."""
        if self.ring is not None:
            self.ring.begin(form)
        if self.ring is None or self._gate is None:
            return None
        return GatedDecoder(form, decoder, self._gate, self.ring, gated)

    def warn(self, sentence: str) -> None:
        """Log a fact about the packets."""
        log = logging.getLogger(f"streamproc.source.{self._stream}")
        log.warning("stream=%s: %s", self._stream, sentence)


class _Path:
    """The way of the packets of one connection."""

    def __init__(self, source: VideoSource[Any], decoding: Decoding, form: VideoFormat, outside: Outside) -> None:
        self._decoding = decoding
        self._max_pixels = source.max_pixels
        self._outside = outside
        self._ring = decoding.ring
        self._begin(form)

    def _begin(self, form: VideoFormat) -> None:
        self._form = form
        self.decoder = Decoder(form, self._count, self._decoding.warn, max_pixels=self._max_pixels)
        self._gated = self._decoding.new_path(form, self.decoder, self._outside.gated)

    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height) of all pictures, once the first is decoded."""
        return self.decoder.size

    @size.setter
    def size(self, size: tuple[int, int] | None) -> None:
        self.decoder.size = size

    def take(self, packet: Packet) -> Iterable[DecodedFrame]:
        """The pictures that are ready, in presentation order."""
        if packet.format is not None and packet.format != self._form:
            return [*self._change(packet.format), *self._decoded(packet)]
        return self._decoded(packet)

    def finish(self) -> Iterable[DecodedFrame]:
        """The pictures that are held back."""
        return self.decoder.decode(None) if self._gated is None else self._gated.finish()

    def close(self) -> None:
        """Count what is left behind the gate."""
        if self._gated is not None:
            self._gated.close()

    def _decoded(self, packet: Packet) -> Iterable[DecodedFrame]:
        if self._gated is not None:
            return self._gated.decode(packet)
        if self._ring is not None:
            self._ring.add(packet)
        return self.decoder.decode(packet)

    def _change(self, form: VideoFormat) -> list[DecodedFrame]:
        """Go on with packets of another format; pictures keep their size."""
        size, pictures = self.size, list(self.finish())
        self._begin(form)
        self.size = size
        return pictures

    def _count(self, reason: str, number: int = 1) -> None:
        if reason == GATED:
            self._outside.gated(number)
        else:
            self._outside.count(reason, number)


def _looking_ahead(frames: Iterator[DecodedFrame]) -> Iterator[tuple[DecodedFrame | None, int | None]]:
    held: DecodedFrame | None = None
    try:
        for decoded in frames:
            if held is not None:
                yield held, decoded.pts_ns
            held = decoded
    except Exception:
        if held is not None:
            yield held, None
        raise
    if held is not None:
        yield held, None


__all__ = ["Decoding", "Outside"]
