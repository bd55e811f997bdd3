"""Treatment of clips and episodes that span a camera cut: leave them out, or end them at the cut."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from streamproc import Event, Results
from streamproc.shots import Shot


def spans_cut(past: Results, first_ns: int) -> bool:
    """Whether something that began at `first_ns` and is over at this frame lies in two shots."""
    shot = past.get(Shot)
    return shot is not None and first_ns < shot.start_ns


def ended_at_cut(events: Iterable[Event], cut_ns: int) -> list[Event]:
    """Events of episodes that a cut ends: those that seemed to go on behind it end at it, `duration_s` with them."""
    return [_ended(event, cut_ns) for event in events]


def _ended(event: Event, cut_ns: int) -> Event:
    if event.phase != "end" or event.end_ns is None or not event.start_ns < cut_ns < event.end_ns:
        return event
    lasted = {"duration_s": (cut_ns - event.start_ns) / 1e9} if "duration_s" in event.data else {}
    return replace(event, end_ns=cut_ns, data={**event.data, **lasted})


__all__ = ["ended_at_cut", "spans_cut"]
