"""Streams of one source, by name: opened at their first frame, and bounded in number."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from streamproc.chain.ledger import Ledger
from streamproc.config.plan import StreamPlan
from streamproc.engine.context import RunContext
from streamproc.engine.intake import Intake
from streamproc.engine.opening import Opener, close_plugin, open_steps
from streamproc.engine.stream import StreamRun
from streamproc.frames import StreamInfo
from streamproc.metrics import worth_logging
from streamproc.source import AnySource, DecodedFrame, InputInfo

log = logging.getLogger(__name__)

_MOST_ENDING = 8
"""streams of one source that may be ending before the reader waits for them"""
_LOOK_EVERY_S = 0.05


class Activity:
    """Order of streams by their last frame."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._count = 0

    def note(self, name: str) -> None:
        """Record that a frame of this stream was read."""
        self._count += 1
        self._last[name] = self._count

    def forget(self, name: str) -> None:
        """Remove a stream that has ended."""
        self._last.pop(name, None)

    def sorted(self, names: Mapping[str, Any]) -> list[str]:
        """Return these streams, the longest silent first."""
        return sorted(names, key=lambda name: self._last.get(name, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Source of streams, with everything needed to open them."""

    plan: StreamPlan
    source: AnySource
    ledger: Ledger
    """ledger of frames that belong to no stream, and of the stream that has the source's own name"""
    context: RunContext
    opener: Opener
    stopping: threading.Event


class Streams:
    """Streams that a source has announced; changed by its reader thread, read by reports."""

    def __init__(self, origin: Origin) -> None:
        self.runs: dict[str, StreamRun] = {}
        self.intakes: dict[str, Intake] = {}
        """intakes of the streams that take frames"""
        self.stored: dict[str, Any] = {}
        """states of the last run's streams that have not come up again, the longest silent first"""
        self.ended = 0
        """streams that ended to make room for others"""
        self.origin = origin
        self._activity = Activity()
        self._ending: list[StreamRun] = []

    def intake_of(self, decoded: DecodedFrame, info: InputInfo) -> Intake:
        """Return the intake of a decoded frame's stream; the chain of a new stream is opened."""
        name = self.origin.context.names.claim(decoded.stream or self.origin.plan.name, self.origin.plan.name)
        if name not in self.intakes:
            self._announce(name, decoded, info)
        self._activity.note(name)
        return self.intakes[name]

    def by_silence(self) -> list[str]:
        """Return the streams that take frames, the longest silent first."""
        return self._activity.sorted(self.intakes)

    def bring_back(self, info: InputInfo) -> None:
        """Open the stored streams of an earlier run that didn't come up again, so that they end with the input."""
        while self.stored:
            name = next(iter(self.stored))
            self._open(name, info, {}, self.stored.pop(name))

    def end_all(self, flush: bool) -> None:
        """Send the end of all streams. flush: whether open episodes end."""
        for intake in self.intakes.values():
            intake.end(flush)

    def settle(self, most: int, give_up: Callable[[], bool] | None = None) -> bool:
        """Remove streams that have ended to make room; wait until at most `most` are still ending.

        give_up: returns whether to stop waiting; by default at the stop of the source.
        """
        give_up = give_up or self.origin.stopping.is_set
        while True:
            for run in [run for run in self._ending if run.driver.done]:
                run.driver.join()
                self._ending.remove(run)
                self.runs.pop(run.info.name, None)
                self._fold(run)
            if len(self._ending) <= most:
                return True
            if give_up():
                return False
            self._ending[0].driver.wait(_LOOK_EVERY_S)

    def _announce(self, name: str, decoded: DecodedFrame, info: InputInfo) -> None:
        """Open a stream at its first frame, which gives its size."""
        stored = self.stored.pop(name, None)
        self._make_room(info)
        if any(run.info.name == name for run in self._ending):  # it begins again before it has ended
            self.settle(0)
        begun = {
            "width": decoded.picture.width,
            "height": decoded.picture.height,
            "start_offset_ns": decoded.pts_ns or 0,
            "session": _session_of(decoded, info.live),
        }
        self._open(name, info, begun, stored)

    def _make_room(self, info: InputInfo) -> None:
        """End the streams above the limit, those of the last run first, as they have been silent longest."""
        while self.origin.source.several and len(self.intakes) + len(self.stored) >= self.origin.source.most_streams:
            name = next(iter(self.stored), "") or self.by_silence()[0]
            if name in self.stored:
                self._open(name, info, {}, self.stored.pop(name))
            self._retire(name)

    def _retire(self, name: str) -> None:
        """End a stream and its open episodes, to make room for another."""
        self.intakes.pop(name).end(flush=True)
        self._activity.forget(name)
        self.ended += 1
        self._ending.append(self.runs[name])
        if worth_logging(self.ended):
            log.warning(
                "stream %s: more than %d streams at a time, so %s ends, which was silent for longest (%d ended so "
                "far); raise max_streams if all of them are meant",
                self.origin.plan.name, self.origin.source.most_streams, name, self.ended,
            )  # fmt: skip
        self.settle(_MOST_ENDING)

    def _open(self, name: str, info: InputInfo, begun: Mapping[str, Any], stored: Any) -> None:
        """Open a stream's chain; a stream in the checkpoint retains its size and continues from there."""
        plan, context = self.origin.plan, self.origin.context
        stream = StreamInfo(
            name=name,
            identity=plan.identity or info.identity,
            rate=info.rate,
            live=info.live,
            started_ns=info.started_ns,
            duration_ns=info.duration_ns,
            rotation=info.rotation,
            **(begun if stored is None else stored["info"]),
        )
        steps = open_steps(plan, stream, context.models, self.origin.opener)
        ledger = self.origin.ledger if name == plan.name else Ledger()
        run = StreamRun(plan, stream, steps, ledger, context)
        intake = Intake(run, self._crowded(name), self.origin.stopping, lossless=self.origin.source.resumable)
        if stored is not None:
            self._restore(intake, stored)
        if name != plan.name:
            context.delivery.ended(plan.name)
        self.intakes[name], self.runs[name] = intake, run
        self._activity.note(name)
        run.start()

    def _crowded(self, name: str) -> Callable[[], bool]:
        return lambda: self.origin.context.delivery.crowded(name, self.origin.plan.sinks)

    def _restore(self, intake: Intake, stored: Any) -> None:
        name = intake.run.info.name
        try:
            self.origin.opener(
                f"a plugin of stream {name}, asked to restore its state,", lambda: intake.restore(stored)
            )
        except BaseException:
            for step in intake.run.steps:
                close = partial(close_plugin, step.name, step.plugin)
                self.origin.opener(f"a plugin of stream {name}, asked to close,", close)
            raise

    def _fold(self, run: StreamRun) -> None:
        """Remove a stream that has ended to make room; its counts become its source's."""
        name, context = run.info.name, self.origin.context
        context.pool.remove(run.driver.queue)
        if run.ledger is self.origin.ledger:
            return
        self.origin.ledger.absorb(run.ledger.page())
        context.names.release(name)
        for key in context.events.snapshot():
            if isinstance(key, tuple) and key[0] == name:
                context.events.move(key, (self.origin.plan.name, key[1]))


def _session_of(decoded: DecodedFrame, live: bool) -> str:
    """Return a mark of this beginning of a stream: the position where it begins, unless that is 0, or the time.

    A recording has only one beginning and needs no mark: empty.
    """
    if decoded.position is not None:
        return str(decoded.position.offset) if decoded.position.offset else ""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ") if live else ""


__all__ = ["Origin", "Streams"]
