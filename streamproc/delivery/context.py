"""Services of a run that its writers use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from streamproc.delivery.deadletters import DeadLetters
from streamproc.delivery.outbox import Outbox, OutboxError
from streamproc.watch import Call, Watch


class WriterContext(Protocol):
    """The run, as its writers see it."""

    @property
    def watch(self) -> Watch:
        """Watch over the calls under way."""
        ...

    def guarded(self, what: str, abandon: Callable[[], None]) -> Call:
        """A call into a source or sink, with the run's limits."""
        ...

    def outbox(self) -> Outbox:
        """The run's outbox, made on first use."""
        ...

    def outbox_exists(self) -> bool:
        """Whether there is an outbox already, perhaps of an earlier run."""
        ...

    def outbox_failed(self, error: OutboxError) -> None:
        """End the run: nothing is safe any more."""
        ...

    @property
    def dead_letters(self) -> DeadLetters:
        """Where records are set aside that a sink refuses."""
        ...


__all__ = ["WriterContext"]
