"""One thread per sink: batches, retries with back-off, and knows up to where everything is flushed."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from streamproc.config.plan import SinkPlan
from streamproc.engine.outbox import Outbox, OutboxError
from streamproc.errors import SinkBusy, SinkError, redact
from streamproc.events import Event
from streamproc.frames import Frame
from streamproc.metrics import Tally
from streamproc.sink import AnySink, EventSink, SinkContext

log = logging.getLogger(__name__)

BATCH = 256
_FLUSH_EVERY_S = 0.25
_FIRST_WAIT_S = 0.2
_LONGEST_WAIT_S = 30.0
_LOCAL_TRIES = 5


@dataclass(slots=True)
class _Entry:
    serial: int
    item: Event | Frame
    written: Callable[[], None] | None = None


class Desk(Protocol):
    """What a writer may ask of the run."""

    def outbox(self) -> Outbox:
        """The run's outbox, made on first use."""
        ...

    def outbox_exists(self) -> bool:
        """Whether there is one already, perhaps of an earlier run."""
        ...

    def outbox_failed(self, error: OutboxError) -> None:
        """Nothing is safe any more."""
        ...


@dataclass(slots=True)
class _Retry:
    """When to try again, and how often it was tried."""

    tries: int = 0
    at: float = 0.0
    last_error: str = ""

    def failed(self, error: SinkError) -> None:
        """Put the next try off: as the sink asks, else twice as long each time."""
        self.tries += 1
        self.last_error = redact(str(error))
        wait = error.retry_after_s if isinstance(error, SinkBusy) else _FIRST_WAIT_S * 2 ** min(self.tries - 1, 10)
        self.at = time.monotonic() + min(wait, _LONGEST_WAIT_S)

    @property
    def left_s(self) -> float:
        return max(0.0, self.at - time.monotonic())


class Writer:
    """Owns one sink and the thread that alone touches it.

    A local sink gets its items from memory and is given up after some failures in a row: the events that it then
    hasn't got go to the outbox and are reported. A network sink for events gets them from the outbox and is never
    given up.
    """

    def __init__(self, plan: SinkPlan, sink: AnySink, desk: Desk) -> None:
        self.name = plan.name
        self.sink = sink
        self.counts = Tally()
        """`events`, `frames`, `retries`"""
        self.trouble = ""
        """why this sink was given up, or what keeps it from delivering"""
        self.undelivered = 0
        self._desk = desk
        self._stows = sink.network and isinstance(sink, EventSink)
        self._wake = threading.Condition()
        self._inbox: deque[_Entry] = deque()
        self._batch: list[_Entry] = []
        self._received = 0
        self._flushed = 0
        self._dirty = False
        self._flush_at = 0.0
        self._closing = False
        self._deadline = float("inf")
        self._retry = _Retry()
        self._open = False
        self._dead = False
        self._listeners: list[Callable[[], None]] = []
        self._thread = threading.Thread(target=self._work, name=f"streamproc-sink-{self.name}", daemon=True)

    @property
    def wants_pictures(self) -> bool:
        """Whether events should carry a thumbnail."""
        return isinstance(self.sink, EventSink) and self.sink.pictures

    @property
    def backlog(self) -> int:
        """Items that wait in memory."""
        return len(self._inbox) + len(self._batch)

    def on_progress(self, listener: Callable[[], None]) -> None:
        """Call `listener` (from the writer's thread) whenever the backlog may have shrunk."""
        self._listeners.append(listener)

    def start(self) -> None:
        """Start the thread; the sink is opened there."""
        self._dirty = self._stows and self._desk.outbox().count(self.name) > 0
        self._thread.start()

    def put(self, serial: int, items: Sequence[Event | Frame], written: Callable[[], None] | None = None) -> None:
        """Take items; `written` is called once the sink has taken the last of them, or was given up."""
        with self._wake:
            for position, item in enumerate(items):
                self._inbox.append(_Entry(serial, item, written if position == len(items) - 1 else None))
            self._received = max(self._received, serial)
            self._wake.notify()

    def flushed_upto(self, serial: int) -> bool:
        """Whether all that came up to this serial is durable at the other side."""
        with self._wake:
            return self._flushed >= serial or (self._flushed >= self._received and not self._inbox)

    def close(self, drain_s: float) -> None:
        """Deliver what is left (a network sink: for so long), flush, close the sink; call `join` after it."""
        with self._wake:
            self._closing = True
            self._deadline = time.monotonic() + drain_s
            self._wake.notify()

    def join(self) -> None:
        """Wait for the thread to end."""
        self._thread.join()

    # --- the writer's thread ---

    def _work(self) -> None:
        try:
            while not self._finished():
                self._turn()
                for listener in self._listeners:
                    listener()
        except OutboxError as error:
            self.trouble = str(error)
            self.undelivered += self.backlog
            self._desk.outbox_failed(error)
            self._release([*self._batch, *self._inbox])
        finally:
            self._close_sink()

    def _turn(self) -> None:
        self._await_work()
        if self._dead:
            self._bury()
            return
        try:
            if self._stows:
                self._stow()
                self._deliver_stowed()
            else:
                self._deliver()
        except SinkError as error:
            self._failed(error)

    def _await_work(self) -> None:
        """Wait for something to do, then fill the batch."""
        with self._wake:
            while not self._has_work():
                self._wake.wait(self._pause())
            if self._closing and self._retry.tries:
                self._wake.wait(min(self._retry.left_s, max(0.0, self._deadline - time.monotonic())))
            if not self._retry.tries or self._stows or self._dead:
                self._batch += [self._inbox.popleft() for _ in range(min(BATCH - len(self._batch), len(self._inbox)))]

    def _has_work(self) -> bool:
        if self._closing or (self._inbox and (self._stows or self._dead)):
            return True
        if self._retry.tries:
            return self._retry.left_s == 0
        return bool(self._inbox) or (self._dirty and time.monotonic() >= self._flush_at)

    def _pause(self) -> float | None:
        if self._retry.tries:
            return self._retry.left_s
        return max(0.0, self._flush_at - time.monotonic()) if self._dirty else None

    def _finished(self) -> bool:
        with self._wake:
            if not self._closing or self._inbox or self._batch:
                return False
            late = time.monotonic() >= self._deadline
            if self._dirty and not self._dead and not late:
                return False
        if self._stows:
            self.undelivered = self._desk.outbox().count(self.name)
        return True

    def _failed(self, error: SinkError) -> None:
        self.counts.add("retries")
        self._retry.failed(error)
        self.trouble = self._retry.last_error
        if self._retry.tries in (1, 10, 100):
            log.warning("sink %s: %s (try %d)", self.name, self.trouble, self._retry.tries)
        late = time.monotonic() >= self._deadline
        patient = self.sink.network or isinstance(error, SinkBusy)
        if not self._stows and (late or not (patient or self._retry.tries < _LOCAL_TRIES)):
            log.warning("sink %s is given up: %s", self.name, self.trouble)
            self._dead = True
            self._retry = _Retry()

    def _succeeded(self) -> None:
        self._retry = _Retry()
        self.trouble = ""

    # sinks fed from memory

    def _deliver(self) -> None:
        self._ensure_open()
        if self._batch:
            with self._calling():
                sink: Any = self.sink
                sink.write([entry.item for entry in self._batch])
            kind = "frames" if isinstance(self._batch[0].item, Frame) else "events"
            self.counts.add(kind, len(self._batch))
            self._dirty = True
            batch, self._batch = self._batch, []
            self._release(batch)
        if self._dirty and (self._closing or time.monotonic() >= self._flush_at):
            self._flush()
        self._succeeded()

    def _flush(self) -> None:
        with self._wake:
            if self._inbox:
                return
            upto = self._received
        with self._calling():
            self.sink.flush()
        self._flush_at = time.monotonic() + _FLUSH_EVERY_S
        with self._wake:
            self._dirty = False
            self._flushed = upto

    def _bury(self) -> None:
        """A given-up sink's events go to the outbox, from where a later run delivers them."""
        batch, self._batch = self._batch, []
        kept = [(entry.serial, entry.item) for entry in batch if isinstance(entry.item, Event)]
        if kept:
            self._desk.outbox().add(self.name, kept)
        self.undelivered += len(batch)
        self._release(batch)
        with self._wake:
            self._dirty = False
            self._flushed = self._received

    def _release(self, batch: list[_Entry]) -> None:
        for entry in batch:
            if entry.written is not None:
                entry.written()

    # sinks fed from the outbox

    def _stow(self) -> None:
        events = [(entry.serial, entry.item) for entry in self._batch if isinstance(entry.item, Event)]
        if events:
            self._desk.outbox().add(self.name, events)
            self._dirty = True
        batch, self._batch = self._batch, []
        self._release(batch)

    def _deliver_stowed(self) -> None:
        if self._retry.left_s > 0 or not self._dirty:
            return
        outbox = self._desk.outbox()
        with self._wake:
            upto = 0 if self._inbox else self._received
        while held := outbox.head(self.name, BATCH):
            self._ensure_open()
            with self._calling():
                sink: Any = self.sink
                sink.write([entry.event for entry in held])
                sink.flush()
            outbox.remove(self.name, held[-1].number)
            self.counts.add("events", len(held))
        with self._wake:
            self._dirty = False
            self._flushed = max(self._flushed, upto)
        self._succeeded()

    def _ensure_open(self) -> None:
        if self._open:
            return
        with self._calling():
            self.sink.open(SinkContext(name=self.name, log=logging.getLogger(f"streamproc.sink.{self.name}")))
        self._open = True
        if isinstance(self.sink, EventSink) and not self._stows and self._desk.outbox_exists():
            self._dig_up(self.sink)

    def _dig_up(self, sink: EventSink[Any]) -> None:
        """Deliver what an earlier run couldn't, before anything new."""
        outbox = self._desk.outbox()
        while held := outbox.head(self.name, BATCH):
            with self._calling():
                sink.write([entry.event for entry in held])
                sink.flush()
            outbox.remove(self.name, held[-1].number)
            self.counts.add("events", len(held))

    def _close_sink(self) -> None:
        try:
            if self._open:
                self.sink.close()
        except Exception as error:  # noqa: BLE001
            log.warning("closing sink %s failed: %s", self.name, redact(f"{type(error).__name__}: {error}"))

    @contextmanager
    def _calling(self) -> Iterator[None]:
        """Whatever a sink raises counts as a failure to deliver."""
        try:
            yield
        except (SinkError, OutboxError):
            raise
        except Exception as error:
            raise SinkError(f"{type(error).__name__}: {error}") from error


__all__ = ["BATCH", "Desk", "Writer"]
