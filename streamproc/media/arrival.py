"""Computes the capture times of a live stream from the arrival times of its packets. Arithmetic, and one clock."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from streamproc.frames import SECOND_NS
from streamproc.packets import Packet, ticks_ns

_WINDOW_NS = 600 * SECOND_NS
"""how far back the quickest packet is looked for: the clocks of camera and machine drift apart"""

_LEAP_NS = 5 * SECOND_NS
"""a step forward of time stamps by this much more than time went on is a new count"""

_BACK_NS = -2 * SECOND_NS
"""a step backward of this much is a new count: B-frames step back by less"""

_LONGEST_LAG_NS = 60 * SECOND_NS
"""a packet isn't believed to have been on its way for longer"""

_WAITED_NS = 5_000_000
"""a read that took this long waited for the network: what had been held up before is through"""

_MOST_HELD = 500
"""packets that are examined, at most, before the first is passed on"""


class CaptureClock:
    """Derives capture times from time stamps, anchored on the packet that came in quickest.

    Packets are held up, while a connection is probed and in the network, but none comes in early: the smallest
    distance between arrival and time stamp is the true one. One clock serves one connection.
    """

    def __init__(self) -> None:
        self._quickest: deque[tuple[int, int]] = deque()  # (arrival, arrival - stamp), distances rising
        self._last: tuple[int, int] | None = None  # stamp, arrival
        self._repeats = 0  # in a row; the two fields of a picture may have one stamp

    def observe(self, pts_ns: int | None, arrived_ns: int) -> None:
        """Record a packet, in the order of arrival."""
        if pts_ns is None:
            return
        if self._is_new_count(pts_ns, arrived_ns):
            self._quickest.clear()
        self._last = (pts_ns, arrived_ns)
        distance_ns = arrived_ns - pts_ns
        while self._quickest and self._quickest[-1][1] >= distance_ns:
            self._quickest.pop()
        self._quickest.append((arrived_ns, distance_ns))
        while self._quickest[0][0] < arrived_ns - _WINDOW_NS:
            self._quickest.popleft()

    def captured_ns(self, pts_ns: int | None, arrived_ns: int) -> int:
        """UTC at which a picture was taken, by what was observed so far; its arrival where its stamp says nothing."""
        if pts_ns is None or not self._quickest:
            return arrived_ns
        found = pts_ns + self._quickest[0][1]
        return found if arrived_ns - _LONGEST_LAG_NS <= found <= arrived_ns else arrived_ns

    def _is_new_count(self, pts_ns: int, arrived_ns: int) -> bool:
        if self._last is None:
            return False
        step_ns, passed_ns = pts_ns - self._last[0], arrived_ns - self._last[1]
        self._repeats = 0 if step_ns else self._repeats + 1
        return self._repeats > 1 or step_ns < _BACK_NS or step_ns - passed_ns > _LEAP_NS


def stamped(packets: Iterator[Packet], time_base: Fraction) -> Iterator[Packet]:
    """The packets of one live connection with `captured_ns` set.

    The first ones were held up while the connection was probed: they are passed on when one had to be waited for.
    """
    clock, early = CaptureClock(), list[tuple[Packet, int]]()
    waiting = True
    try:
        while True:
            began_ns = time.monotonic_ns()
            packet = next(packets, None)
            if packet is None:
                break
            arrived_ns = time.time_ns()
            clock.observe(ticks_ns(packet.pts, time_base), arrived_ns)
            early.append((packet, arrived_ns))
            waited = time.monotonic_ns() - began_ns >= _WAITED_NS
            waiting = waiting and not waited and len(early) < _MOST_HELD
            if not waiting:
                yield from _released(early, clock, time_base)
    except Exception:
        yield from _released(early, clock, time_base)
        raise
    yield from _released(early, clock, time_base)


def _released(early: list[tuple[Packet, int]], clock: CaptureClock, time_base: Fraction) -> list[Packet]:
    """The packets held back, with their capture times; one without a stamp was taken just before the one after it."""
    found: list[Packet] = []
    next_ns: int | None = None
    for packet, arrived_ns in reversed(early):
        captured_ns = clock.captured_ns(ticks_ns(packet.pts, time_base), arrived_ns)
        if packet.pts is None and next_ns is not None:
            captured_ns = min(captured_ns, next_ns - (ticks_ns(packet.duration, time_base) or 0))
        found.append(replace(packet, captured_ns=captured_ns))
        next_ns = captured_ns
    early.clear()
    return found[::-1]


__all__ = ["CaptureClock", "stamped"]
