"""Writers: one thread per sink, which delivers the items of its inbox and moves between the states of `feeds`."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from streamproc.config.plan import SinkPlan
from streamproc.delivery.context import WriterContext
from streamproc.delivery.deadletters import Sieve
from streamproc.delivery.feeds import Feed, MemoryFeed, OutboxFeed, Parts
from streamproc.delivery.guarded import GuardedSink
from streamproc.delivery.inbox import Inbox
from streamproc.delivery.items import taken_by
from streamproc.delivery.outbox import OutboxError, outbox_key
from streamproc.delivery.status import SinkStatus
from streamproc.delivery.stored import StoredEvents
from streamproc.downtime import Downtime
from streamproc.errors import SinkError, describe
from streamproc.sink import AnySink, EventSink, RecordSink
from streamproc.watch import Abandoned

log = logging.getLogger(__name__)


class Writer:
    """Owns one sink and the only thread that uses it.

    A network sink for events is fed from the outbox, any other from memory. A sink that hangs in a call is disabled and
    its thread abandoned; a new thread continues the writer's work.
    """

    def __init__(self, plan: SinkPlan, sink: AnySink, context: WriterContext, status: SinkStatus | None = None) -> None:
        self.name = plan.name
        self.plan = plan
        self.sink = sink
        self.takes = taken_by(sink)
        """kind of items that the sink gets"""
        self.inbox = Inbox()
        self._call = context.guarded(f"sink {plan.name}", self._hung)
        self._parts = self._made_parts(plan, context, status or SinkStatus())
        from_outbox = sink.network and self.takes == "events"
        self._state: Feed = OutboxFeed(self._parts) if from_outbox else MemoryFeed(self._parts)
        self._done = threading.Event()
        self._thread = self._new_thread()

    def _made_parts(self, plan: SinkPlan, context: WriterContext, status: SinkStatus) -> Parts:
        guarded = GuardedSink(plan.name, self.sink, context.watch, self._call, status.notes.append)
        return Parts(
            name=plan.name,
            takes=self.takes,
            network=self.sink.network,
            sink=guarded,
            sieve=Sieve(plan.name, guarded, context.dead_letters, status.counts),
            inbox=self.inbox,
            stored=StoredEvents(outbox_key(plan), context, status, used=self.takes == "events"),
            status=status,
            downtime=Downtime(f"sink {plan.name}", log),
        )

    @property
    def key(self) -> str:
        """Key of its events in the outbox."""
        return self._parts.stored.key

    @property
    def status(self) -> SinkStatus:
        """Counts and troubles."""
        return self._parts.status

    @property
    def wants_pictures(self) -> bool:
        """Whether the sink wants a thumbnail with each event."""
        return isinstance(self.sink, EventSink) and self.sink.pictures

    @property
    def wants_frames(self) -> bool:
        """Whether the pixels of a frame have to stay until the sink has taken it."""
        return self.takes == "frames" or (isinstance(self.sink, RecordSink) and self.sink.frames)

    @property
    def up(self) -> bool:
        """Whether the sink works, as far as is known."""
        return not self.status.disabled and self._parts.downtime.up

    @property
    def backlog(self) -> int:
        """Number of items that wait in memory."""
        return len(self.inbox) + len(self._state.batch)

    def start(self) -> None:
        """Start the thread; the sink is opened there."""
        self._thread.start()

    def close(self, drain_s: float) -> None:
        """Deliver the items left within this time; a working sink fed from memory gets all of them. Then `join`."""
        self._parts.stored.look_soon()
        self.inbox.close(drain_s)

    def stop(self, within_s: float) -> None:
        """Close it while the run goes on: calls of the sink, too, may take no longer than this."""
        self._call.hurry(within_s)
        self.close(within_s)

    def join(self) -> None:
        """Wait for the thread at work to end; a stuck one is not waited for."""
        self._done.wait()
        self._thread.join()

    # --- the writer's thread ---

    def _new_thread(self) -> threading.Thread:
        return threading.Thread(target=self._work, name=f"streamproc-sink-{self.name}", daemon=True)

    def _hung(self) -> None:
        """Continue on a new thread: the watch has abandoned a call and its thread. The watch calls this once."""
        took_s = time.monotonic() - self._call.started
        said = f"{took_s:.0f}" if took_s >= 10 else f"{took_s:.1f}"
        self.status.trouble = f"{self._parts.sink.method}() timed out after {said} s"
        log.warning("sink %s disabled: %s", self.name, self.status.trouble)
        self._state = self._state.disabled()
        self._thread = self._new_thread()
        self._thread.start()

    def _work(self) -> None:
        stuck = self.status.disabled
        try:
            self._turn()
            while not self._finished():
                self._turn()
            if not stuck:
                self.status.trouble = self._parts.sink.close() or self.status.trouble
            self._attempt(self._parts.stored.count)
        except Abandoned:
            return
        self.status.ended = True
        self._done.set()

    def _turn(self) -> None:
        with self.inbox.changed:
            while not self._state.has_work():
                self.inbox.changed.wait(self._state.pause_s())
            self._state.wait_at_end()
        self._attempt(self._state.turn)

    def _finished(self) -> bool:
        with self.inbox.changed:
            return self.inbox.closing and not len(self.inbox) and self._state.finished()

    def _attempt(self, step: Callable[[], None]) -> None:
        """Run a step, and change the state where it fails."""
        try:
            step()
        except SinkError as error:
            self._state = self._state.failed(error)
        except OutboxError as error:
            self._parts.stored.failed(error)
            self._disable(str(error))
        except Exception as error:
            log.error("the writer of sink %s failed: %s", self.name, describe(error), exc_info=error)
            self._disable(f"streamproc itself failed: {describe(error)}; report it with this log")

    def _disable(self, trouble: str) -> None:
        self.status.trouble = trouble
        self._state = self._state.disabled(lossy=True)


__all__ = ["Writer"]
