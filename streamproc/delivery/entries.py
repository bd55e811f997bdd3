"""What the writers of a run have in common: the items that wait for them, and what they may ask of the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from streamproc.delivery.deadletters import DeadLetters
from streamproc.delivery.outbox import Outbox, OutboxError
from streamproc.events import Event
from streamproc.frames import Frame
from streamproc.watch import Call, Watch

_EVENT_BYTES = 1_000


@dataclass(slots=True)
class Entry:
    """One item that waits for a sink."""

    serial: int
    item: Event | Frame
    written: Callable[[], None] | None = None
    weight: int = 0


def weight(item: Event | Frame) -> int:
    """About how many bytes an event holds in memory; a frame's are reckoned by its stream's credits."""
    if isinstance(item, Frame):
        return 0
    sized = [value for value in item.data.values() if isinstance(value, str | list | dict)]
    return _EVENT_BYTES + sum(len(a.data) for a in item.attachments) + 8 * sum(len(value) for value in sized)


class WriterContext(Protocol):
    """What a writer may ask of the run."""

    @property
    def watch(self) -> Watch:
        """Knows the calls under way."""
        ...

    def guarded(self, what: str, abandon: Callable[[], None]) -> Call:
        """A call into a source or sink, with the run's limits."""
        ...

    def outbox(self) -> Outbox:
        """The run's outbox, made on first use."""
        ...

    def outbox_exists(self) -> bool:
        """Whether there is one already, perhaps of an earlier run."""
        ...

    def outbox_failed(self, error: OutboxError) -> None:
        """Nothing is safe any more."""
        ...

    @property
    def dead_letters(self) -> DeadLetters:
        """Where records are set aside that a sink refuses."""
        ...


__all__ = ["Entry", "WriterContext", "weight"]
