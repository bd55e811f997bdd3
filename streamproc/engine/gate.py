"""The gate in front of the decoder: packets of a stream that aren't needed now are held for a while, not decoded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from streamproc.engine.ring import PacketRing
from streamproc.media import Decoder
from streamproc.media.h264 import PictureCount
from streamproc.packets import Packet, VideoFormat
from streamproc.source import DecodedFrame

GATED = "gated"
"""why a picture isn't decoded"""


class Gate(Protocol):
    """Decides which packets are decoded."""

    def awake(self, packet: Packet, /) -> bool:
        """Return whether this packet is to be decoded; called once for each, in decoding order."""
        ...


class GatedDecoder:
    """Decodes what the gate lets through; when it wakes, first what the ring still holds of its sleep.

    A picture counts as gated once the ring lets go of it, or at the end: none is counted that may still be decoded. The
    decoder goes on where it stopped while the ring holds everything since; after that it begins at the ring's first
    keyframe, and pictures that refer to what came before it (in an open group) count as gated too.

    gated: called with a number of pictures that weren't decoded and never will be.
    """

    def __init__(
        self, form: VideoFormat, decoder: Decoder, gate: Gate, ring: PacketRing, gated: Callable[[int], None]
    ) -> None:
        self._decoder = decoder
        self._gate = gate
        self._ring = ring
        self._gated = gated
        self._pictures = PictureCount(form)
        self._asleep: deque[bool] = deque()  # for each packet in the ring that wasn't decoded: whether it is a picture
        self._broke_off = False  # whether the ring has let go of one since

    def decode(self, packet: Packet) -> list[DecodedFrame]:
        """Pictures that are ready, in presentation order."""
        is_picture = self._pictures.begins(packet)
        if not self._gate.awake(packet):
            self._ring.add(packet)
            self._asleep.append(is_picture)
            return self._let_go()
        frames = self._replay()
        self._ring.add(packet)
        return frames + list(self._decoder.decode(packet))

    def finish(self) -> list[DecodedFrame]:
        """Pictures that the decoder still holds; those that only the ring holds count as gated."""
        self.close()
        return list(self._decoder.decode(None))

    def close(self) -> None:
        """Count the pictures that only the ring holds as gated."""
        self._count(len(self._asleep))

    def _let_go(self) -> list[DecodedFrame]:
        """Count what the ring has let go of; what the decoder holds back comes out, as nothing follows it."""
        gone = len(self._asleep) - len(self._ring)
        if gone <= 0:
            return []
        self._count(gone)
        if self._broke_off:
            return []
        self._broke_off = True
        return self._decoder.restart(GATED)

    def _replay(self) -> list[DecodedFrame]:
        held = self._ring.newest(len(self._asleep))
        self._asleep.clear()
        self._broke_off = False
        return [decoded for packet in held for decoded in self._decoder.decode(packet)]

    def _count(self, packets: int) -> None:
        pictures = sum(self._asleep.popleft() for _ in range(packets))
        if pictures:
            self._gated(pictures)


__all__ = ["GATED", "Gate", "GatedDecoder"]
