"""The three states of a writer: fed from memory, fed from the outbox, disabled.

    MemoryFeed --> OutboxFeed    a sink for events keeps failing
    MemoryFeed --> Disabled      a sink for frames or records keeps failing, or any sink at the end of the run
    any        --> Disabled      a call hangs, or the outbox can't be used

Only the writer's thread uses a state; after a hang another thread continues with the next state.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from streamproc.delivery.deadletters import Sieve
from streamproc.delivery.guarded import GuardedSink, Retry
from streamproc.delivery.inbox import Inbox
from streamproc.delivery.items import InboxEntry, Kind, kind_of
from streamproc.delivery.outbox import Waiting
from streamproc.delivery.status import SinkStatus
from streamproc.delivery.stored import StoredEvents
from streamproc.downtime import Downtime
from streamproc.errors import SinkBusy, SinkError

log = logging.getLogger(__name__)

BATCH = 256
_FLUSH_EVERY_S = 0.25
_LOCAL_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """Parts that the states of one writer share."""

    name: str
    takes: Kind
    network: bool
    sink: GuardedSink
    sieve: Sieve
    inbox: Inbox
    stored: StoredEvents
    status: SinkStatus
    downtime: Downtime


class Feed(ABC):
    """State of a writer: the place from which its sink gets items."""

    def __init__(self, parts: Parts, batch: Iterable[InboxEntry] = (), retry: Retry | None = None) -> None:
        self.batch = list(batch)
        """items taken from the inbox and not handed on yet"""
        self._parts = parts
        self._retry = retry or Retry()

    @abstractmethod
    def has_work(self) -> bool:
        """Return whether a turn has something to do now."""

    @abstractmethod
    def pause_s(self) -> float | None:
        """Return the time until a turn has something to do if no item comes; None: for ever."""

    @abstractmethod
    def turn(self) -> None:
        """Do one turn of work; raises `SinkError` or `OutboxError`."""

    @abstractmethod
    def finished(self) -> bool:
        """Return whether nothing is left to do once the inbox is closed and empty."""

    @abstractmethod
    def failed(self, error: SinkError) -> Feed:
        """Return the state after a failed turn."""

    def disabled(self, *, lossy: bool = False) -> Disabled:
        """Return the state that disables the sink; `lossy`: the outbox can't store everything either."""
        return Disabled(self._parts, self.batch, lossy=lossy)

    def fill(self) -> None:
        """Complete the batch from the inbox."""
        self.batch += self._parts.inbox.take(BATCH - len(self.batch))

    def wait_at_end(self) -> None:
        """While the inbox is closing, wait for the next try; the caller holds `changed`."""
        if self._parts.inbox.closing and self._retry.tries:
            self._parts.inbox.changed.wait(min(self._retry.left_s, self._parts.inbox.left_s))

    def _note_failure(self, error: SinkError) -> None:
        status = self._parts.status
        status.counts.add("retries")
        self._retry.failed(error)
        status.trouble = self._retry.last_error
        self._parts.downtime.failed(f"failed: {status.trouble}")

    def _note_success(self) -> None:
        self._parts.downtime.worked()
        self._retry = Retry()
        self._parts.status.trouble = ""

    def _deliver_head(self) -> list[Waiting]:
        """Deliver the oldest events of the outbox and delete them there."""
        parts = self._parts
        head = parts.stored.head(BATCH)
        if head:
            parts.sink.open()
            refused = parts.sieve.write([waiting.event for waiting in head], flush=True)
            parts.stored.remove(head)
            parts.status.counts.add("events", len(head) - len(refused))
        return head


class MemoryFeed(Feed):
    """Items go from memory to the sink; a checkpoint waits until the sink has flushed them."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._unflushed: list[InboxEntry] = []
        """events written but not durable yet"""
        self._uncounted: Counter[Kind] = Counter()
        """frames and records written but not durable yet"""
        self._dirty = False
        self._flush_at = 0.0

    def has_work(self) -> bool:
        parts = self._parts
        if parts.inbox.closing:
            return True
        if self._retry.tries:
            return self._retry.left_s == 0
        return bool(len(parts.inbox)) or parts.stored.look_due() or (self._dirty and self._flush_in_s == 0)

    def pause_s(self) -> float | None:
        if self._retry.tries:
            return self._retry.left_s
        return _shorter(self._parts.stored.pause_s, self._flush_in_s if self._dirty else None)

    def turn(self) -> None:
        parts = self._parts
        if parts.stored.look_due() and parts.stored.look():
            self._dirty = True
        # after a refusal the sink needs other items, too, to show that it works
        if not self._retry.tries or parts.sieve.suspicious:
            self.fill()
        if not (self.batch or self._dirty or parts.inbox.closing):
            return
        parts.sink.open()
        while parts.status.stored:  # events of earlier runs come first
            self._deliver_head()
        if self.batch:
            self._write()
        if self._dirty and (parts.inbox.closing or self._flush_in_s == 0):
            self._flush()
        self._note_success()

    def finished(self) -> bool:
        return not (self.batch or self._dirty or self._parts.stored.look_due())

    def failed(self, error: SinkError) -> Feed:
        parts = self._parts
        self._note_failure(error)
        if parts.inbox.left_s == 0:
            log.warning("sink %s still fails when it has to close: %s", parts.name, parts.status.trouble)
            return self.disabled()
        if parts.network or isinstance(error, SinkBusy) or self._retry.tries < _LOCAL_TRIES:
            return self
        if parts.takes != "events":
            log.warning("sink %s disabled after %d failures: %s", parts.name, self._retry.tries, parts.status.trouble)
            return self.disabled()
        return OutboxFeed(parts, [*self._unflushed, *self.batch], self._retry)

    def disabled(self, *, lossy: bool = False) -> Disabled:
        lost = self._uncounted.total()
        return Disabled(self._parts, [*self._unflushed, *self.batch], lost=lost, lossy=lossy)

    @property
    def _flush_in_s(self) -> float:
        return max(0.0, self._flush_at - time.monotonic())

    def _write(self) -> None:
        refused = self._parts.sieve.write([entry.item for entry in self.batch])
        batch, self.batch = self.batch, []
        for entry in batch:
            if id(entry.item) in refused:
                continue
            if self._parts.takes == "events":
                self._unflushed.append(InboxEntry(entry.serial, entry.item))
            else:
                self._uncounted[self._parts.takes] += 1
        self._dirty = True
        _release(batch)

    def _flush(self) -> None:
        parts = self._parts
        upto = parts.inbox.taken_upto
        parts.sink.flush()
        parts.status.counts.add("events", len(self._unflushed))
        for kind, count in self._uncounted.items():
            parts.status.counts.add(kind, count)
        self._flush_at = time.monotonic() + _FLUSH_EVERY_S
        self._unflushed, self._dirty = [], False
        self._uncounted.clear()
        parts.inbox.flushed(upto)


class OutboxFeed(Feed):
    """Events go to the outbox, and from there to the sink, for as long as that takes."""

    def __init__(self, parts: Parts, batch: Iterable[InboxEntry] = (), retry: Retry | None = None) -> None:
        super().__init__(parts, batch, retry)
        self._dirty = bool(self.batch)

    def has_work(self) -> bool:
        parts = self._parts
        if parts.inbox.closing or len(parts.inbox) or parts.stored.look_due():
            return True
        return (self._dirty or bool(self.batch)) and self._retry.left_s == 0

    def pause_s(self) -> float | None:
        return _shorter(self._parts.stored.pause_s, self._retry.left_s if self._dirty else None)

    def turn(self) -> None:
        """Store new events, then deliver one batch: events that arrive during delivery are stored before the next."""
        parts = self._parts
        if parts.stored.look_due() and parts.stored.look():
            self._dirty = True
        self.fill()
        if self.batch:
            parts.stored.add(self.batch)
            self._dirty = True
            batch, self.batch = self.batch, []
            _release(batch)
        if not self._dirty or self._retry.left_s > 0:
            return
        upto = parts.inbox.taken_upto
        head = self._deliver_head()
        self._dirty = len(head) == BATCH
        parts.inbox.flushed(head[-1].serial - 1 if self._dirty else upto)
        self._note_success()

    def finished(self) -> bool:
        if self.batch:
            return False
        return not (self._dirty or self._parts.stored.look_due()) or self._parts.inbox.left_s == 0

    def failed(self, error: SinkError) -> Feed:
        self._note_failure(error)
        return self


class Disabled(Feed):
    """The sink gets nothing: events go to the outbox, from which a later run delivers them; other items are lost.

    lost: number of items that are lost already. lossy: no checkpoint may pass the items that this state takes.
    """

    def __init__(self, parts: Parts, batch: Iterable[InboxEntry], *, lost: int = 0, lossy: bool = False) -> None:
        super().__init__(parts, batch)
        self._lossy = lossy or lost > 0
        parts.status.lost += lost
        parts.status.disabled = True

    def has_work(self) -> bool:
        return self._parts.inbox.closing or bool(len(self._parts.inbox) or self.batch)

    def pause_s(self) -> float | None:
        return None

    def turn(self) -> None:
        parts = self._parts
        self.fill()
        batch, self.batch = self.batch, []
        upto = parts.inbox.taken_upto
        _release(batch)
        events = [entry for entry in batch if parts.stored.usable and kind_of(entry.item) == "events"]
        try:
            parts.stored.add(events)
        except BaseException:
            parts.status.lost += len(batch)
            raise
        lost = len(batch) - len(events)
        parts.status.lost += lost
        self._lossy = self._lossy or lost > 0
        if not self._lossy:
            parts.inbox.flushed(upto)

    def finished(self) -> bool:
        return not self.batch

    def failed(self, error: SinkError) -> Feed:
        return self

    def disabled(self, *, lossy: bool = False) -> Disabled:
        self._lossy = self._lossy or lossy
        return self


def _release(entries: Iterable[InboxEntry]) -> None:
    for entry in entries:
        if entry.written is not None:
            entry.written()


def _shorter(*times_s: float | None) -> float | None:
    return min((time_s for time_s in times_s if time_s is not None), default=None)


__all__ = ["BATCH", "Disabled", "Feed", "MemoryFeed", "OutboxFeed", "Parts"]
