"""Events in the outbox of one sink."""

from __future__ import annotations

import time
from collections.abc import Sequence

from streamproc.delivery.context import WriterContext
from streamproc.delivery.items import InboxEntry
from streamproc.delivery.outbox import OutboxError, Waiting
from streamproc.delivery.status import SinkStatus
from streamproc.events import Event

_LOOK_EVERY_S = 5.0


class StoredEvents:
    """Outbox of one sink, used by its writer alone; every method may raise `OutboxError`.

    The file is made once there is something to store.
    """

    def __init__(self, key: str, context: WriterContext, status: SinkStatus, *, used: bool) -> None:
        """Open nothing yet; `used` is false for sinks of frames and records, which the outbox doesn't hold."""
        self.key = key
        self._context = context
        self._status = status
        self._usable = used
        self._counted = False
        self._look_at = 0.0

    def look_due(self) -> bool:
        """Return whether it is time to look for events of runs that have ended."""
        return self._usable and time.monotonic() >= self._look_at

    @property
    def pause_s(self) -> float | None:
        """Time until the next look."""
        return max(0.0, self._look_at - time.monotonic()) if self._usable else None

    def look_soon(self) -> None:
        """Look again at the next turn."""
        self._look_at = 0.0

    def look(self) -> bool:
        """Take over the events that ended runs left for this sink; return whether more events wait than before."""
        self._look_at = time.monotonic() + _LOOK_EVERY_S
        if not self._context.outbox_exists():
            return False
        outbox = self._context.outbox()
        adopted = outbox.adopt(self.key)
        if self._counted and not adopted:
            return False
        self._counted = True
        before, self._status.stored = self._status.stored, outbox.count(self.key)
        return self._status.stored > before

    def add(self, entries: Sequence[InboxEntry]) -> None:
        """Store the events among these; durable on return."""
        events = [(entry.serial, entry.item) for entry in entries if isinstance(entry.item, Event)]
        if events:
            self._context.outbox().add(self.key, events)
            self._status.stored += len(events)

    def head(self, most: int) -> list[Waiting]:
        """Return the oldest events."""
        head = self._context.outbox().head(self.key, most)
        if not head:
            self._status.stored = 0
        return head

    def remove(self, delivered: Sequence[Waiting]) -> None:
        """Delete delivered events, which were the oldest ones."""
        self._context.outbox().remove(self.key, delivered[-1].number)
        self._status.stored -= len(delivered)

    def count(self) -> None:
        """Count the events that wait at the end, of all ended runs."""
        if self._usable and self._context.outbox_exists():
            self._status.stored = self._context.outbox().count(self.key)

    @property
    def usable(self) -> bool:
        """Whether events can wait here."""
        return self._usable

    def failed(self, error: OutboxError) -> None:
        """End the run: the outbox can't be used."""
        if self._usable:
            self._usable = False
            self._context.outbox_failed(error)


__all__ = ["StoredEvents"]
