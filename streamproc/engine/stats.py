"""Statistics of a stream: verdicts and remarks of its plugins, latency, media time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from streamproc.chain.doubts import BoxDoubts
from streamproc.chain.step import Step
from streamproc.metrics import Histogram, Tally
from streamproc.record import Record

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class StepStats:
    """Counts of one plugin."""

    verdicts: Tally = field(default_factory=Tally)
    doubts: BoxDoubts = field(default_factory=BoxDoubts)
    doubt: str = ""
    """sentence on what is wrong with its boxes"""
    remarks: tuple[str, ...] = ()
    """remarks of the plugin and the engine about the whole run, at its end"""


class StreamStats:
    """Counts of one stream, in the order of its records."""

    def __init__(self, stream: str, steps: Sequence[Step]) -> None:
        self.steps = {step.name: StepStats() for step in steps}
        self.latency = Histogram()
        self.last_pts_ns = 0
        """media time of the last processed frame"""
        self.repeatable = True
        """false after a time-out"""
        self._stream = stream

    def count(self, record: Record) -> None:
        """Count the verdicts of a record, and check its boxes; success outside a frame doesn't count."""
        for name, verdict in record.verdicts.items():
            if not record.reason or verdict != "ok":
                self.steps[name].verdicts.add(verdict)
        for (name, _), result in record.results.items():
            stats = self.steps.get(name)
            if stats is None:  # a given result, of no plugin of this chain
                continue
            if doubt := stats.doubts.look((result,)):
                stats.doubt = doubt
                log.warning("plugin %s of %s: %s", name, self._stream, doubt)
        if not record.reason:
            self.last_pts_ns = record.pts_ns


__all__ = ["StepStats", "StreamStats"]
