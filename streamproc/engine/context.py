"""What the parts of a run share."""

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
    """Gets what leaves the chains of a run, on their ordered workers: a call that blocks holds its stream up."""

    def record(self, record: Record) -> None:
        """A record left a chain."""
        ...

    def mark(self, stream: str, then: Callable[[bool], None]) -> None:
        """Call `then` once everything of this stream so far is done with; with False where that never comes."""
        ...

    def failure(self, failure: Failure) -> None:
        """A call of a plugin failed; the record of its frame follows."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """What the streams and readers of a run share."""

    plan: RuntimePlan
    pool: Pool
    watch: Watch
    delivery: Delivery
    models: ModelStore
    names: Names
    """which source the name of a stream belongs to"""
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
        """A call into a source or sink, with the run's limits."""
        return Call(what, self.plan.call_limit_ns / 1e9, abandon, hurry_s=self.plan.drain_ns / 1e9)

    def opening(self, what: str, abandon: Callable[[], None]) -> Call:
        """A call that opens a plugin, likewise."""
        return Call(what, self.plan.open_limit_ns / 1e9, abandon, hurry_s=self.plan.drain_ns / 1e9, opens=True)


__all__ = ["RunContext", "Tap"]
