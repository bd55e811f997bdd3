"""Time stamps that a container gives in the order of coding though pictures are shown in another. No FFmpeg in here."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import replace

from streamproc.media.context import SentPacket


class StampOrder:
    """Gives each picture its own time where stamps count packets instead: B-frames in AVI, and in MP4 without offsets.

    in_coding_order: whether that is known beforehand. (FFmpeg errs on AVI with packed B-frames.)

    The stamps of B-frames go up and down in the order of coding. Where they only go up, and yet a picture comes out
    before one that was sent earlier, they can't be times of showing: pictures then take the stamps of all that is under
    way in rising order.
    """

    def __init__(self, in_coding_order: bool) -> None:
        self._known = in_coding_order
        self._last_ns: int | None = None
        self._rising = True

    def sent(self, pts_ns: int | None) -> None:
        """Record a packet's stamp, in the order of coding."""
        if pts_ns is None:
            return
        if self._last_ns is not None and pts_ns <= self._last_ns:
            self._rising = False
        self._last_ns = pts_ns

    def shown(
        self, sent: SentPacket, pts_ns: int | None, pending: MutableMapping[int, SentPacket], depth: int
    ) -> int | None:
        """Return the time of a picture that comes out.

        pts_ns: its own stamp. depth: how many pictures the decoder holds back at most.
        pending: what was sent and hasn't come out yet, by number; stamps in it may change places.
        """
        if not (self._rising or self._known) or pts_ns is None or sent.number not in pending:
            return pts_ns
        waiting = {n: t.pts_ns for n, t in pending.items() if n < sent.number and t.pts_ns is not None}
        if len(waiting) > depth + 1:
            del pending[min(waiting)]  # it shows nothing: no picture has its stamp
            return self.shown(sent, pts_ns, pending, depth)
        own_ns = pending[sent.number].pts_ns
        first = min(waiting, key=lambda number: waiting[number], default=None)
        if first is None or own_ns is None or waiting[first] >= own_ns:
            return own_ns
        pending[first] = replace(pending[first], pts_ns=own_ns)
        return waiting[first]


__all__ = ["StampOrder"]
