"""Downtime: logs repeated failures sparingly, and one line when they are over."""

from __future__ import annotations

import logging
import time

from streamproc.metrics import worth_logging

_STEADY_S = 60.0
"""after working for this time, the next failure counts as the first again"""


class Downtime:
    """Failures of a source or a sink in a run; logs them sparingly, and one line when it is back.

    what: beginning of its log lines, such as `sink alerts`. It is up unless `failed` was called last.
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
        """Whether it worked at the last call."""
        return self._down_since is None

    def failed(self, reason: str) -> None:
        """Record a failure; `reason` continues the sentence that `what` begins."""
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
        """Record that it works."""
        if self._down_since is None:
            return
        self._up_since = time.monotonic()
        if self._logged:
            self._log.warning("%s is back after %.1f s", self._what, self._up_since - self._down_since)
        self._down_since, self._logged = None, False


__all__ = ["Downtime"]
