"""Timelines: turn a source's time stamps into media time, strictly increasing nanoseconds from 0. Arithmetic only.

Faults of time stamps, and how they are corrected:

missing    no time stamp: the nominal duration after the picture before, or halfway to the one after it
repeated   the same as the picture before: likewise
backward   earlier than a picture that was shown before it: likewise; later pictures retain their own time
forward    far ahead, and the next one is back in line (known only where the caller looks one picture ahead): likewise
reset      the source's count started anew (two in a row that fit each other, or a leap of more than `LEAP_NS`): time
           goes on without a gap from the new count
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from statistics import median
from typing import Any, Literal, get_args

from streamproc.frames import SECOND_NS

Fault = Literal["missing", "repeated", "backward", "forward", "reset"]
FAULTS: tuple[Fault, ...] = get_args(Fault)

DEFAULT_RATE = Fraction(25)
"""frames per second where neither the source nor the pictures so far say"""

LEAP_NS = 24 * 3600 * SECOND_NS
"""a step forward of more than this is a new count rather than a gap"""

MOST_RATE = 1000
"""frames per second above which a rate is no rate: some headers give the ticks of a clock, such as 90,000"""

_STEPS = 9
"""good distances between pictures whose median is the usual one"""

_SURE = 3
"""good distances, or two that are alike, from which on the usual one may be longer than the nominal"""

_AGREES = 0.2
"""part by which two distances that are alike may differ"""

_STEP_NS = 1_000
"""step to the next picture where a corrected picture has just taken its time"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Place of one picture in media time."""

    pts_ns: int
    """media time, strictly greater than that of the picture before"""
    fault: Fault | None = None
    """fault of its time stamp, now corrected"""
    gap: bool = False
    """whether more than a second and three nominal durations have passed since the picture before"""


class Timeline:
    """Places the pictures of one stream, in the order in which they are shown; one per stream, not thread-safe.

    rate: nominal frames per second. Where it is None, or the pictures don't match it (it may be a mean over pauses, or
    the ticks of a clock), their usual distance replaces it; until enough pictures have come, it is 25 a second.
    """

    def __init__(self, rate: Fraction | None = None) -> None:
        self._rate = rate if rate and rate <= MOST_RATE else None
        self.mended: dict[Fault, int] = dict.fromkeys(FAULTS, 0)
        """number of corrected time stamps, by fault"""
        self._last_ns: int | None = None  # media time of the last picture
        self._offset_ns: int | None = None  # media time = own time stamp + offset; None: not known yet
        self._last_raw_ns: int | None = None  # the source's time stamp last believed
        self._suspect: tuple[int, int] | None = None  # (own time stamp, media time) of a picture that went backward
        self._anchor_ns = 0  # media time from which a run of mended pictures counts
        self._run = 0  # how many pictures since the anchor
        self._steps: deque[int] = deque(maxlen=_STEPS)  # good distances between pictures
        self._usual_ns: int | None = None  # where it stands for the rate
        self._last_step_ns = 0

    @property
    def last_ns(self) -> int | None:
        """Media time of the last picture, None before the first."""
        return self._last_ns

    def place(self, pts_ns: int | None, following_ns: int | None = None) -> Placed:
        """Return the place of the next picture.

        pts_ns: the source's own time stamp, in any count; None where it has none.
        following_ns: the time stamp of the picture after it where the caller knows it. It distinguishes a single
        picture far ahead from a gap, and a corrected picture never takes its time.
        """
        if self._last_ns is None:
            return self._first(pts_ns)
        if pts_ns is None:
            return self._mend("missing", following_ns)
        if self._offset_ns is None:
            return self._join(pts_ns)
        media_ns = pts_ns + self._offset_ns
        if media_ns > self._last_ns:
            return self._ahead(pts_ns, media_ns, following_ns)
        return self._behind(pts_ns, media_ns, following_ns)

    def reconnected(self, elapsed_ns: int) -> None:
        """Continue after a loss of the source: the next picture comes `elapsed_ns` after the last one.

        Its time stamps may start anywhere. Less than the nominal duration counts as the nominal duration.
        """
        if self._last_ns is None:
            return
        self._offset_ns = self._last_raw_ns = self._suspect = None
        self._anchor_ns = self._last_ns + max(0, elapsed_ns - self.nominal_ns)
        self._run = 0

    def advance(self, pts_ns: int) -> None:
        """Advance media time to `pts_ns` without a picture: the next one lies behind it, even if it is late."""
        if self._last_ns is not None:
            self._last_ns = max(self._last_ns, pts_ns)

    @property
    def nominal_ns(self) -> int:
        """Nominal time between two pictures."""
        return self._nominal(1)

    def state(self) -> dict[str, Any]:
        """Return plain values from which `restore` continues exactly."""
        raw, media = self._suspect or (None, None)
        counts = {f"mended_{fault}": count for fault, count in self.mended.items()}
        return {
            "last_ns": self._last_ns,
            "offset_ns": self._offset_ns,
            "last_raw_ns": self._last_raw_ns,
            "suspect_raw_ns": raw,
            "suspect_ns": media,
            "anchor_ns": self._anchor_ns,
            "run": self._run,
            "steps": list(self._steps),
            "last_step_ns": self._last_step_ns,
            **counts,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a stored `state`."""
        self._last_ns = state["last_ns"]
        self._offset_ns = state["offset_ns"]
        self._last_raw_ns = state["last_raw_ns"]
        raw, media = state["suspect_raw_ns"], state["suspect_ns"]
        self._suspect = None if raw is None or media is None else (raw, media)
        self._anchor_ns = state["anchor_ns"] or 0
        self._run = state["run"] or 0
        self._last_step_ns = state.get("last_step_ns") or 0
        for step_ns in state.get("steps") or ():
            self._learn(step_ns)
        self.mended = {fault: state.get(f"mended_{fault}") or 0 for fault in FAULTS}

    def _first(self, pts_ns: int | None) -> Placed:
        self._last_ns = 0
        if pts_ns is None:
            self.mended["missing"] += 1
            return Placed(pts_ns=0, fault="missing")
        self._offset_ns, self._last_raw_ns = -pts_ns, pts_ns
        return Placed(pts_ns=0)

    def _join(self, pts_ns: int) -> Placed:
        """Place the first time stamp after pictures that had none, or after a reconnection."""
        self._run += 1
        return self._believe(pts_ns, self._anchor_ns + self._nominal(self._run))

    def _ahead(self, pts_ns: int, media_ns: int, following_ns: int | None) -> Placed:
        assert self._last_ns is not None
        step_ns = media_ns - self._last_ns
        if step_ns > self._gap_ns():
            if following_ns is not None and self._back_in_line(pts_ns, following_ns):
                return self._mend("forward", following_ns)
            if step_ns > LEAP_NS:
                return self._reset(pts_ns, self._last_ns + self.nominal_ns)
        good = self._run == 0 and (step_ns <= self._gap_ns() or _alike(step_ns, self._last_step_ns))
        self._last_step_ns = step_ns
        placed = self._believe(pts_ns, media_ns)
        if good:
            self._learn(step_ns)
        return placed

    def _behind(self, pts_ns: int, media_ns: int, following_ns: int | None) -> Placed:
        assert self._last_ns is not None
        if pts_ns == self._last_raw_ns and self._suspect is None:
            return self._mend("repeated", following_ns)
        moved_on = self._last_raw_ns is not None and pts_ns > self._last_raw_ns
        if moved_on and self._last_ns - media_ns <= 2 * self.nominal_ns:
            # right in itself: only the time that a mended picture before it was given is in its way
            self._suspect, self._last_raw_ns = None, pts_ns
            placed = self._settle(self._last_ns + _STEP_NS)
            self._anchor_ns = media_ns
            return placed
        if self._suspect is not None and 0 < pts_ns - self._suspect[0] <= self._gap_ns():
            return self._reset(pts_ns, max(self._suspect[1] + pts_ns - self._suspect[0], self._last_ns + _STEP_NS))
        placed = self._mend("backward", following_ns)
        self._suspect = (pts_ns, placed.pts_ns)
        return placed

    def _back_in_line(self, pts_ns: int, following_ns: int) -> bool:
        """Return whether the next picture is nearer to the pictures before than to this one."""
        assert self._offset_ns is not None
        assert self._last_ns is not None
        return following_ns < pts_ns and 0 < following_ns + self._offset_ns - self._last_ns <= self._gap_ns()

    def _mend(self, fault: Fault, following_ns: int | None) -> Placed:
        self.mended[fault] += 1
        self._run += 1
        last_ns = self._last_ns or 0
        pts_ns = self._anchor_ns + self._nominal(self._run)
        if following_ns is not None and self._offset_ns is not None:
            next_ns = following_ns + self._offset_ns
            if last_ns < next_ns <= pts_ns:
                pts_ns = (last_ns + next_ns) // 2
        pts_ns = max(pts_ns, last_ns + _STEP_NS)
        gap = pts_ns - last_ns > self._gap_ns()
        self._last_ns = pts_ns
        return Placed(pts_ns=pts_ns, fault=fault, gap=gap)

    def _reset(self, pts_ns: int, media_ns: int) -> Placed:
        self.mended["reset"] += 1
        self._offset_ns = media_ns - pts_ns
        self._suspect, self._last_raw_ns = None, pts_ns
        return self._settle(media_ns, "reset")

    def _believe(self, pts_ns: int, media_ns: int) -> Placed:
        self._offset_ns = media_ns - pts_ns
        self._suspect, self._last_raw_ns = None, pts_ns
        return self._settle(media_ns)

    def _settle(self, media_ns: int, fault: Fault | None = None) -> Placed:
        gap = media_ns - (self._last_ns or 0) > self._gap_ns()
        self._last_ns = self._anchor_ns = media_ns
        self._run = 0
        return Placed(pts_ns=media_ns, fault=fault, gap=gap)

    def _nominal(self, count: int) -> int:
        """Return the nominal duration of `count` pictures, rounded once."""
        if self._usual_ns is not None:
            return count * self._usual_ns
        return round(count * SECOND_NS / (self._rate or DEFAULT_RATE))

    def _learn(self, step_ns: int) -> None:
        """Record a good distance, and decide whether the usual one replaces the rate."""
        self._steps.append(step_ns)
        found = round(median(self._steps))
        nominal_ns = round(SECOND_NS / (self._rate or DEFAULT_RATE))
        sure = len(self._steps) >= _SURE or (len(self._steps) > 1 and _alike(min(self._steps), max(self._steps)))
        as_named = self._rate is not None and _alike(found, nominal_ns)
        # one that is too short does no harm, one that is too long gets in the way of the pictures that follow
        self._usual_ns = found if not as_named and (sure or found < nominal_ns) else None

    def _gap_ns(self) -> int:
        return max(SECOND_NS, 3 * self.nominal_ns)


def _alike(one_ns: int, other_ns: int) -> bool:
    return abs(one_ns - other_ns) <= _AGREES * other_ns


__all__ = ["DEFAULT_RATE", "FAULTS", "LEAP_NS", "MOST_RATE", "Fault", "Placed", "Timeline"]
