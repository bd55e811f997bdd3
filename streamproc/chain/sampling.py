"""Sampling by media time: picks the frames of a stream that a plugin or a clip gets."""

from __future__ import annotations

from dataclasses import dataclass

from streamproc.frames import SECOND_NS


@dataclass(slots=True)
class Beat:
    """Picks the frames nearest to a regular beat of media time.

    A frame counts as on the beat when it lies at most half a source frame before it (so rounded time stamps don't lose
    frames where the rates are equal). After a gap the beat starts anew at the first frame behind it.
    """

    period_ns: int
    slack_ns: int
    due_ns: int | None = None

    @classmethod
    def of(cls, rate: float | None, nominal_ns: int | None) -> Beat | None:
        """Return a beat of `rate` per second over frames nominally `nominal_ns` apart; None for every frame."""
        if rate is None:
            return None
        period = round(SECOND_NS / rate)
        slack = period // 8 if nominal_ns is None else min(period, nominal_ns) // 2
        return cls(period_ns=period, slack_ns=slack)

    def takes(self, pts_ns: int) -> bool:
        """Return whether the frame at `pts_ns` is on the beat; frames come in the order of their time."""
        if self.due_ns is not None and pts_ns < self.due_ns - self.slack_ns:
            return False
        on_beat = self.due_ns is not None and pts_ns < self.due_ns + self.period_ns - self.slack_ns
        self.due_ns = (self.due_ns if on_beat and self.due_ns is not None else pts_ns) + self.period_ns
        return True
