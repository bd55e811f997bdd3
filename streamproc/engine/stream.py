"""One stream at work: its driver, and what happens to what leaves its chain.

A frame's way: reader -> `Intake` (time, sampling, admission) -> queue -> tasks (workers) -> `ChainCore` (ordered
worker) -> record -> `StreamRun` (ledger, numbers) -> delivery.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from streamproc.chain.guard import hung
from streamproc.chain.item import Barrier, Failure, FrameItem, Item, Snapshot
from streamproc.chain.ledger import Bucket, Ledger, bucket_of
from streamproc.chain.step import Step
from streamproc.config.plan import StreamPlan
from streamproc.engine.admission import Credits
from streamproc.engine.context import RunContext
from streamproc.engine.driver import Handlers, ThreadDriver
from streamproc.engine.failures import Failures
from streamproc.engine.mailbox import GROUP
from streamproc.engine.opening import close_step
from streamproc.engine.stats import StreamStats
from streamproc.errors import describe
from streamproc.frames import StreamInfo
from streamproc.record import Record

log = logging.getLogger(__name__)

_BYTES_PER_PIXEL = 6
"""what a frame is reckoned to hold: the decoder's picture (1.5), RGB (3) and some smaller forms"""
_WAITING_FRAMES = 32
"""frames in flight of a chain with plugins that wait for others, beside those of any chain"""


class StreamRun:
    """The chain of one stream at work."""

    def __init__(
        self, plan: StreamPlan, info: StreamInfo, steps: tuple[Step, ...], ledger: Ledger, context: RunContext
    ) -> None:
        self.plan = plan
        self.info = info
        self.ledger = ledger
        self.stats = StreamStats(info.name, steps)
        self.error = ""
        """why streamproc gave this stream up: a bug of its own"""
        self.credits = _credits(plan, info, steps, context)
        self._context = context
        self._failures = Failures(info, context.state.bundles, context.stop)
        self._warned = False
        self._widened = any(step.kind == "waiting" for step in steps)
        self._in_flight: dict[int, float] = {}  # frame index -> when it was admitted
        self._barriers: dict[int, Callable[[Mapping[str, Any] | None], None]] = {}
        self.driver = ThreadDriver(plan, info, steps, context.pool, context.watch, self._handlers())

    @property
    def steps(self) -> tuple[Step, ...]:
        """The opened plugins, in the order of the chain."""
        return self.driver.core.steps

    @property
    def cost(self) -> int:
        """Bytes of admission credit that one frame holds."""
        return self.info.width * self.info.height * _BYTES_PER_PIXEL

    def start(self) -> None:
        """Start the driver."""
        self.driver.start()

    def admit(self, item: FrameItem) -> None:
        """Send a frame on its way; it holds a credit until its last reader is done."""
        self._in_flight[item.frame.index] = time.perf_counter()
        self.ledger.admit()
        self.driver.put(item)
        if self.error:  # it broke down meanwhile
            self._settle(item.frame.index, "failed", "streamproc itself")

    def has_credit(self) -> bool:
        """Take the credit of one live frame if there is any; a stream whose calls wait may have more in flight."""
        if self.credits.try_take(self.cost):
            return True
        if not self.driver.queue.waits or self._widened:
            return False
        self._widened = True
        self.credits.widen(_WAITING_FRAMES)
        return self.credits.try_take(self.cost)

    def drop_oldest(self, reason: str) -> bool:
        """Give up the frame that has waited for longest; False where none waits."""
        item = self._context.pool.drop_oldest(self.driver.queue)
        if item is not None and self._settle(item.frame.index, "dropped", reason):
            self.credits.give_back(self.cost)
        return item is not None

    def put(self, item: Item) -> None:
        """Send what isn't a frame on its way."""
        self.driver.put(item)

    def put_barrier(self, item: Barrier, then: Callable[[Mapping[str, Any] | None], None]) -> None:
        """Send a barrier; `then` gets the states of all plugins at its place, None where they can't be had."""
        self._barriers[item.number] = then
        self.driver.put(item)
        if self.error and self._barriers.pop(item.number, None) is not None:
            then(None)

    def _handlers(self) -> Handlers:
        return Handlers(
            record=self._record,
            snapshot=self._snapshot,
            failure=self._failed,
            close=self._close,
            broken=self._break_down,
            hung=self._hung,
            warn=self._warn_once,
        )

    # --- on the ordered worker ---

    def _record(self, record: Record) -> None:
        self.stats.count(record)
        for event in record.events:
            self._context.events.add((self.info.name, event.type))
        if self._context.tap is not None:
            self._context.tap.record(record)
        if record.frame is None:
            self._context.delivery.deliver(record, self.plan.sinks)
        else:
            began = self._in_flight.get(record.index)
            if self._settle(record.index, *bucket_of(record.verdicts)) and began is not None:
                self.stats.latency.observe(time.perf_counter() - began)
            self._context.delivery.deliver(record, self.plan.sinks, self._release)
        if record.reason == "end":
            self._context.delivery.ended(self.plan.name)

    def _release(self) -> None:
        """The last reader of a frame is done with it."""
        self.credits.give_back(self.cost)

    def _settle(self, index: int, bucket: Bucket, reason: str = "") -> bool:
        """Book a frame that was in flight; False where that was done already."""
        if self._in_flight.pop(index, None) is None:
            return False
        self.ledger.settle(bucket, reason)
        return True

    def _snapshot(self, snapshot: Snapshot) -> None:
        self._barriers.pop(snapshot.number)(snapshot.states)

    def _failed(self, failure: Failure) -> None:
        if failure.given.reason == "barrier":  # of which no record leaves
            self.stats.steps[failure.step.name].verdicts.add("failed")
        if self._context.tap is not None:
            self._context.tap.failure(failure)
        self._failures.report(failure)

    def _close(self, step: Step) -> None:
        stats = self.stats.steps[step.name]
        stats.remarks = close_step(step, self.info.name, stats.doubt)

    def _break_down(self, error: Exception) -> None:
        """Give the stream up, but settle every frame that is in flight."""
        self.error = f"streamproc itself failed: {describe(error)}; please report it"
        log.error("stream %s: %s", self.info.name, self.error, exc_info=error)
        for index in list(self._in_flight):
            if self._settle(index, "failed", "streamproc itself"):
                self._release()
        for number in list(self._barriers):
            if then := self._barriers.pop(number, None):
                then(None)
        self._context.delivery.ended(self.plan.name)

    def _hung(self, step: Step) -> None:
        """The watch has just abandoned a call."""
        self.stats.repeatable = False
        self._failures.hung(step, hung(step.timeout_s).error)

    def _warn_once(self, text: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning("%s", text)


def _credits(plan: StreamPlan, info: StreamInfo, steps: tuple[Step, ...], context: RunContext) -> Credits:
    # live frames would grow old while they wait for company in the mailbox
    waiting = 0 if info.live else GROUP + 1
    if any(step.kind == "waiting" for step in steps):
        waiting += _WAITING_FRAMES
    return Credits(plan.buffer_bytes, context.frames_in_flight + waiting)


__all__ = ["StreamRun"]
