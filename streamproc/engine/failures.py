"""Consequences of a plugin's failure: a log line, a repro bundle, perhaps the end of the run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from streamproc.chain.item import Failure
from streamproc.chain.step import Step
from streamproc.engine.bundle import write_bundle
from streamproc.errors import describe
from streamproc.frames import StreamInfo
from streamproc.metrics import Tally, worth_logging

log = logging.getLogger(__name__)


class Failures:
    """Reports the failures of one stream's plugins, in the order of its frames.

    bundles: gives the folder for repro bundles, made on first use. stop: ends the run for a reason.
    """

    def __init__(self, info: StreamInfo, bundles: Callable[[], Path], stop: Callable[[str], None]) -> None:
        self._info = info
        self._bundles = bundles
        self._stop = stop
        self._bundled: set[int] = set()
        self._failed = Tally()

    def report(self, failure: Failure) -> None:
        """Report a call that failed or hung, and perhaps switches its plugin off."""
        step, outcome = failure.step, failure.outcome
        if outcome.verdict == "failed":
            self._log(failure)
        if failure.given.frame is not None and step.index not in self._bundled:
            self._bundled.add(step.index)
            self._save(failure)
        if outcome.verdict == "failed" and step.plan.on_error == "stop":
            where = f"plugin {step.name} of stream {self._info.name} failed at frame {failure.given.moment.frame_index}"
            self._stop(f"{where}: {outcome.sentence}")
            log.warning("%s", outcome.trace)
        if failure.disabled:
            log.warning("plugin switched off stream=%s plugin=%s: it %s", self._info.name, step.name, failure.disabled)

    def hung(self, step: Step, reason: str) -> None:
        """Handle a call of `step` that was abandoned just now; its report follows in order."""
        if step.plan.on_error == "stop":
            self._stop(f"plugin {step.name} of stream {self._info.name} {reason}")

    def _log(self, failure: Failure) -> None:
        name, moment = failure.step.name, failure.given.moment
        total = self._failed.add(name)
        if worth_logging(total):
            place = f"stream={self._info.name} plugin={name} frame={moment.frame_index} total={total}"
            log.warning("plugin failed %s: %s", place, failure.outcome.sentence)
            log.debug("%s", failure.outcome.trace)

    def _save(self, failure: Failure) -> None:
        try:
            path = write_bundle(self._bundles(), self._info, failure)
            log.warning(
                "plugin %s: the input of this failure is saved in %s; streamproc repro repeats the call",
                failure.step.name,
                path,
            )
        except Exception as error:  # noqa: BLE001 - whatever a picture or a result can't be turned into
            log.warning("the input of this failure can't be saved: %s", describe(error))


__all__ = ["Failures"]
