"""Trouble that comes again and again: logged by measure, and that it is over."""

from __future__ import annotations

import logging
import time

from streamproc.metrics import worth_logging

_STEADY_S = 60.0
"""what worked for so long counts as sound: its next failure is a new trouble"""


class Downtime:
    """The failures of a source or a sink in a run: logs them by measure, and one line when it is back.

    what: how its lines begin, such as `sink alerts`. It is up unless `failed` was called last.
    """

    def __init__(self, what: str, log: logging.Logger) -> None:
        self._what = what
        self._log = log
        self._failures = 0
        self._logged = False
        self._down_since: float | None = None
        self._up_since = time.monotonic()

    @property
    def up(self) -> bool:
        """Whether the last thing that is known of it is that it works."""
        return self._down_since is None

    def failed(self, reason: str) -> None:
        """It failed, or failed again; `reason` goes on where `what` ends."""
        now = time.monotonic()
        if self._down_since is None:
            if now - self._up_since >= _STEADY_S:
                self._failures = 0
            self._down_since = now
        self._failures += 1
        if worth_logging(self._failures):
            self._logged = True
            times = "" if self._failures == 1 else f" (failure {self._failures:,})"
            self._log.warning("%s %s%s; trying again", self._what, reason, times)

    def worked(self) -> None:
        """It works."""
        if self._down_since is None:
            return
        self._up_since = time.monotonic()
        if self._logged:
            self._log.warning("%s is back after %.1f s", self._what, self._up_since - self._down_since)
        self._down_since, self._logged = None, False


__all__ = ["Downtime"]
