"""The reader: one thread per source. It reopens a lost source and starts the streams that the source carries."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from streamproc.chain.ledger import Ledger
from streamproc.config.plan import StreamPlan
from streamproc.engine.checkpointing import Checkpointing, Exits
from streamproc.engine.context import RunContext
from streamproc.engine.decoding import Decoding, Outside
from streamproc.engine.given import checked_info
from streamproc.engine.outage import Outages
from streamproc.engine.streams import Origin, Streams
from streamproc.errors import SourceError, SourceLost, StreamprocError, describe, redact
from streamproc.source import AnySource, DecodedFrame, InputInfo, SourceContext
from streamproc.watch import Abandoned, Call

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(slots=True)
class SourceStatus:
    """Status and counts of a source."""

    error: str = ""
    """reason for its failure"""
    reconnects: int = 0
    frames_read: int = 0
    info: InputInfo | None = None
    """description of its input, once it is open"""
    undecodable: int = 0


def _set_event() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


@dataclass(slots=True, eq=False)
class _Reader:
    """State of the reader's thread."""

    thread: threading.Thread
    left: threading.Event = field(default_factory=threading.Event)
    """set once reading has ended"""
    finished: bool = False
    """whether its streams have been ended at the end of the input"""
    going_on: threading.Event = field(default_factory=_set_event)
    """cleared while the source is paused"""
    checkpointed_at: float = field(default_factory=time.monotonic)


class _Calls:
    """Calls of a reader into its source and into plugins' `open`, under the watch.

    abandoned: called once, with a description of the call, when a call takes too long.
    """

    def __init__(self, name: str, context: RunContext, abandoned: Callable[[str], None]) -> None:
        self.gone = False
        """whether the reader's thread was abandoned"""
        self._context = context
        self._abandoned = abandoned
        self._busy_with = ""
        self._call = context.guarded(f"source of stream {name}", self._give_up)

    def ask(self, function: Callable[[], T]) -> T:
        """Call the source."""
        return self._run(self._call, function)

    def opening(self, what: str, function: Callable[[], T]) -> T:
        """Call a plugin's `open`."""
        return self._run(self._context.opening(what, self._give_up), function)

    def _run(self, call: Call, function: Callable[[], T]) -> T:
        self._busy_with = call.what
        return self._context.watch.run(call, function)

    def _give_up(self) -> None:
        if not self.gone:
            self.gone = True
            self._abandoned(self._busy_with)


class SourceRun:
    """One configured source at work: its reader thread, and the streams that it carries."""

    def __init__(self, plan: StreamPlan, context: RunContext) -> None:
        self.plan = plan
        self.status = SourceStatus()
        self.outages = Outages(plan.name, plan.reconnect_ns / 1e9, plan.reconnect_max_ns / 1e9)
        self.stopping = threading.Event()
        self._context = context
        self._decoding = Decoding(plan.source(plan.source_options), plan.name)
        self._calls = _Calls(plan.name, context, self._abandoned)
        origin = Origin(
            plan=plan,
            source=self._source,
            ledger=Ledger(),
            context=context,
            opener=self._calls.opening,
            stopping=self.stopping,
        )
        self.streams = Streams(origin)
        self._checkpoints: Checkpointing | None = self._checkpointing() if self._source.resumable else None
        self._reader = _Reader(threading.Thread(target=self._read, name=f"streamproc-reader-{plan.name}", daemon=True))

    @property
    def _source(self) -> AnySource:
        return self._decoding.source

    @property
    def ledger(self) -> Ledger:
        """Counts of frames that belong to no stream at work."""
        return self.streams.origin.ledger

    @property
    def up(self) -> bool:
        """Whether the source is being read at this moment."""
        return self.outages.up

    def start(self) -> None:
        """Start reading."""
        self._reader.thread.start()

    def stop(self) -> None:
        """Stop reading; frames read so far are still processed."""
        self.stopping.set()
        self._reader.going_on.set()
        for run in list(self.streams.runs.values()):
            run.credits.nudge()

    def pause(self) -> None:
        """Stop reading until `resume`."""
        self._reader.going_on.clear()

    def resume(self) -> None:
        """Read on."""
        self._reader.going_on.set()

    def join(self) -> None:
        """Wait until every frame that was read is processed."""
        self._reader.left.wait()
        if not self._calls.gone:
            self._reader.thread.join()
        for run in list(self.streams.runs.values()):
            run.driver.join()
        self.streams.settle(0, lambda: False)

    def tick(self, now: float) -> None:
        """Advance media time in live streams without frames; called regularly with the monotonic clock."""
        info = self.status.info
        if info is not None and info.live and not self._source.resumable and not self._reader.left.is_set():
            for intake in list(self.streams.intakes.values()):
                intake.tick(now)

    # --- the reader's thread ---

    def _read(self) -> None:
        try:
            self._read_until_end()
        except Abandoned:
            return
        except StreamprocError as error:
            self._fail(redact(str(error)))
        except BaseException as error:
            self._fail(describe(error))
            log.debug("the reader of %s failed", self.plan.name, exc_info=True)
        self._end()

    def _abandoned(self, busy_with: str) -> None:
        """End the stream without this thread, whose call into the source or a plugin's `open` was abandoned."""
        self._fail(f"{busy_with} did not come back in time; its thread is abandoned")
        self._end()

    def _fail(self, why: str) -> None:
        self.status.error = why
        log.warning("stream %s failed: %s", self.plan.name, why)

    def _read_until_end(self) -> None:
        """Read; reopen a source that is lost, or away at the start, until the run is stopped."""
        while True:
            try:
                if self._read_once():
                    return
                wait_s = self._paused()
            except SourceLost as error:
                wait_s = self._lost(error)
            if self.stopping.wait(wait_s):
                return
            self.status.reconnects += 1

    def _paused(self) -> float:
        """Wait while a closed live source is paused; its time goes on as in an outage."""
        self.outages.pause()
        self._mark_lost()
        self._reader.going_on.wait()
        return 0.0

    def _mark_lost(self) -> None:
        if not self._source.resumable:  # a resumable source loses no frame, and so its time has no gap
            for intake in self.streams.intakes.values():
                intake.lost()

    def _lost(self, error: SourceLost) -> float:
        """Return the seconds to wait for a lost source. Raises if its input is a recording, which can't come back."""
        info = self.status.info
        if not self._source.resumable and info is not None and not info.live:
            raise SourceError(str(error)) from error
        if info is None:
            self._context.delivery.ended(self.plan.name)  # no stream waits for one that may come at any time
        wait_s = self.outages.lost(redact(str(error)))
        self._mark_lost()
        return wait_s

    def _read_once(self) -> bool:
        """Open, read and close; return True where the input has ended or the source is stopped, False: paused."""
        try:
            info = self._open()
            outside = Outside(stopping=self.stopping.is_set, count=self._count, gated=self._gated)
            frames = self._decoding.frames(info, outside)
            while (pair := self._calls.ask(lambda: next(frames, None))) is not None and self._goes_on(info):
                self.outages.worked()
                if pair[0] is not None:
                    self._take(pair[0], info, pair[1])
                self._checkpoint_now_and_then()
            if self.stopping.is_set() or pair is not None:  # the last frame is read again, or is outdated by then
                self._last_checkpoint()
            else:
                self._finish(info)
            return self.stopping.is_set() or pair is None
        finally:
            self._close_source()

    def _goes_on(self, info: InputInfo) -> bool:
        """Return whether to read on; a paused recording waits here, any other source is closed."""
        if not info.live and not self._source.resumable:
            self._reader.going_on.wait()
        return self._reader.going_on.is_set() and not self.stopping.is_set()

    def _open(self) -> InputInfo:
        context = SourceContext(
            stream=self.plan.name,
            log=logging.getLogger(f"streamproc.source.{self.plan.name}"),
            stopping=self.stopping.is_set,
            count=self._count,
            away=self.outages.away,
        )
        info = checked_info(self._source, self._calls.ask(lambda: self._source.open(context)))
        self.status.info = info
        if info.live:
            self._context.delivery.ended(self.plan.name)
        else:  # others didn't wait for it while it was away
            self._context.delivery.expect(self.plan.name)
        if self._checkpoints is not None and (positions := self._checkpoints.resume()):
            self._calls.ask(lambda: self._source.seek(positions))
            self.streams.stored = self._checkpoints.stored
        return info

    def _close_source(self) -> None:
        try:
            self._calls.ask(self._source.close)
        except Exception as error:  # noqa: BLE001 - everything was read: no reason to fail
            log.warning("closing the source of %s failed: %s", self.plan.name, describe(error))

    def _gated(self, number: int) -> None:
        self.ledger.book("gated", number=number)

    def _count(self, reason: str, number: int = 1) -> None:
        self.ledger.book("undecodable", reason, number)
        before, self.status.undecodable = self.status.undecodable, self.status.undecodable + number
        total = self.status.undecodable
        if any(before < mark <= total for mark in (1, 10, 100)) or total // 1000 > before // 1000:
            log.warning("a frame can't be decoded stream=%s reason=%s total=%d", self.plan.name, reason, total)

    def _take(self, decoded: DecodedFrame, info: InputInfo, following_ns: int | None) -> None:
        if decoded.picture.width < 1 or decoded.picture.height < 1:
            self._count("empty")
            return
        intake = self.streams.intake_of(decoded, info)
        self.status.frames_read += 1
        intake.feed(decoded, following_ns)
        if decoded.position is not None and self._checkpoints is not None:
            self._checkpoints.read(decoded.position)

    def _end(self) -> None:
        """Send the end behind the last frame.

        Open episodes end, except where the next run continues them or a recording was stopped in the middle.
        """
        stopping = self.stopping.is_set()
        live = self.status.info is not None and self.status.info.live
        self.outages.ended()
        if not self._reader.finished:
            flush = not (stopping and not live) and not (self._source.resumable and self.status.error)
            self.streams.end_all(flush)
            resumed = self._checkpoints is not None and self._checkpoints.resumed
            if not self.streams.intakes and not self.status.error and not stopping and not resumed:
                self._fail("no frame could be read; look at the source with: streamproc probe")
            if not self.streams.intakes:
                self._context.delivery.ended(self.plan.name)
        self._reader.left.set()

    # --- checkpoints ---

    def _checkpointing(self) -> Checkpointing:
        def commit(positions: Any) -> None:
            self._calls.ask(lambda: self._source.commit(positions))

        context = self._context
        exits = Exits(context.delivery, context.tap)
        return Checkpointing(self.plan.name, self.plan.sinks, exits, context.files.checkpoints, commit)

    def _checkpoint_now_and_then(self) -> None:
        checkpoints = self._checkpoints
        if checkpoints is None:
            return
        checkpoints.finish()
        late = time.monotonic() - self._reader.checkpointed_at >= self._context.plan.commit_ns / 1e9
        # events of streams that made room must be delivered before a position behind them is committed
        if late and checkpoints.due and self.streams.intakes and self.streams.settle(0, lambda: True):
            self._begin_checkpoint(checkpoints)

    def _begin_checkpoint(self, checkpoints: Checkpointing) -> None:
        self._reader.checkpointed_at = time.monotonic()
        checkpoints.begin(self.streams.intakes, self.streams.by_silence())

    def _last_checkpoint(self) -> None:
        """Process everything read so far, then commit it: at an orderly stop."""
        checkpoints = self._checkpoints
        if checkpoints is None or not self.streams.intakes:
            return
        deadline = time.monotonic() + self._context.plan.drain_ns / 1e9
        checkpoints.wait(deadline)
        self.streams.settle(0, lambda: time.monotonic() >= deadline)
        if checkpoints.due:
            self._begin_checkpoint(checkpoints)
            checkpoints.wait(deadline)

    def _finish(self, info: InputInfo) -> None:
        """End the streams of an ended input, and commit once all their events are delivered."""
        self.streams.bring_back(info)
        checkpoints = self._checkpoints
        if checkpoints is None or not self.streams.intakes:
            return
        self.streams.end_all(flush=True)
        self._reader.finished = True
        names = list(self.streams.intakes)
        for name in names:
            self.streams.runs[name].driver.wait()
        checkpoints.begin_last(names)
        self.streams.settle(0)
        checkpoints.wait(time.monotonic() + self._context.plan.drain_ns / 1e9)


__all__ = ["SourceRun", "SourceStatus"]
