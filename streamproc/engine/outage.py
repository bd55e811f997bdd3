"""Outages of a source: time of the next try, log lines, and whether the source is up."""

from __future__ import annotations

import logging
import random

from streamproc.downtime import Downtime

log = logging.getLogger(__name__)


class Outages:
    """The losses of one source over its whole run.

    first_s, longest_s: the wait before the first try and the longest one. Each try doubles the wait. The actual wait is
    a random part of it, at least half, so that the cameras of one switch don't all come back at once.
    """

    def __init__(self, stream: str, first_s: float, longest_s: float) -> None:
        self.up = False
        """whether the source is open and has given something since it was opened"""
        self.reason = ""
        """reason for the outage; empty while there is none"""
        self._downtime = Downtime(f"stream {stream}: source", log)
        self._first_s = min(first_s, longest_s)
        self._longest_s = longest_s
        self._wait_s = self._first_s
        self._waits = False

    def worked(self) -> None:
        """Record that the source was read, even if it had nothing at the moment."""
        if self.up or self._waits:
            return
        self.up, self.reason, self._wait_s = True, "", self._first_s
        self._downtime.worked()

    def lost(self, reason: str) -> float:
        """Record a source that was lost or could not be opened; return the seconds to wait before the next try."""
        self.up, self.reason = False, reason
        self._downtime.failed(f"lost: {reason}")
        wait_s = self._wait_s * random.uniform(0.5, 1.0)
        self._wait_s = min(2 * self._wait_s, self._longest_s)
        return wait_s

    def away(self, reason: str) -> None:
        """Record that the source waits for its input, for this reason; empty once the input is back."""
        if reason and not self._waits:
            self._waits = True
            self.lost(reason)
        elif not reason and self._waits:
            self._waits = False
            self.worked()

    def pause(self) -> None:
        """Record that the source is paused."""
        self.up, self.reason, self._wait_s = False, "paused", self._first_s

    def ended(self) -> None:
        """Record that reading has ended."""
        self.up = False


__all__ = ["Outages"]
