"""Context of a run: services that its streams and readers share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from streamproc.chain.item import Failure
from streamproc.config.plan import RuntimePlan
from streamproc.delivery.delivery import Delivery
from streamproc.engine.files import StateFiles
from streamproc.engine.names import Names
from streamproc.engine.pool import Pool
from streamproc.metrics import Tally
from streamproc.models import ModelStore
from streamproc.record import Record
from streamproc.watch import Call, Watch


class Tap(Protocol):
    """Receiver of the records and failures of all chains, on their ordered workers: blocking delays the stream."""

    def record(self, record: Record) -> None:
        """Take a record that left a chain."""
        ...

    def mark(self, stream: str, then: Callable[[bool], None]) -> None:
        """Call `then` once everything of this stream so far is done with; with False where that never comes."""
        ...

    def failure(self, failure: Failure) -> None:
        """Take a failed call of a plugin; the record of its frame follows."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """Services that the streams and readers of a run share."""

    plan: RuntimePlan
    pool: Pool
    watch: Watch
    delivery: Delivery
    models: ModelStore
    names: Names
    """owner (source) of each stream's name"""
    files: StateFiles
    events: Tally
    """events by (stream, type)"""
    stop: Callable[[str], None]
    """ends the whole run for a reason"""
    tap: Tap | None = None

    @property
    def frames_in_flight(self) -> int:
        """Most frames of one stream between reader and sinks."""
        return max(4, 2 * self.plan.workers + 2)

    def guarded(self, what: str, abandon: Callable[[], None]) -> Call:
        """Return a call into a source or sink, with the run's limits."""
        return Call(what, self.plan.call_limit_ns / 1e9, abandon, hurry_s=self.plan.drain_ns / 1e9)

    def opening(self, what: str, abandon: Callable[[], None]) -> Call:
        """Return a call that opens a plugin, with the run's limits."""
        return Call(what, self.plan.open_limit_ns / 1e9, abandon, hurry_s=self.plan.drain_ns / 1e9, opens=True)


__all__ = ["RunContext", "Tap"]
