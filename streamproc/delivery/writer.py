"""One thread per sink: batches, retries with back-off, and knows up to where everything is flushed."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from streamproc.config.plan import SinkPlan
from streamproc.delivery.deadletters import Sieve
from streamproc.delivery.entries import Entry, WriterContext, weight
from streamproc.delivery.guarded import GuardedSink, Retry
from streamproc.delivery.outbox import OutboxError, outbox_key
from streamproc.downtime import Downtime
from streamproc.errors import SinkBusy, SinkError, describe
from streamproc.events import Event
from streamproc.frames import Frame
from streamproc.metrics import Tally
from streamproc.sink import AnySink, EventSink
from streamproc.watch import Abandoned

log = logging.getLogger(__name__)

BATCH = 256
_FLUSH_EVERY_S = 0.25
_LOCAL_TRIES = 5


class Writer:
    """Owns one sink and the thread that alone touches it.

    A network sink for events gets them from the outbox and is never given up. A local sink gets its items from memory;
    after some failures in a row it is fed from the outbox, too, and one for frames is given up. What the outbox still
    holds at the end is reported. A sink of either kind that hangs in a call is given up with its thread; another thread
    takes over here.
    """

    def __init__(self, plan: SinkPlan, sink: AnySink, context: WriterContext) -> None:
        self.name = plan.name
        self._key = outbox_key(plan)
        self.sink = sink
        self.counts = Tally()
        """`events`, `frames`, `retries`"""
        self.trouble = ""
        """why this sink was given up, or what keeps it from delivering"""
        self.notes: list[str] = []
        """what the sink has to say that is no trouble"""
        self.undelivered = 0
        self.stored = 0
        """events that wait in the outbox"""
        self._context = context
        self._stows = sink.network and isinstance(sink, EventSink)
        self._guarded = GuardedSink(
            plan.name, sink, context.watch, context.guarded(f"sink {plan.name}", self._hung), self.notes.append
        )
        self._sieve = Sieve(plan.name, self._guarded, context.dead_letters)
        self._suspicious = False  # a batch was refused: one record of it may be at fault
        self._wake = threading.Condition()
        self._inbox: deque[Entry] = deque()
        self._batch: list[Entry] = []
        self._unflushed: list[Entry] = []  # events written but not durable yet
        self._unflushed_frames = 0
        self._weight = 0
        self._received = 0
        self._flushed = 0
        self._dirty = False
        self._old_rows = False  # an earlier run left events in the outbox
        self._flush_at = 0.0
        self._closing = False
        self._deadline = float("inf")
        self._retry = Retry()
        self._downtime = Downtime(f"sink {plan.name}", log)
        self._dead = False
        self._stuck = False
        self._no_outbox = False
        self._lossy = False  # something is gone for good: a checkpoint must not pass over it
        self._done = threading.Event()
        self._thread = self._new_thread()

    @property
    def wants_pictures(self) -> bool:
        """Whether events should carry a thumbnail."""
        return isinstance(self.sink, EventSink) and self.sink.pictures

    @property
    def up(self) -> bool:
        """Whether it takes what it is given, as far as is known."""
        return not self._dead and self._downtime.up

    @property
    def refused(self) -> int:
        """Records that the sink refused: they are set aside as dead letters."""
        return self._sieve.total

    @property
    def backlog(self) -> int:
        """Items that wait in memory."""
        return len(self._inbox) + len(self._batch)

    @property
    def backlog_bytes(self) -> int:
        """About how much memory they hold, frames not counted."""
        return self._weight

    def start(self) -> None:
        """Start the thread; the sink is opened there."""
        self._thread.start()

    def put(self, serial: int, items: Sequence[Event | Frame], written: Callable[[], None] | None = None) -> None:
        """Take items; `written` is called once the sink has taken the last of them, or was given up."""
        with self._wake:
            for position, item in enumerate(items):
                entry = Entry(serial, item, written if position == len(items) - 1 else None, weight(item))
                self._inbox.append(entry)
                self._weight += entry.weight
            self._received = max(self._received, serial)
            self._wake.notify()

    def flushed_upto(self, serial: int) -> bool:
        """Whether all that came up to this serial is durable at the other side."""
        with self._wake:
            return self._flushed >= min(serial, self._received)

    def close(self, drain_s: float) -> None:
        """Deliver what is left (a network sink: for so long), flush, close the sink; call `join` after it."""
        with self._wake:
            self._closing = True
            self._deadline = time.monotonic() + drain_s
            self._wake.notify()

    def join(self) -> None:
        """Wait for the thread to end (the one that isn't stuck)."""
        self._done.wait()
        self._thread.join()

    # --- the writer's thread ---

    def _new_thread(self) -> threading.Thread:
        return threading.Thread(target=self._work, name=f"streamproc-sink-{self.name}", daemon=True)

    def _hung(self) -> None:
        """The watch gave up on a call: another thread buries what comes; called once, by the watch."""
        self.trouble = "a call of it did not come back in time; it was given up"
        log.warning("sink %s is given up: %s", self.name, self.trouble)
        self._dead = self._stuck = True
        self._thread = self._new_thread()
        self._thread.start()

    def _work(self) -> None:
        try:
            if not self._stuck:
                self._guarded_turn(self._look_for_old_rows)
            while not self._finished():
                self._guarded_turn(self._turn)
            if not self._stuck:
                self.trouble = self._guarded.close() or self.trouble
            self._guarded_turn(self._count_undelivered)
        except Abandoned:
            return
        self._done.set()

    def _guarded_turn(self, turn: Callable[[], None]) -> None:
        """One turn, whatever goes wrong in it."""
        try:
            turn()
        except SinkError as error:
            self._failed(error)
        except OutboxError as error:
            if not self._no_outbox:
                self._context.outbox_failed(error)
            self.trouble = str(error)
            self._dead = self._no_outbox = self._lossy = True
        except Exception as error:
            log.error("the writer of sink %s failed: %s", self.name, describe(error), exc_info=error)
            self.trouble = f"streamproc itself failed: {describe(error)}; please report it"
            self._dead = self._lossy = True

    def _look_for_old_rows(self) -> None:
        if self._stows or self._context.outbox_exists():
            self.stored = self._context.outbox().count(self._key)
            self._old_rows = self._dirty = self.stored > 0

    def _turn(self) -> None:
        self._await_work()
        if self._dead:
            self._bury()
        elif self._stows:
            self._stow()
            self._deliver_stowed()
        else:
            self._deliver()

    def _await_work(self) -> None:
        """Wait for something to do, then fill the batch."""
        with self._wake:
            while not self._has_work():
                self._wake.wait(self._pause())
            if self._closing and self._retry.tries and not self._dead:
                self._wake.wait(min(self._retry.left_s, max(0.0, self._deadline - time.monotonic())))
            if not self._retry.tries or self._stows or self._dead or self._suspicious:
                taken = [self._inbox.popleft() for _ in range(min(BATCH - len(self._batch), len(self._inbox)))]
                self._weight -= sum(entry.weight for entry in taken)
                self._batch += taken

    def _has_work(self) -> bool:
        if self._closing or (self._inbox and (self._stows or self._dead)):
            return True
        if self._dead:
            return bool(self._batch or self._unflushed or self._unflushed_frames)
        if self._retry.tries:
            return self._retry.left_s == 0
        return bool(self._inbox) or (self._dirty and time.monotonic() >= self._flush_at)

    def _pause(self) -> float | None:
        if self._dead:
            return None
        if self._retry.tries:
            return self._retry.left_s
        return max(0.0, self._flush_at - time.monotonic()) if self._dirty else None

    def _finished(self) -> bool:
        with self._wake:
            if not self._closing or self._inbox or self._batch or self._unflushed or self._unflushed_frames:
                return False
            if self._dead or not self._dirty:
                return True
            return self._stows and time.monotonic() >= self._deadline

    def _failed(self, error: SinkError) -> None:
        self.counts.add("retries")
        self._retry.failed(error)
        self.trouble = self._retry.last_error
        self._downtime.failed(f"failed: {self.trouble}")
        if self._stows:
            return
        late = time.monotonic() >= self._deadline
        patient = self.sink.network or isinstance(error, SinkBusy)
        if late or not (patient or self._retry.tries < _LOCAL_TRIES):
            self._set_aside(late)

    def _set_aside(self, late: bool) -> None:
        """Let a local sink's events wait on disk from now on, as a network sink's do, and go on trying."""
        if late or not isinstance(self.sink, EventSink):
            log.warning("sink %s is given up: %s", self.name, self.trouble)
            self._dead = True
            self._retry = Retry()
            return
        self._batch = [*self._unflushed, *self._batch]
        self._unflushed = []
        self._old_rows = False  # they lie before those of this run
        self._stows = self._dirty = True

    def _succeeded(self) -> None:
        self._downtime.worked()
        self._retry = Retry()
        self.trouble = ""

    def _settled_serial(self) -> int:
        """Everything up to this serial has left the inbox (and the batch, where that is empty)."""
        with self._wake:
            return self._inbox[0].serial - 1 if self._inbox else self._received

    # sinks fed from memory

    def _deliver(self) -> None:
        self._guarded.open()
        if self._old_rows:
            self._dig_up()
        if self._batch:
            self._write_batch()
        if self._dirty and (self._closing or time.monotonic() >= self._flush_at):
            upto = self._settled_serial()
            self._guarded.flush()
            self.counts.add("events", len(self._unflushed))
            self.counts.add("frames", self._unflushed_frames)
            self._flush_at = time.monotonic() + _FLUSH_EVERY_S
            self._unflushed, self._unflushed_frames, self._dirty = [], 0, False
            with self._wake:
                self._flushed = max(self._flushed, upto)
        self._succeeded()

    def _hand_over(self, items: Sequence[Event | Frame], *, flush: bool = False) -> set[int]:
        """Write these; one by one where they were refused together. The `id()` of those that were set aside."""
        if self._suspicious:
            refused = self._sieve.sift(items)
            self._suspicious = False
            return set(map(id, refused))
        try:
            self._guarded.write(items)
            if flush:  # a network sink may hear of a refusal only now
                self._guarded.flush()
        except SinkBusy:
            raise
        except SinkError:
            self._suspicious = True
            raise
        self._sieve.note_taken(items[-1])
        return set()

    def _write_batch(self) -> None:
        refused = self._hand_over([entry.item for entry in self._batch])
        self._release([entry for entry in self._batch if id(entry.item) in refused])
        batch, self._batch = [entry for entry in self._batch if id(entry.item) not in refused], []
        events = [Entry(entry.serial, entry.item) for entry in batch if isinstance(entry.item, Event)]
        self._unflushed += events
        self._unflushed_frames += len(batch) - len(events)
        self._dirty = True
        self._release(batch)

    def _dig_up(self) -> None:
        """Deliver what an earlier run couldn't, before anything new."""
        outbox = self._context.outbox()
        while held := outbox.head(self._key, BATCH):
            refused = self._hand_over([entry.event for entry in held], flush=True)
            outbox.remove(self._key, held[-1].number)
            self.stored -= len(held)
            self.counts.add("events", len(held) - len(refused))
        self._old_rows = False

    def _bury(self) -> None:
        """A given-up sink's events go to the outbox, from where a later run delivers them."""
        left = [*self._unflushed, *self._batch]
        events = [(entry.serial, entry.item) for entry in left if isinstance(entry.item, Event)]
        frames = len(left) - len(events) + self._unflushed_frames
        batch, self._batch, self._unflushed, self._unflushed_frames = self._batch, [], [], 0
        self.undelivered += len(events) + frames
        self._lossy = self._lossy or frames > 0
        upto = self._settled_serial()
        self._release(batch)
        if events and not self._no_outbox:
            self._context.outbox().add(self._key, events)
            self.stored += len(events)
        self._dirty = False
        if not self._lossy:
            with self._wake:
                self._flushed = max(self._flushed, upto)

    def _release(self, batch: list[Entry]) -> None:
        for entry in batch:
            if entry.written is not None:
                entry.written()

    # sinks fed from the outbox

    def _stow(self) -> None:
        events = [(entry.serial, entry.item) for entry in self._batch if isinstance(entry.item, Event)]
        if events:
            self._context.outbox().add(self._key, events)
            self.stored += len(events)
            self._dirty = True
        batch, self._batch = self._batch, []
        self._release(batch)

    def _deliver_stowed(self) -> None:
        """One batch, so that what comes meanwhile is stowed before the next."""
        if self._retry.left_s > 0 or not self._dirty:
            return
        outbox = self._context.outbox()
        upto = self._settled_serial()
        held = outbox.head(self._key, BATCH)
        if held:
            self._guarded.open()
            refused = self._hand_over([entry.event for entry in held], flush=True)
            outbox.remove(self._key, held[-1].number)
            self.stored -= len(held)
            self.counts.add("events", len(held) - len(refused))
        done = upto if len(held) < BATCH else held[-1].serial - 1
        self._dirty = len(held) == BATCH
        with self._wake:
            self._flushed = max(self._flushed, done)
        self._succeeded()

    def _count_undelivered(self) -> None:
        """What waits in the outbox at the end, whichever run left it there."""
        if not self._no_outbox and (self._stows or self._context.outbox_exists()):
            waiting = self._context.outbox().count(self._key)
            self.undelivered = waiting if self._stows else max(self.undelivered, waiting)


__all__ = ["BATCH", "Writer"]
