"""A source that is away: when it is tried again, what is logged of it, and whether it is up."""

from __future__ import annotations

import logging
import random

from streamproc.downtime import Downtime

log = logging.getLogger(__name__)


class Outages:
    """The losses of one source over its whole run.

    first_s, longest_s: the wait before the first try and the longest one. Each try doubles the wait; what is waited is
    between half of it and all of it, so that the cameras of one switch don't all come back at once.
    """

    def __init__(self, stream: str, first_s: float, longest_s: float) -> None:
        self.up = False
        """whether the source is open and has given something since it was opened"""
        self.reason = ""
        """why it is away; empty while it isn't"""
        self._downtime = Downtime(f"stream {stream}: source", log)
        self._first_s = min(first_s, longest_s)
        self._longest_s = longest_s
        self._wait_s = self._first_s
        self._waits = False

    def came(self) -> None:
        """Something was read, if only that there is nothing at the moment."""
        if self.up or self._waits:
            return
        self.up, self.reason, self._wait_s = True, "", self._first_s
        self._downtime.worked()

    def lost(self, reason: str) -> float:
        """The source was lost, or could not be opened; how many seconds to wait before the next try."""
        self.up, self.reason = False, reason
        self._downtime.failed(f"lost: {reason}")
        wait_s = self._wait_s * random.uniform(0.5, 1.0)
        self._wait_s = min(2 * self._wait_s, self._longest_s)
        return wait_s

    def away(self, reason: str) -> None:
        """The source itself waits for its input, for this reason; an empty one once the input is back."""
        if reason and not self._waits:
            self._waits = True
            self.lost(reason)
        elif not reason and self._waits:
            self._waits = False
            self.came()

    def pause(self) -> None:
        """The source is closed for a while, on purpose."""
        self.up, self.reason, self._wait_s = False, "paused", self._first_s

    def ended(self) -> None:
        """Nothing more is read."""
        self.up = False


__all__ = ["Outages"]
