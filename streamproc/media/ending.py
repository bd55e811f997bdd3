"""Checks that a recording ends where its container says that it does. Arithmetic only."""

from __future__ import annotations

from fractions import Fraction

from streamproc.errors import counted
from streamproc.frames import SECOND_NS
from streamproc.media.demux import Facts
from streamproc.packets import Packet, ticks_ns

_LEAST_NS = SECOND_NS // 2
"""pictures that end less than this before the stated end are all there: the last one may be shown for longer"""

_NOMINAL = 3
"""... or less than this many nominal times between two pictures"""


class Ending:
    """Observes the packets of one recording and says after the last one what is missing behind it.

    A stated number of pictures is taken at its word; in AVI it counts the beats on which nothing new is shown as well,
    so there the time that was reached counts. Where only a duration is stated, the pictures may end as long before it
    as any two of them lie apart; those that are missing are reckoned by the rate of those that are there.
    """

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self.count = 0
        """packets so far"""
        self._first_ns: int | None = None
        self._last_ns = 0
        self._until_ns = 0
        self._widest_ns = 0

    def add(self, packet: Packet) -> None:
        """Count a packet and its times, in decoding order."""
        self.count += 1
        pts_ns = ticks_ns(packet.pts, self._facts.time_base)
        if pts_ns is None:
            return
        if self._first_ns is None:
            self._first_ns = self._last_ns = pts_ns
        self._first_ns = min(self._first_ns, pts_ns)
        self._widest_ns = max(self._widest_ns, pts_ns - self._last_ns)
        self._last_ns = max(self._last_ns, pts_ns)
        lasts_ns = ticks_ns(packet.duration, self._facts.time_base)
        self._until_ns = max(self._until_ns, pts_ns + (lasts_ns or self._nominal_ns))

    @property
    def missing(self) -> int:
        """Number of pictures missing behind the last one; 0 where the container doesn't say, or all came."""
        promised = self._facts.frames
        if promised is not None:
            return 0 if self._is_trimmed else max(0, promised - max(self.count, self._beats))
        short_ns = self._short_ns
        if short_ns <= max(_LEAST_NS, _NOMINAL * self._nominal_ns, self._widest_ns):
            return 0
        return max(1, round(self.count * Fraction(short_ns, max(1, self._reached_ns))))

    @property
    def sentence(self) -> str:
        """Sentence that says where the recording breaks off."""
        breaks_off = f"breaks off after {counted(self.count, 'picture')}"
        if self._facts.frames is not None:
            return f"{breaks_off} of {self._facts.frames}"
        if self._facts.stated_ns is None or not self.missing:
            return breaks_off
        return f"{breaks_off}, at {self._reached_ns / SECOND_NS:.2f} of {self._facts.stated_ns / SECOND_NS:.2f} s"

    @property
    def _reached_ns(self) -> int:
        """Time at which the last picture ends, counted from 0, or from the first picture where that is earlier."""
        return self._until_ns - min(0, self._first_ns or 0)

    @property
    def _short_ns(self) -> int:
        stated_ns = self._facts.stated_ns
        return 0 if stated_ns is None or self._first_ns is None else stated_ns - self._reached_ns

    @property
    def _is_trimmed(self) -> bool:
        """True if the end that was reached is the one that MP4's edit list sets: pictures behind it aren't shown."""
        facts = self._facts
        if facts.container != "mov" or facts.duration_ns is None:
            return False
        return self._reached_ns >= facts.duration_ns - self._nominal_ns // 2

    @property
    def _beats(self) -> int:
        rate = self._facts.rate
        return 0 if self._facts.container != "avi" or not rate else round(self._reached_ns * rate / SECOND_NS)

    @property
    def _nominal_ns(self) -> int:
        return round(SECOND_NS / self._facts.rate) if self._facts.rate else 0


__all__ = ["Ending"]
