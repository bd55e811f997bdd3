"""The reader: one thread a source. It opens a lost source again and keeps checkpoints of a resumable one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar

from streamproc.chain.ledger import Ledger
from streamproc.chain.steps import open_chain
from streamproc.config.plan import StreamPlan
from streamproc.engine.checkpoint import Checkpoint, Cut
from streamproc.engine.given import checked_info, checked_pictures
from streamproc.engine.intake import Hall, Intake
from streamproc.engine.outage import Outages
from streamproc.engine.roster import Roster, fold, looking_ahead, session_of
from streamproc.engine.stream import StreamRun
from streamproc.errors import SourceError, SourceLost, StreamprocError, describe, redact
from streamproc.frames import StreamInfo
from streamproc.source import AnySource, DecodedFrame, InputInfo, SourceContext, VideoSource
from streamproc.timeline import Timeline
from streamproc.watch import Abandoned, Call

log = logging.getLogger(__name__)

T = TypeVar("T")


class SourceRun:
    """One configured stream: its source, its reader thread, and the streams that come out of it."""

    def __init__(self, plan: StreamPlan, hall: Hall) -> None:
        self.plan = plan
        self.ledger = Ledger()
        self.error = ""
        """why this stream failed"""
        self.reconnects = 0
        self.info: InputInfo | None = None
        self.frames_read = 0
        self._undecodable = 0
        self._busy_with = ""
        self._hall = hall
        self._source: AnySource = plan.source(plan.source_options)
        self.outages = Outages(plan.name, plan.reconnect_ns / 1e9, plan.reconnect_max_ns / 1e9)
        self.roster = Roster(plan.name, self._source.most_streams, partial(fold, hall, self.ledger, plan.name))
        self._finished = False
        """whether its streams were ended and all that they found is delivered"""
        self._call: Call = hall.guarded(f"source of stream {plan.name}", self._abandoned)
        self._left = threading.Event()
        self._gone = False
        self._resumed = False
        self._checkpoint: Checkpoint | None = None
        self._kept: dict[str, Any] = {}
        """streams of the last run that have not shown up again, the most silent first"""
        self._order: tuple[str, ...] = ()
        """those of the cut that is being made, likewise"""
        self._positions: dict[str, int] = {}
        self._committed: dict[str, int] = {}
        self._cut: Cut | None = None
        self._cut_at = time.monotonic()
        self._thread = threading.Thread(target=self._read, name=f"streamproc-reader-{plan.name}", daemon=True)

    @property
    def streams(self) -> dict[str, StreamRun]:
        """The streams at work, by name."""
        return self.roster.runs

    @property
    def intakes(self) -> dict[str, Intake]:
        """What takes their pictures, by name."""
        return self.roster.intakes

    @property
    def up(self) -> bool:
        """Whether the source is being read at this moment."""
        return self.outages.up

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def join(self) -> None:
        """Wait until everything that was read has come out."""
        self._left.wait()
        if not self._gone:
            self._thread.join()
        for run in list(self.streams.values()):
            run.join()
        self.roster.settle(0, lambda: False)

    def nudge(self) -> None:
        """The run is being stopped: don't wait for room any more."""
        for run in list(self.streams.values()):
            run.credits.nudge()

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

    def _abandoned(self) -> None:
        """The watch gave up on a call into the source or a plugin that opens: the stream ends without this thread."""
        if not self._gone:
            self._gone = True
            self._fail(f"{self._busy_with} did not come back in time; its thread is abandoned")
            self._end()

    def _run(self, call: Call, function: Callable[[], T]) -> T:
        self._busy_with = call.what
        return self._hall.services.watch.run(call, function)

    def _ask(self, function: Callable[[], T]) -> T:
        """Call the source under watch."""
        return self._run(self._call, function)

    def _opening(self, what: str, function: Callable[[], T]) -> T:
        """Call a plugin that opens, under watch."""
        return self._run(self._hall.opening(what, self._abandoned), function)

    def _fail(self, why: str) -> None:
        self.error = why
        log.warning("stream %s failed: %s", self.plan.name, why)

    def _read_until_end(self) -> None:
        """Read; a source that is lost, or away at the start, is opened again until the run is stopped."""
        while True:
            try:
                self._read_once()
                return
            except SourceLost as error:
                if not self._source.resumable and self.info is not None and not self.info.live:
                    raise SourceError(str(error)) from error
                if self.info is None:
                    self._hall.ended(self.plan.name)  # nobody waits for a stream that may come at any time
                wait_s = self.outages.lost(redact(str(error)))
            if not self._source.resumable:  # one that can be read on misses nothing: its time goes on without a seam
                for intake in self.intakes.values():
                    intake.lost()
            if self._hall.stopping.wait(wait_s):
                return
            self.reconnects += 1

    def _read_once(self) -> None:
        """Open, read to the end, close."""
        context = SourceContext(
            stream=self.plan.name,
            log=logging.getLogger(f"streamproc.source.{self.plan.name}"),
            stopping=self._hall.stopping.is_set,
            count=self._count,
            away=self.outages.away,
        )
        try:
            self.info = info = checked_info(self._source, self._ask(lambda: self._source.open(context)))
            if info.live:
                self._hall.ended(self.plan.name)
            self._resume()
            ahead = isinstance(self._source, VideoSource) and not info.live
            pairs = looking_ahead(self._pictures()) if ahead else ((decoded, None) for decoded in self._pictures())
            advance = partial(next, pairs, None)
            while (pair := self._ask(advance)) is not None and not self._hall.stopping.is_set():
                self.outages.came()
                if pair[0] is not None:
                    self._take(pair[0], info, pair[1])
                self._checkpoint_now_and_then()
            if self._hall.stopping.is_set():
                self._last_checkpoint()
            else:
                self._bring_back(info)
                self._finish()
        finally:
            self._close_source()

    def _close_source(self) -> None:
        try:
            self._ask(self._source.close)
        except Exception as error:  # noqa: BLE001 - everything was read: no reason to fail
            log.warning("closing the source of %s failed: %s", self.plan.name, describe(error))

    def _pictures(self) -> Iterator[DecodedFrame | None]:
        source = self._source
        if not isinstance(source, VideoSource):
            yield from checked_pictures(source, source.frames())
            return
        try:
            for packet in source.packets():
                yield from checked_pictures(source, source.decode(packet))
                if self._hall.stopping.is_set():
                    return
        except SourceError:  # it is lost, or breaks off: what came before counts
            yield from source.decode(None)
            raise
        yield from source.decode(None)

    def _count(self, reason: str, number: int = 1) -> None:
        self.ledger.book("undecodable", reason, number)
        before, self._undecodable = self._undecodable, self._undecodable + number
        if (
            any(before < mark <= self._undecodable for mark in (1, 10, 100))
            or self._undecodable // 1000 > before // 1000
        ):
            log.warning(
                "a frame can't be decoded stream=%s reason=%s total=%d", self.plan.name, reason, self._undecodable
            )

    def _take(self, decoded: DecodedFrame, info: InputInfo, following_ns: int | None) -> None:
        if decoded.picture.width < 1 or decoded.picture.height < 1:
            self._count("empty")
            return
        name = self._name_of(decoded)
        if name not in self.intakes:
            self._announce(name, decoded, info)
        self.frames_read += 1
        self.roster.note(name)
        self.intakes[name].feed(decoded, self._hall, following_ns)
        if decoded.position is not None:
            self._positions[decoded.position.partition] = decoded.position.offset + 1

    def _announce(self, name: str, decoded: DecodedFrame, info: InputInfo) -> None:
        """A stream shows its first picture: now its size is known, and its chain can be opened."""
        kept = self._kept.pop(name, None)
        self._make_room(info)
        self.roster.wait_for(name, self._hall.stopping.is_set)
        begun = {
            "width": decoded.picture.width,
            "height": decoded.picture.height,
            "start_offset_ns": decoded.pts_ns or 0,
            "session": session_of(decoded, info.live),
        }
        self._open_stream(name, info, begun, kept)

    def _name_of(self, decoded: DecodedFrame) -> str:
        return self._hall.names.claim(decoded.stream or self.plan.name, self.plan.name)

    def _make_room(self, info: InputInfo) -> None:
        """End the streams that are too many, those of the last run first: they were silent for longest."""
        while self._source.several and len(self.intakes) + len(self._kept) >= self.roster.most:
            name = next(iter(self._kept), "") or self.roster.by_silence()[0]
            if name in self._kept:
                self._open_stream(name, info, {}, self._kept.pop(name))
            self.roster.retire(name, self._hall.stopping.is_set)

    def _bring_back(self, info: InputInfo) -> None:
        """The input has ended: streams that an earlier run knew and that didn't show up again end with it."""
        while self._kept:
            name = next(iter(self._kept))
            self._open_stream(name, info, {}, self._kept.pop(name))

    def _open_stream(self, name: str, info: InputInfo, begun: Mapping[str, Any], kept: Any) -> None:
        """Open a stream's chain; one that a checkpoint knows keeps its size and goes on from there."""
        stream = StreamInfo(
            name=name,
            identity=self.plan.identity or info.identity,
            rate=info.rate,
            live=info.live,
            started_ns=info.started_ns,
            duration_ns=info.duration_ns,
            rotation=info.rotation,
            **(begun if kept is None else kept["info"]),
        )
        chain = open_chain(self.plan, stream, self._hall.models, self._opening)
        ledger = self.ledger if name == self.plan.name else Ledger()
        run = StreamRun(self.plan, stream, chain, ledger, self._hall.services)
        intake = Intake(run, Timeline(stream.rate), keep_all=self._source.resumable)
        if kept is not None:
            self._restore(intake, kept)
        if name != self.plan.name:
            self._hall.ended(self.plan.name)
        self.roster.add(name, run, intake)
        run.start()

    def _restore(self, intake: Intake, kept: Any) -> None:
        name = intake.run.info.name
        try:
            self._opening(f"a plugin of stream {name}, asked to restore its state,", lambda: intake.restore(kept))
        except BaseException:
            self._opening(f"a plugin of stream {name}, asked to close,", lambda: intake.run.chain.close(log))
            raise

    def _end(self) -> None:
        """Send the end behind the last frame.

        What is open stays open where the next run goes on, and where a recording was left in the middle: nothing ended.
        """
        stopping = self._hall.stopping.is_set()
        live = self.info is not None and self.info.live
        self.outages.ended()
        if self._finished:
            self._left.set()
            return
        flush = not (stopping and not live) and not (self._source.resumable and self.error)
        for intake in self.intakes.values():
            intake.end(flush)
        if not self.intakes and not self.error and not stopping and not self._resumed:
            self._fail("not one frame could be read; look at it with: streamproc probe")
        if not self.intakes:
            self._hall.ended(self.plan.name)
        self._left.set()

    # --- checkpoints ---

    def _resume(self) -> None:
        """Go on behind what was read: in this run if the source was lost, else by the checkpoint."""
        if not self._source.resumable:
            return
        if not self._positions:
            self._checkpoint = self._hall.store().read(self.plan.name)
            if self._checkpoint is not None:
                self._resumed = True
                self._kept = dict(self._checkpoint.streams)
                self._positions = dict(self._checkpoint.positions)
                self._committed = dict(self._positions)
        if self._positions:
            positions = dict(self._positions)
            self._ask(lambda: self._source.seek(positions))

    def _checkpoint_now_and_then(self) -> None:
        if not self._source.resumable:
            return
        self._finish_cut()
        late = time.monotonic() - self._cut_at >= self._hall.commit_s
        due = self._cut is None and late and self.intakes and self._positions != self._committed
        # what streams that made room found must be out before a position behind it is committed
        if due and self.roster.settle(0, lambda: True):
            self._begin_cut()

    def _begin_cut(self) -> None:
        self._cut_at = time.monotonic()
        # streams of the last run that haven't shown up again keep what was known of them
        self._cut = Cut(positions=dict(self._positions), waiting=set(self.intakes), streams=dict(self._kept))
        self._order = (*self._kept, *self.roster.by_silence())
        for intake in self.intakes.values():
            intake.snapshot(self._cut, self._hall)

    def _finish_cut(self) -> None:
        cut = self._cut
        if cut is None:
            return
        if cut.failed:
            self._cut = None
            return
        if cut.reached is None or not self._hall.flushed_upto(self.plan.sinks, cut.reached):
            return
        streams = {name: cut.streams[name] for name in self._order if name in cut.streams}
        self._commit(Checkpoint(positions=cut.positions, streams=streams))
        self._cut = None

    def _commit(self, checkpoint: Checkpoint) -> None:
        self._hall.store().write(self.plan.name, checkpoint)
        self._ask(lambda: self._source.commit(checkpoint.positions))
        self._committed = dict(checkpoint.positions)

    def _last_checkpoint(self) -> None:
        """At an orderly stop: wait for everything read so far to be done, then commit it."""
        if not self._source.resumable or not self.intakes:
            return
        deadline = time.monotonic() + self._hall.drain_s
        self._await_cut(deadline)
        self.roster.settle(0, lambda: time.monotonic() >= deadline)
        if self._cut is None and self._positions != self._committed:
            self._begin_cut()
            self._await_cut(deadline)

    def _finish(self) -> None:
        """The input has ended: end its streams, and commit once all that they found is delivered."""
        if not self._source.resumable or not self.intakes:
            return
        for intake in self.intakes.values():
            intake.end(flush=True)
        self._finished = True
        cut = self._cut = Cut(positions=dict(self._positions), waiting=set(self.intakes))
        for name in self.intakes:
            self.streams[name].done.wait()
            self._hall.when_sent(name, partial(cut.sent, name))
        self.roster.settle(0, self._hall.stopping.is_set)
        self._await_cut(time.monotonic() + self._hall.drain_s)

    def _await_cut(self, deadline: float) -> None:
        pause = threading.Event()
        while self._cut is not None and time.monotonic() < deadline:
            self._finish_cut()
            if self._cut is not None:
                pause.wait(0.02)


__all__ = ["SourceRun"]
