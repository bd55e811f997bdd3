"""The ring of packets against its definition."""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction

import pytest

from streamproc.engine.ring import PacketRing, bytes_of
from streamproc.packets import Packet, VideoFormat

FORM = VideoFormat(codec="h264", time_base=Fraction(1, 25))


def made(pts: int | None, size: int = 1000, *, keyframe: bool = False) -> Packet:
    return Packet(data=bytes(size), keyframe=keyframe, pts=pts, dts=pts)


def stream(dice: random.Random, count: int) -> list[Packet]:
    """Groups of any length; now and then B-frames, large packets, or no time stamp."""
    packets = []
    for number in range(count):
        keyframe = dice.random() < 0.15
        shown = number if keyframe else number + dice.choice((0, 0, 2, -1))
        size = dice.choice((10, 500, 2000, 9000))
        packets.append(made(shown if dice.random() < 0.95 else None, size, keyframe=keyframe))
    return packets


def expected(packets: Sequence[Packet], max_bytes: int, max_s: float | None) -> list[Packet]:
    """The longest end of the stream from a keyframe on that fits and reaches no farther back than it must."""
    newest = max((packet.pts for packet in packets if packet.pts is not None), default=None)
    best: list[Packet] = []
    for start in reversed([at for at, packet in enumerate(packets) if packet.keyframe]):
        found = list(packets[start:])
        if sum(map(bytes_of, found)) > max_bytes:
            break
        best, key = found, packets[start].pts
        if max_s is not None and newest is not None and key is not None and newest - key >= max_s * 25:
            break
    return best


def overflowed(packets: Sequence[Packet], max_bytes: int) -> int:
    """Packets of groups that alone are too large."""
    groups: list[list[Packet]] = []
    for packet in packets:
        if packet.keyframe:
            groups.append([])
        if groups:
            groups[-1].append(packet)
    return sum(len(group) for group in groups if sum(map(bytes_of, group)) > max_bytes)


@pytest.mark.parametrize("seed", range(60))
def test_the_ring_holds_what_it_promises(seed: int) -> None:
    dice = random.Random(seed)
    max_bytes, max_s = dice.choice((6_000, 20_000, 60_000)), dice.choice((None, None, 0.4, 1.0, 3.0))
    ring, packets = PacketRing(max_bytes, max_s), stream(dice, 150)
    ring.begin(FORM)
    for count, packet in enumerate(packets, start=1):
        ring.add(packet)
        assert ring.replay() == list(ring) == expected(packets[:count], max_bytes, max_s)
        assert len(ring) == len(ring.replay())
        assert ring.bytes == sum(map(bytes_of, ring.replay())) <= max_bytes
        assert ring.overflowed == overflowed(packets[:count], max_bytes)
        assert ring.newest(4) == ring.replay()[-4:]


def test_since_begins_with_the_keyframe_before() -> None:
    ring = PacketRing()
    ring.begin(FORM)
    packets = [made(pts, keyframe=pts % 10 == 0) for pts in range(40)]
    for packet in packets:
        ring.add(packet)
    assert ring.since(25) == packets[20:]
    assert ring.since(30) == packets[30:]
    assert ring.since(-5) == packets
    assert ring.last(0.4) == packets[20:]
    assert ring.last(99) == packets


def test_a_new_format_empties_the_ring() -> None:
    ring = PacketRing()
    ring.begin(FORM)
    ring.add(made(0, keyframe=True))
    ring.begin(VideoFormat(codec="hevc"))
    ring.add(made(1))
    assert (len(ring), ring.bytes, ring.overflowed) == (0, 0, 0)


@pytest.mark.parametrize(("max_bytes", "max_s"), [(0, None), (100, 0.0), (100, -1.0)])
def test_a_bound_of_nothing_is_refused(max_bytes: int, max_s: float | None) -> None:
    with pytest.raises(ValueError, match="expected more than 0"):
        PacketRing(max_bytes, max_s)
