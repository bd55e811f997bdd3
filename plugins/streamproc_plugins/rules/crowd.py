"""Number of objects in a place at once, though some of them are hidden now and then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streamproc_plugins.rules.presence import Change, Timing

Stay = tuple[int, int]
"""first and last moment of a track inside: it was inside all the time between them, hidden or not"""


@dataclass(slots=True, kw_only=True)
class Crowd:
    """Whether at least `count` are inside, for long enough, and until when they were.

    A track without a detection may have left or be hidden; only its next detection decides. The crowd is therefore
    followed up to the last moment at which `count` tracks are known to have been inside. It ends when no such moment
    followed for `leave_ns` although every counted track was detected, or when the wait gets too long.
    """

    count: int
    inside: bool = False
    since_ns: int = 0
    """first moment of the crowd, or of a possible one"""
    last_ns: int = 0
    """last moment at which so many are known to have been inside"""
    begun: bool = False
    """whether those two mean anything"""

    def observe(self, now_ns: int, stays: Sequence[Stay], timing: Timing) -> Change | None:
        """stays: of the tracks that are inside, or may be, at `now_ns`, without those that left."""
        together = self._together(stays)
        if together is not None and (not self.begun or together > self.last_ns):
            if not self._goes_on(together, stays, timing):
                self.begun, self.since_ns = True, self._gathered(stays, together)
            self.last_ns = together
        elif self.begun and now_ns - self.last_ns > (timing.lost_ns if len(stays) >= self.count else timing.leave_ns):
            self.begun = False
        if self.inside and not self.begun:
            self.inside = False
            return "left"
        if not self.inside and self.begun and self.last_ns - self.since_ns >= timing.enter_ns:
            self.inside = True
            return "entered"
        return None

    def _goes_on(self, together_ns: int, stays: Sequence[Stay], timing: Timing) -> bool:
        """Whether the crowd that was is still the same one: little time between, or those inside stayed through it."""
        if not self.begun:
            return False
        through = sum(first <= self.last_ns and last >= together_ns for first, last in stays)
        return through >= self.count or together_ns - self.last_ns <= timing.leave_ns

    def _together(self, stays: Sequence[Stay]) -> int | None:
        """The last moment at which so many were inside."""
        for _, moment in sorted(stays, key=lambda stay: -stay[1]):
            if sum(first <= moment <= last for first, last in stays) >= self.count:
                return moment
        return None

    def _gathered(self, stays: Sequence[Stay], together_ns: int) -> int:
        """Moment at which the last of the tracks inside at that time entered."""
        return sorted(first for first, last in stays if last >= together_ns)[self.count - 1]


__all__ = ["Crowd", "Stay"]
