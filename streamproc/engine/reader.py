"""The reader: one thread a source. It opens a lost source again and keeps checkpoints of a resumable one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar

from streamproc.config.plan import StreamPlan
from streamproc.engine.chain import open_chain
from streamproc.engine.checkpoint import Checkpoint, Cut
from streamproc.engine.given import checked_info, checked_shots
from streamproc.engine.intake import Hall, Intake
from streamproc.engine.ledger import Ledger
from streamproc.engine.pool import Abandoned, Call
from streamproc.engine.stream import StreamRun
from streamproc.errors import SourceError, SourceLost, StreamprocError, describe, redact
from streamproc.frames import StreamInfo
from streamproc.media.timeline import Timeline
from streamproc.source import AnySource, InputInfo, Shot, SourceContext, VideoSource

log = logging.getLogger(__name__)

_LONGEST_WAIT_S = 60.0

T = TypeVar("T")


class SourceRun:
    """One configured stream: its source, its reader thread, and the streams that come out of it."""

    def __init__(self, plan: StreamPlan, hall: Hall) -> None:
        self.plan = plan
        self.ledger = Ledger()
        self.streams: dict[str, StreamRun] = {}
        self.intakes: dict[str, Intake] = {}
        self.error = ""
        """why this stream failed"""
        self.reconnects = 0
        self.info: InputInfo | None = None
        self.frames_read = 0
        self._undecodable = 0
        self._busy_with = ""
        self._hall = hall
        self._source: AnySource = plan.source(plan.source_options)
        self._call: Call = hall.guarded(f"source of stream {plan.name}", self._abandoned)
        self._left = threading.Event()
        self._gone = False
        self._resumed = False
        self._checkpoint: Checkpoint | None = None
        self._positions: dict[str, int] = {}
        self._committed: dict[str, int] = {}
        self._cut: Cut | None = None
        self._cut_at = time.monotonic()
        self._thread = threading.Thread(target=self._read, name=f"streamproc-reader-{plan.name}", daemon=True)

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def join(self) -> None:
        """Wait until everything that was read has come out."""
        self._left.wait()
        if not self._gone:
            self._thread.join()
        for run in self.streams.values():
            run.join()

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
        """Read; a source that is lost is opened again until the run is stopped, if it is live or can be read on."""
        wait_s = self.plan.reconnect_ns / 1e9
        while True:
            read_before = self.frames_read
            try:
                self._read_once()
                return
            except SourceLost as error:
                if not self._source.resumable and (self.info is None or not self.info.live):
                    raise SourceError(str(error)) from error
                log.warning("stream %s: source lost: %s", self.plan.name, redact(str(error)))
            if self.frames_read > read_before:
                wait_s = self.plan.reconnect_ns / 1e9
            if not self._source.resumable:  # one that can be read on misses nothing: its time goes on without a seam
                for intake in self.intakes.values():
                    intake.lost()
            if self._hall.stopping.wait(wait_s):
                return
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            self.reconnects += 1

    def _read_once(self) -> None:
        """Open, read to the end, close."""
        context = SourceContext(
            stream=self.plan.name,
            log=logging.getLogger(f"streamproc.source.{self.plan.name}"),
            stopping=self._hall.stopping.is_set,
            count=self._count,
        )
        try:
            self.info = info = checked_info(self._source, self._ask(lambda: self._source.open(context)))
            if info.live:
                self._hall.ended(self.plan.name)
            self._resume()
            pairs = self._looking_ahead(self._shots(), info.live)
            advance = partial(next, pairs, None)
            while (pair := self._ask(advance)) is not None and not self._hall.stopping.is_set():
                if pair[0] is not None:
                    self._take(pair[0], info, pair[1])
                self._checkpoint_now_and_then()
            if self._hall.stopping.is_set():
                self._last_checkpoint()
            else:
                self._bring_back(info)
        finally:
            self._close_source()

    def _close_source(self) -> None:
        try:
            self._ask(self._source.close)
        except Exception as error:  # noqa: BLE001 - everything was read: no reason to fail
            log.warning("closing the source of %s failed: %s", self.plan.name, describe(error))

    def _shots(self) -> Iterator[Shot | None]:
        source = self._source
        if not isinstance(source, VideoSource):
            yield from checked_shots(source, source.shots())
            return
        try:
            for packet in source.packets():
                yield from checked_shots(source, source.decode(packet))
                if self._hall.stopping.is_set():
                    return
        except SourceError:  # it is lost, or breaks off: what came before counts
            yield from source.decode(None)
            raise
        yield from source.decode(None)

    def _looking_ahead(self, shots: Iterator[Shot | None], live: bool) -> Iterator[tuple[Shot | None, int | None]]:
        """Each picture with the time stamp of the one after it; a live one doesn't wait for that."""
        if live or not isinstance(self._source, VideoSource):
            yield from ((shot, None) for shot in shots)
            return
        held: Shot | None = None
        try:
            for shot in shots:
                if held is not None:
                    yield held, None if shot is None else shot.pts_ns
                held = shot
        except Exception:
            if held is not None:
                yield held, None
            raise
        if held is not None:
            yield held, None

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

    def _take(self, shot: Shot, info: InputInfo, following_ns: int | None) -> None:
        if shot.picture.width < 1 or shot.picture.height < 1:
            self._count("empty")
            return
        name = shot.stream or self.plan.name
        if name not in self.intakes:
            self._announce(name, shot, info)
        self.frames_read += 1
        self.intakes[name].feed(shot, self._hall, following_ns)
        if shot.position is not None:
            self._positions[shot.position.partition] = shot.position.offset + 1

    def _announce(self, name: str, shot: Shot, info: InputInfo) -> None:
        """A stream shows its first picture: now its size is known, and its chain can be opened."""
        kept = self._checkpoint.streams.get(name) if self._checkpoint else None
        size = {"width": shot.picture.width, "height": shot.picture.height, "start_offset_ns": shot.pts_ns or 0}
        self._open_stream(name, info, size, kept)

    def _bring_back(self, info: InputInfo) -> None:
        """The input has ended: streams that an earlier run knew and that didn't show up again end with it."""
        for name, kept in (self._checkpoint.streams if self._checkpoint else {}).items():
            if name not in self.intakes:
                self._open_stream(name, info, {}, kept)

    def _open_stream(self, name: str, info: InputInfo, size: Mapping[str, int], kept: Any) -> None:
        """Open a stream's chain; one that a checkpoint knows keeps its size and goes on from there."""
        stream = StreamInfo(
            name=name,
            identity=self.plan.identity or info.identity,
            rate=info.rate,
            live=info.live,
            started_ns=info.started_ns,
            duration_ns=info.duration_ns,
            rotation=info.rotation,
            **(size if kept is None else kept["info"]),
        )
        chain = open_chain(self.plan, stream, self._hall.models, self._opening)
        ledger = self.ledger if name == self.plan.name else Ledger()
        run = StreamRun(self.plan, stream, chain, ledger, self._hall.services)
        intake = Intake(run, Timeline(stream.rate), keep_all=self._source.resumable)
        if kept is not None:
            self._restore(intake, kept)
        if name != self.plan.name:
            self._hall.ended(self.plan.name)
        self.intakes[name] = intake
        self.streams[name] = run
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
        if self._cut is None and late and self.intakes and self._positions != self._committed:
            self._begin_cut()

    def _begin_cut(self) -> None:
        self._cut_at = time.monotonic()
        # streams of the last run that haven't shown up again keep what was known of them
        kept = dict(self._checkpoint.streams) if self._checkpoint else {}
        self._cut = Cut(
            positions=dict(self._positions),
            waiting=set(self.intakes),
            streams={name: body for name, body in kept.items() if name not in self.intakes},
        )
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
        self._checkpoint = Checkpoint(positions=cut.positions, streams=cut.streams)
        self._hall.store().write(self.plan.name, self._checkpoint)
        self._ask(lambda: self._source.commit(cut.positions))
        self._committed = dict(cut.positions)
        self._cut = None

    def _last_checkpoint(self) -> None:
        """At an orderly stop: wait for everything read so far to be done, then commit it."""
        if not self._source.resumable or not self.intakes:
            return
        deadline = time.monotonic() + self._hall.drain_s
        self._await_cut(deadline)
        if self._cut is None and self._positions != self._committed:
            self._begin_cut()
            self._await_cut(deadline)

    def _await_cut(self, deadline: float) -> None:
        pause = threading.Event()
        while self._cut is not None and time.monotonic() < deadline:
            self._finish_cut()
            if self._cut is not None:
                pause.wait(0.02)


__all__ = ["SourceRun"]
