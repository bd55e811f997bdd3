"""A run of one stream on the caller's own thread: no watch, no sinks; what tests, debuggers and `repro` stand on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from streamproc.chain.guard import Outcome
from streamproc.chain.inline import InlineDriver
from streamproc.chain.item import FrameItem, Item
from streamproc.chain.ledger import Ledger, bucket_of
from streamproc.chain.schedule import Schedule
from streamproc.chain.step import Step
from streamproc.config.plan import ChainPlan
from streamproc.engine.account import StreamReport
from streamproc.engine.counted import plugin_reports
from streamproc.engine.opening import close_step, open_steps
from streamproc.engine.stats import StreamStats
from streamproc.frames import StreamInfo
from streamproc.metrics import Histogram
from streamproc.models import ModelStore
from streamproc.record import Record
from streamproc.source import DecodedFrame

log = logging.getLogger(__name__)

T = TypeVar("T")

Results = Mapping[tuple[str, type], Any]


@dataclass(slots=True, eq=False)
class InlineStream:
    """One opened stream that is fed by hand.

    called: gets step and outcome of each call before it counts; what it raises ends the run.
    """

    plan: ChainPlan
    info: StreamInfo
    models: ModelStore
    called: Callable[[Step, Outcome], None] = lambda *_: None
    ledger: Ledger = field(default_factory=Ledger)
    seconds: tuple[Histogram, ...] = ()
    schedule: Schedule = field(init=False)
    stats: StreamStats = field(init=False)
    driver: InlineDriver = field(init=False)

    def __post_init__(self) -> None:
        steps = open_steps(self.plan, self.info, self.models, lambda _, function: function())
        self.seconds = tuple(Histogram() for _ in steps)
        self.schedule = Schedule(self.plan, self.info, steps, log.warning)
        self.stats = StreamStats(self.info.name, steps)
        self.driver = InlineDriver(self.plan, self.info, steps, caller=self._call, warn=log.warning)

    def feed(self, decoded: DecodedFrame, results: Results | None = None) -> Iterator[Record]:
        """Run a decoded frame through the chain; the records that leave it.

        results: those that are known of the frame already, by (plugin, class).
        """
        scheduled = self.schedule.feed(decoded)
        for mark in scheduled.marks:
            yield from self._run(mark)
        if scheduled.item is not None:
            yield from self.process(replace(scheduled.item, results=results or {}))
        elif scheduled.bucket is not None:
            self.ledger.book(scheduled.bucket, scheduled.reason)

    def process(self, item: FrameItem) -> Iterator[Record]:
        """Run an item of one's own making through the chain."""
        self.ledger.admit()
        yield from self._run(item)

    def end(self) -> Iterator[Record]:
        """End the stream: what is open ends."""
        yield from self._run(self.schedule.end(flush=True))

    def close(self) -> None:
        """Close the plugins."""
        for step in self.driver.core.steps:
            stats = self.stats.steps[step.name]
            stats.remarks = close_step(step, self.info.name, stats.doubt)

    def report(self) -> StreamReport:
        """Counts so far."""
        core = self.driver.core
        return StreamReport(
            name=self.info.name,
            ledger=self.ledger.page(),
            media_s=self.stats.last_pts_ns / 1e9,
            size=self.info.size,
            rate=None if self.info.rate is None else float(self.info.rate),
            plugins=plugin_reports(core.steps, self.seconds, self.stats, core.health),
            ended=core.ended,
        )

    def _call(self, step: Step, function: Callable[[], T], /) -> T:
        found = function()
        if isinstance(found, Outcome):
            self.seconds[step.index].observe(found.seconds)
            self.called(step, found)
        return found

    def _run(self, item: Item) -> Iterator[Record]:
        for output in self.driver.feed(item):
            if isinstance(output, Record):
                self.stats.count(output)
                if not output.reason:
                    self.ledger.settle(*bucket_of(output.verdicts))
                yield output


__all__ = ["InlineStream"]
