"""A source that is away: when it is tried again, what is logged of it, and whether it is up."""

from __future__ import annotations

import logging
import random
import time

from streamproc.engine.repeats import worth_logging

log = logging.getLogger(__name__)

_STEADY_S = 60.0
"""a source that was up for so long counts as sound: its next loss is a new trouble"""


class Outages:
    """The losses of one source, counted over its whole run.

    first_s, longest_s: the wait before the first try and the longest one. Each try doubles the wait; what is waited is
    between half of it and all of it, so that the cameras of one switch don't all come back at once.
    """

    def __init__(self, stream: str, first_s: float, longest_s: float) -> None:
        self.up = False
        """whether the source is open and has given something since it was opened"""
        self.reason = ""
        """why it is away; empty while it isn't"""
        self._stream = stream
        self._first_s = min(first_s, longest_s)
        self._longest_s = longest_s
        self._wait_s = self._first_s
        self._losses = 0
        self._logged = False
        self._down_since: float | None = None
        self._up_since = 0.0
        self._waits = False

    def came(self) -> None:
        """Something was read, if only that there is nothing at the moment."""
        if self.up or self._waits:
            return
        self.up = True
        self._up_since = time.monotonic()
        self._wait_s = self._first_s
        if self._logged and self._down_since is not None:
            away_s = self._up_since - self._down_since
            log.warning("stream %s: source is back after %.1f s", self._stream, away_s)
        self._down_since, self._logged, self.reason = None, False, ""

    def lost(self, reason: str) -> float:
        """The source was lost, or could not be opened; how many seconds to wait before the next try."""
        now = time.monotonic()
        if self.up and now - self._up_since >= _STEADY_S:
            self._losses = 0
        if self._down_since is None:
            self._down_since = now
        self.up, self.reason = False, reason
        self._losses += 1
        wait_s = self._wait_s * random.uniform(0.5, 1.0)
        if worth_logging(self._losses):
            self._logged = True
            tries = "" if self._losses == 1 else f" ({self._losses} times in a row)"
            log.warning("stream %s: source lost%s: %s; trying again", self._stream, tries, reason)
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

    def ended(self) -> None:
        """Nothing more is read."""
        self.up = False


__all__ = ["Outages"]
