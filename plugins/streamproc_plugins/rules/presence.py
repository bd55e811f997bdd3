"""Being inside, without flicker: a state machine over one depth and media time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Change = Literal["entered", "left"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Durations for a change of presence, in nanoseconds of media time."""

    enter_ns: int
    leave_ns: int
    lost_ns: int
    update_ns: int = 0
    """between two updates of an episode; 0: none"""
    pause_ns: int = 0
    """interruptions up to this long don't restart the `enter_ns` of a new visit"""

    def beginning(self, enter_ns: int) -> Timing:
        """The same for something that must last for `enter_ns`: it may pause as it may once it goes on.

        No longer than half that time, so that two short moments don't make one long one.
        """
        return replace(self, enter_ns=enter_ns, pause_ns=min(self.leave_ns, enter_ns // 2))


@dataclass(slots=True, kw_only=True)
class Presence:
    """Presence of one object in one place. Depth is the signed distance from the border, positive inside.

    The object enters after `enter_ns` at depth >= 0, with no break longer than `pause_ns` and most of that time inside,
    once it has reached the margin; the visit starts at the first of those moments. It leaves after `leave_ns` at depth
    < 0 once it is beyond the margin, or after `lost_ns` without a detection; the visit ends at the last moment at depth
    >= 0.
    """

    inside: bool = False
    since_ns: int = 0
    """first moment of the visit, or of a possible one"""
    last_ns: int = 0
    """last moment inside"""
    observed_ns: int = 0
    """last detection, inside or outside"""
    run_ns: int | None = None
    """since when it has been on the other side than `inside` says"""
    deep: bool = False
    """whether it reached the margin in that time"""
    paused_ns: int = 0
    """total length of the interruptions of a possible visit"""

    def observe(
        self, now_ns: int, depth: float, margin: float, timing: Timing, since_ns: int | None = None
    ) -> Change | None:
        """Update with a depth. since_ns: it was there since then, without a detection."""
        before_ns, self.observed_ns = self.observed_ns, now_ns
        here = depth >= 0
        if here == self.inside:
            self._stays(here, now_ns, before_ns, timing)
            return None
        if self.run_ns is None:
            self.run_ns, self.paused_ns = now_ns if since_ns is None else since_ns, 0
        self.deep = self.deep or abs(depth) >= margin
        if here:
            self.since_ns, self.last_ns = self.run_ns, now_ns
        ripe = now_ns - self.run_ns >= (timing.enter_ns if here else timing.leave_ns)
        if not (ripe and self.deep):
            return None
        self.inside = here
        self._break()
        return "entered" if here else "left"

    def _stays(self, here: bool, now_ns: int, before_ns: int, timing: Timing) -> None:
        """Update without a change."""
        if here:
            self.last_ns = now_ns
        elif self.run_ns is not None and now_ns - self.last_ns <= timing.pause_ns:
            self.paused_ns += now_ns - before_ns
            if self.paused_ns <= max(timing.pause_ns, (now_ns - self.run_ns) // 2):
                return
        self._break()

    def _break(self) -> None:
        self.run_ns, self.deep, self.paused_ns = None, False, 0

    def lost(self, now_ns: int, timing: Timing) -> bool:
        """Whether its last detection is too long ago."""
        return now_ns - self.observed_ns > timing.lost_ns
