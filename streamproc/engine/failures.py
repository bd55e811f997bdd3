"""What becomes of a plugin's failure: logged with measure, kept as a repro bundle, perhaps the end of the run."""

from __future__ import annotations

import logging
from dataclasses import replace

from streamproc.chain.guard import Outcome, hung
from streamproc.chain.steps import Health, Step
from streamproc.engine.bundle import write_bundle
from streamproc.engine.services import Services
from streamproc.engine.ticket import Ticket
from streamproc.errors import describe
from streamproc.frames import StreamInfo
from streamproc.metrics import worth_logging

log = logging.getLogger(__name__)


class Failures:
    """Tells of the failures of one stream's plugins, in the order of its frames."""

    def __init__(self, info: StreamInfo, services: Services) -> None:
        self._info = info
        self._services = services
        self._bundled: set[int] = set()
        self._stuck_at: dict[int, str] = {}

    def note(self, ticket: Ticket, step: Step, outcome: Outcome) -> None:
        """A call of `step` failed; it stands in the step's verdicts already."""
        total = step.verdicts["failed"]
        if worth_logging(total):
            place = f"stream={self._info.name} plugin={step.name} frame={ticket.moment.frame_index} total={total}"
            log.warning("plugin failed %s: %s", place, outcome.sentence)
            log.debug("%s", outcome.trace)
        if step.index not in self._bundled and ticket.frame is not None:
            self._bundled.add(step.index)
            self._keep(ticket, step, outcome)
        if step.plan.on_error == "stop":
            where = f"plugin {step.name} of stream {self._info.name} failed at frame {ticket.moment.frame_index}"
            self._services.outlet.stop(f"{where}: {outcome.sentence}")
            log.warning("%s", outcome.trace)

    def mark_hung(self, step: Step, health: Health) -> None:
        """The watch gave up on a call of `step` this moment: no more of them."""
        self._stuck_at[step.index] = self._services.watch.stack
        step.verdicts.add("hung")
        reason = hung(step.timeout_s).error
        health.switch_off(step.index, reason, hung=True)
        if step.plan.on_error == "stop":
            self._services.outlet.stop(f"plugin {step.name} of stream {self._info.name} {reason}")

    def note_hung(self, ticket: Ticket, step: Step) -> None:
        """A call of `step` for this ticket never came back: keep what it got."""
        if step.index not in self._bundled and ticket.frame is not None:
            self._bundled.add(step.index)
            self._keep(ticket, step, replace(hung(step.timeout_s), trace=self._stuck_at.get(step.index, "")))

    def _keep(self, ticket: Ticket, step: Step, outcome: Outcome) -> None:
        try:
            path = write_bundle(self._services.bundles(), self._info, step, ticket, outcome)
            log.warning(
                "plugin %s: the input of this failure is saved in %s; streamproc repro repeats the call",
                step.name,
                path,
            )
        except Exception as error:  # noqa: BLE001 - whatever a picture or a result can't be turned into
            log.warning("the input of this failure can't be saved: %s", describe(error))


__all__ = ["Failures"]
