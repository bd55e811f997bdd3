"""What plugins with a memory do where another shot begins: they forget, and what goes on ends at the cut."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from streamproc import Event, Results
from streamproc_plugins.shots.results import Shot


class ShotWatch:
    """Notices that another shot has begun, for plugins that have `Shot` among their `uses`.

    A cut is known a moment after it, so the frames between are still taken for the shot before.
    """

    def __init__(self) -> None:
        self.number = 0
        """of the shot that was seen last, 0 where none was; to be kept in the plugin's state"""

    def turned_ns(self, past: Results) -> int | None:
        """Media time at which another shot began, at the first frame that tells of it; else None.

        Also None for the shot that the stream begins with: nothing was before it.
        """
        shot = past.get(Shot)
        if shot is None or shot.number == self.number:
            return None
        before, self.number = self.number, shot.number
        return None if before == 0 and shot.number == 1 else shot.start_ns


def spans_cut(past: Results, first_ns: int) -> bool:
    """Whether something that began at `first_ns` and is over at this frame lies in two shots."""
    shot = past.get(Shot)
    return shot is not None and first_ns < shot.start_ns


def ended_at_cut(events: Iterable[Event], cut_ns: int) -> list[Event]:
    """The events of what a cut ends: episodes that seemed to go on behind it end at it, `duration_s` with them."""
    return [_ended(event, cut_ns) for event in events]


def _ended(event: Event, cut_ns: int) -> Event:
    if event.phase != "end" or event.end_ns is None or not event.start_ns < cut_ns < event.end_ns:
        return event
    lasted = {"duration_s": (cut_ns - event.start_ns) / 1e9} if "duration_s" in event.data else {}
    return replace(event, end_ns=cut_ns, data={**event.data, **lasted})


__all__ = ["ShotWatch", "ended_at_cut", "spans_cut"]
