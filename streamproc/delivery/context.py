"""Services of a run that its writers use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from streamproc.delivery.deadletters import DeadLetters
from streamproc.delivery.outbox import Outbox, OutboxError
from streamproc.watch import Call, Watch


class WriterContext(Protocol):
    """Services of a run for its writers."""

    @property
    def watch(self) -> Watch:
        """Watch over the calls under way."""
        ...

    def guarded(self, what: str, abandon: Callable[[], None]) -> Call:
        """Return a call into a source or sink, with the run's limits."""
        ...

    def outbox(self) -> Outbox:
        """Return the run's outbox, made on first use."""
        ...

    def outbox_exists(self) -> bool:
        """Return whether there is an outbox already, perhaps of an earlier run."""
        ...

    def outbox_failed(self, error: OutboxError) -> None:
        """End the run: events can't be stored safely any more."""
        ...

    @property
    def dead_letters(self) -> DeadLetters:
        """File of the records that sinks refuse."""
        ...


__all__ = ["WriterContext"]
