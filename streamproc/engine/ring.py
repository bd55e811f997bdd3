"""The newest packets of a stream, compressed: what was before something happened can still be decoded or recorded."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, islice

from streamproc.packets import Packet, VideoFormat

_OVERHEAD = 400
"""bytes that Python needs for a packet beside its data"""


class PacketRing:
    """Packets up to the newest one, from a keyframe on; used by the reader thread alone.

    It drops whole groups of pictures, the oldest first, so that it can always be decoded from its beginning. A group
    that alone exceeds the bound is given up: the ring is empty then, takes nothing up to the next keyframe, and counts
    in `overflowed` what it couldn't hold.

    max_bytes: of the packets, with what Python needs for each; never exceeded.
    max_s: how far back it reaches, and on to the keyframe before; None: as far as the bytes allow. Packets without time
    stamps are bounded by bytes alone.
    """

    def __init__(self, max_bytes: int = 16 << 20, max_s: float | None = None) -> None:
        if max_bytes <= 0 or (max_s is not None and max_s <= 0):
            raise ValueError(f"max_bytes is {max_bytes} and max_s is {max_s}, expected more than 0")
        self.max_bytes = max_bytes
        self.max_s = max_s
        self.bytes = 0
        """held at this moment"""
        self.overflowed = 0
        """packets of groups that alone exceed the bound"""
        self.format: VideoFormat | None = None
        """of the packets in it"""
        self._groups: deque[list[Packet]] = deque()
        self._length = 0
        self._newest: int | None = None  # time stamp
        self._reach: int | None = None  # `max_s` in ticks
        self._gives_up = False  # until the next keyframe

    def __len__(self) -> int:
        """Return how many packets it holds."""
        return self._length

    def begin(self, form: VideoFormat) -> None:
        """Empty it, for the packets of a new connection or of another format."""
        self.format = form
        self._groups.clear()
        self.bytes = self._length = 0
        self._newest, self._gives_up = None, False
        self._reach = None if self.max_s is None else round(Fraction(str(self.max_s)) / form.time_base)

    def add(self, packet: Packet) -> None:
        """Take the next packet, in decoding order."""
        if packet.keyframe:
            self._groups.append([])
            self._gives_up = False
        elif not self._groups:  # it begins with a keyframe
            self.overflowed += self._gives_up
            return
        self._groups[-1].append(packet)
        self._length += 1
        self.bytes += bytes_of(packet)
        if packet.pts is not None:
            self._newest = packet.pts if self._newest is None else max(self._newest, packet.pts)
        while len(self._groups) > 1 and (self.bytes > self.max_bytes or self._reaches()):
            self._drop()
        if self.bytes > self.max_bytes:
            self.overflowed += self._length
            self._gives_up = True
            self._drop()

    def replay(self) -> list[Packet]:
        """All that it holds, from the oldest keyframe on."""
        return list(chain.from_iterable(self._groups))

    def newest(self, count: int) -> list[Packet]:
        """The last `count` packets; the first of them need not be a keyframe."""
        return list(islice(chain.from_iterable(self._groups), max(0, self._length - count), None))

    def since(self, pts: int) -> list[Packet]:
        """Packets from the last keyframe at or before `pts` (in ticks) on; all where there is none."""
        groups: list[list[Packet]] = []
        for group in reversed(self._groups):
            groups.append(group)
            if group[0].pts is not None and group[0].pts <= pts:
                break
        return list(chain.from_iterable(reversed(groups)))

    def last(self, seconds: float) -> list[Packet]:
        """Packets of the last `seconds`, from the keyframe before on."""
        if self._newest is None or self.format is None:
            return self.replay()
        return self.since(self._newest - round(Fraction(str(seconds)) / self.format.time_base))

    def __iter__(self) -> Iterator[Packet]:
        """Iterate over what it holds, the oldest first."""
        return chain.from_iterable(self._groups)

    def _reaches(self) -> bool:
        """Return whether it reaches back far enough without its oldest group."""
        if self._reach is None or self._newest is None:
            return False
        later = (group[0].pts for group in islice(self._groups, 1, None))
        key = next((pts for pts in later if pts is not None), None)
        return key is not None and self._newest - key >= self._reach

    def _drop(self) -> None:
        group = self._groups.popleft()
        self._length -= len(group)
        self.bytes -= sum(map(bytes_of, group))


def bytes_of(packet: Packet) -> int:
    """Return the bytes that a packet takes in the ring."""
    return len(packet.data) + sum(len(data) for _, data in packet.side_data) + _OVERHEAD


__all__ = ["PacketRing", "bytes_of"]
