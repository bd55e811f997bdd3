"""One stream at work: its driver, and the handling of records that leave its chain.

Route of a frame: reader -> `Intake` (time, sampling, admission) -> queue -> tasks (workers) -> `ChainCore` (ordered
worker) -> record -> `StreamRun` (ledger, counts) -> delivery.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from streamproc.chain.guard import hung
from streamproc.chain.item import Barrier, Failure, FrameItem, Item, Snapshot
from streamproc.chain.ledger import Ledger, bucket_of
from streamproc.chain.step import Step
from streamproc.config.plan import StreamPlan
from streamproc.engine.admission import Credits
from streamproc.engine.context import RunContext
from streamproc.engine.driver import Handlers, ThreadDriver
from streamproc.engine.failures import Failures
from streamproc.engine.flight import Flight
from streamproc.engine.mailbox import GROUP
from streamproc.engine.opening import close_step
from streamproc.engine.stats import StreamStats
from streamproc.errors import describe
from streamproc.frames import StreamInfo
from streamproc.record import Record

log = logging.getLogger(__name__)

_BYTES_PER_PIXEL = 6
"""estimated memory of a frame: the decoder's picture (1.5), RGB (3) and some smaller forms"""
_WAITING_FRAMES = 32
"""additional frames in flight for a chain with waiting plugins"""


class StreamRun:
    """The chain of one stream at work."""

    def __init__(
        self, plan: StreamPlan, info: StreamInfo, steps: tuple[Step, ...], ledger: Ledger, context: RunContext
    ) -> None:
        self.plan = plan
        self.info = info
        self._flight = Flight(ledger)
        self.stats = StreamStats(info.name, steps)
        self.error = ""
        """failure of streamproc itself that ended this stream"""
        self.credits = _credits(plan, info, steps, context)
        self._context = context
        self._failures = Failures(info, context.files.bundles, context.stop)
        self._barriers: dict[int, Callable[[Mapping[str, Any] | None], None]] = {}
        self.driver = ThreadDriver(plan, info, steps, context.pool, context.watch, self._handlers())

    @property
    def steps(self) -> tuple[Step, ...]:
        """The opened plugins, in the order of the chain."""
        return self.driver.core.steps

    @property
    def ledger(self) -> Ledger:
        """Counts of the stream's frames."""
        return self._flight.ledger

    @property
    def cost(self) -> int:
        """Bytes of admission credit that one frame holds."""
        return self.info.width * self.info.height * _BYTES_PER_PIXEL

    def start(self) -> None:
        """Start the driver."""
        self.driver.start()

    def admit(self, item: FrameItem) -> None:
        """Send a frame into the chain; it holds a credit until its last reader is done."""
        self._flight.admit(item.frame.index)
        self.driver.put(item)
        if self.error:  # the stream failed in the meantime
            self._flight.settle(item.frame.index, "failed", "streamproc itself")

    def has_credit(self) -> bool:
        """Take the credit of one live frame if there is any; streams with waiting calls have a reserve."""
        if self.credits.try_take(self.cost):
            return True
        if not self.driver.queue.waits:
            return False
        self.credits.use_reserve()
        return self.credits.try_take(self.cost)

    def drop_oldest(self, reason: str) -> bool:
        """Drop the frame that has waited longest; return False where none waits."""
        item = self._context.pool.drop_oldest(self.driver.queue)
        if item is not None and self._flight.settle(item.frame.index, "dropped", reason) is not None:
            self.credits.give_back(self.cost)
        return item is not None

    def put(self, item: Item) -> None:
        """Send an item that isn't a frame into the chain."""
        self.driver.put(item)

    def put_barrier(self, item: Barrier, then: Callable[[Mapping[str, Any] | None], None]) -> None:
        """Send a barrier; `then` gets the states of all plugins at its place, None where they can't be read."""
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
            warn=WarnOnce(),
            may_block=self._context.tap is not None,
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
            took_s = self._flight.settle(record.index, *bucket_of(record.verdicts))
            if took_s is not None:
                self.stats.latency.observe(took_s)
            self._context.delivery.deliver(record, self.plan.sinks, self._release)
        if record.reason == "end":
            self._context.delivery.ended(self.plan.name)

    def _release(self) -> None:
        """Release the memory budget of a frame once its last reader is done."""
        self.credits.give_back(self.cost)

    def _snapshot(self, snapshot: Snapshot) -> None:
        self._barriers.pop(snapshot.number)(snapshot.states)

    def _failed(self, failure: Failure) -> None:
        if failure.given.reason == "barrier":  # a barrier has no record
            self.stats.steps[failure.step.name].verdicts.add("failed")
        if self._context.tap is not None:
            self._context.tap.failure(failure)
        self._failures.report(failure)

    def _close(self, step: Step) -> None:
        stats = self.stats.steps[step.name]
        stats.remarks = close_step(step, self.info.name, stats.doubt)

    def _break_down(self, error: Exception) -> None:
        """End the stream after a failure of streamproc itself, and settle every frame in flight."""
        self.error = f"streamproc itself failed: {describe(error)}; report it with this log"
        log.error("stream %s: %s", self.info.name, self.error, exc_info=error)
        for index in self._flight.indices():
            if self._flight.settle(index, "failed", "streamproc itself") is not None:
                self._release()
        for number in list(self._barriers):
            if then := self._barriers.pop(number, None):
                then(None)
        self._context.delivery.ended(self.plan.name)

    def _hung(self, step: Step) -> None:
        """Handle a call that the watch has just abandoned."""
        self.stats.repeatable = False
        self._failures.hung(step, hung(step.timeout_s).error)


def _credits(plan: StreamPlan, info: StreamInfo, steps: tuple[Step, ...], context: RunContext) -> Credits:
    # live frames would grow old while they wait for a group in the mailbox
    waiting = 0 if info.live else GROUP + 1
    found = Credits(plan.buffer_bytes, context.frames_in_flight + waiting, _WAITING_FRAMES)
    if any(step.kind == "waiting" for step in steps):
        found.use_reserve()
    return found


class WarnOnce:
    """Logs the first warning that it gets."""

    def __init__(self) -> None:
        self._warned = False

    def __call__(self, text: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning("%s", text)


__all__ = ["StreamRun"]
