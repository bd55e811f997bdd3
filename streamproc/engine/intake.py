"""The reader: one thread a source. It gives every picture its time, samples, admits, and opens a lost source again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from streamproc.config.plan import StreamPlan
from streamproc.engine.chain import Chain, open_chain
from streamproc.engine.checkpoint import Checkpoint, CheckpointStore, Cut
from streamproc.engine.flow import check_flow
from streamproc.engine.ledger import Ledger
from streamproc.engine.sampling import Beat
from streamproc.engine.stream import Services, StreamRun, end_ticket
from streamproc.engine.ticket import Ticket
from streamproc.errors import SourceError, SourceLost, StreamprocError, redact
from streamproc.events import Moment
from streamproc.frames import Frame, PixelCache, StreamInfo
from streamproc.media.timeline import Timeline
from streamproc.models import ModelStore
from streamproc.plugin import TimeReason
from streamproc.source import AnySource, InputInfo, Shot, SourceContext, VideoSource

log = logging.getLogger(__name__)

_BYTES_PER_PIXEL = 6
"""what a frame is reckoned to hold: the decoder's picture (1.5), RGB (3) and some smaller forms"""
_LONGEST_WAIT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hall:
    """What a reader needs of the run."""

    services: Services
    models: ModelStore
    stopping: threading.Event
    dispatched: Callable[[], int]
    flushed_upto: Callable[[tuple[str, ...], int], bool]
    crowded: Callable[[str, tuple[str, ...]], bool]
    ended: Callable[[str], None]
    """nothing (more) comes from the stream of this name"""
    store: Callable[[], CheckpointStore]
    commit_s: float


class Intake:
    """Turns the pictures of one stream into tickets."""

    def __init__(self, run: StreamRun, timeline: Timeline) -> None:
        self.run = run
        self.timeline = timeline
        self.index = 0
        self._rate = Beat.of(run.plan.rate, run.info.nominal_ns)
        self._before: Frame | None = None
        self._last = Moment(pts_ns=0, frame_index=0)

    def feed(self, shot: Shot, hall: Hall) -> None:
        """Take a decoded picture: settle it in the ledger at once, or send it on its way."""
        placed = self.timeline.place(shot.pts_ns)
        frame = self._frame(shot, placed.pts_ns)
        if placed.gap:
            self.tell("gap", replace(self._last, pts_ns=frame.pts_ns))
        before, self._before = self._before, frame if self.run.chain.wants_flow else None
        self._last = Moment.of(frame)
        due = self.run.chain.due(frame, self._rate is None or self._rate.takes(frame.pts_ns))
        if not due.steps and self.run.chain.steps:
            self.run.ledger.book("sampled_out", "rate")
            return
        wanted = before is not None and any(s.wants_flow and s.index in due.steps for s in self.run.chain.steps)
        cost = self.run.info.width * self.run.info.height * _BYTES_PER_PIXEL
        self._admit(Ticket(moment=self._last, frame=frame, before=before if wanted else None, due=due, cost=cost), hall)

    def tell(self, reason: TimeReason, moment: Moment | None = None) -> None:
        """Let the ordered plugins know that time goes on without a frame."""
        self.run.put(Ticket(moment=moment or self._last, mark=reason))

    def snapshot(self, cut: Cut) -> None:
        """Send a mark that brings the plugins' states at exactly this place home."""
        name = self.run.info.name
        body = {
            "timeline": self.timeline.state(),
            "index": self.index,
            "rate_due_ns": self._rate.due_ns if self._rate else None,
            "samplers": self.run.chain.sampler_state(),
            "last": [self._last.pts_ns, self._last.frame_index],
            "info": {"width": self.run.info.width, "height": self.run.info.height},
        }

        def arrived(states: Any) -> None:
            cut.arrived(name, {**body, "plugins": dict(states)})

        self.run.put(Ticket(moment=self._last, mark="snapshot", on_done=arrived))

    def restore(self, body: Any) -> None:
        """Go on from what a snapshot brought home, before the first picture."""
        self.timeline.restore(body["timeline"])
        self.index = body["index"]
        if self._rate is not None:
            self._rate.due_ns = body["rate_due_ns"]
        self.run.chain.restore_samplers(body["samplers"])
        self._last = Moment(pts_ns=body["last"][0], frame_index=body["last"][1])
        self.run.restore(body["plugins"])

    def end(self, flush: bool) -> None:
        """Nothing more comes."""
        self._before = None
        self.run.put(end_ticket(self._last, flush))

    def _frame(self, shot: Shot, pts_ns: int) -> Frame:
        info = self.run.info
        captured = shot.captured_ns
        if captured is None and info.started_ns is not None:
            captured = info.started_ns + pts_ns
        frame = Frame(
            stream=info,
            index=self.index,
            pts_ns=pts_ns,
            pixels=PixelCache(shot.picture),
            captured_ns=captured,
            keyframe=shot.keyframe,
        )
        self.index += 1
        return frame

    def _admit(self, ticket: Ticket, hall: Hall) -> None:
        run = self.run
        if run.info.live:
            while not run.credits.try_take(ticket.cost):
                oldest = hall.services.pool.drop_oldest(run.lane)
                if oldest is None:
                    run.ledger.book("dropped", "overload")
                    return
                run.drop(oldest, "overload")
        else:
            self._wait_for_sinks(hall)
            if not run.credits.take(ticket.cost, hall.stopping.is_set):
                run.ledger.book("dropped", "stopped")
                return
        run.ledger.admit()
        self.run.put(ticket)

    def _wait_for_sinks(self, hall: Hall) -> None:
        while hall.crowded(self.run.info.name, self.run.plan.sinks) and not hall.stopping.is_set():
            hall.stopping.wait(0.05)


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
        self._hall = hall
        self._source: AnySource = plan.source(plan.source_options)
        self._checkpoint: Checkpoint | None = None
        self._positions: dict[str, int] = {}
        self._cut: Cut | None = None
        self._cut_at = time.monotonic()
        self._thread = threading.Thread(target=self._read, name=f"streamproc-reader-{plan.name}", daemon=True)

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def join(self) -> None:
        """Wait until everything that was read has come out."""
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
            check_flow(self.plan.flow)
            self._read_until_end()
        except StreamprocError as error:
            self._fail(redact(str(error)))
        except Exception as error:  # a source's own bug must not take other streams along
            self._fail(redact(f"{type(error).__name__}: {error}"))
            log.debug("the reader of %s failed", self.plan.name, exc_info=True)
        finally:
            self._end()

    def _fail(self, why: str) -> None:
        self.error = why
        log.warning("stream %s failed: %s", self.plan.name, why)

    def _read_until_end(self) -> None:
        """Read; a live source that is lost is opened again until the run is stopped."""
        wait_s = self.plan.reconnect_ns / 1e9
        while True:
            read_before = self.frames_read
            lost_at = None
            try:
                self._read_once()
                return
            except SourceLost as error:
                if self.info is None or not self.info.live:
                    raise SourceError(str(error)) from error
                lost_at = time.monotonic()
                log.warning("stream %s: source lost: %s", self.plan.name, redact(str(error)))
            if self.frames_read > read_before:
                wait_s = self.plan.reconnect_ns / 1e9
            for intake in self.intakes.values():
                intake.tell("lost")
            if self._hall.stopping.wait(wait_s):
                return
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            self.reconnects += 1
            for intake in self.intakes.values():
                intake.timeline.reconnected(round((time.monotonic() - lost_at) * 1e9))
                intake.tell("back")

    def _read_once(self) -> None:
        """Open, read to the end, close."""
        context = SourceContext(
            stream=self.plan.name,
            log=logging.getLogger(f"streamproc.source.{self.plan.name}"),
            stopping=self._hall.stopping.is_set,
            count=self._count,
        )
        try:
            self.info = self._source.open(context)
            self._resume()
            for shot in self._shots():
                if self._hall.stopping.is_set():
                    break
                if shot is not None:
                    self._take(shot, self.info)
                self._checkpoint_now_and_then()
            if self._hall.stopping.is_set():
                self._last_checkpoint()
        finally:
            self._source.close()

    def _shots(self) -> Iterator[Shot | None]:
        source = self._source
        if not isinstance(source, VideoSource):
            yield from source.shots()
            return
        for packet in source.packets():
            yield from source.decode(packet)
            if self._hall.stopping.is_set():
                return
        yield from source.decode(None)

    def _count(self, reason: str) -> None:
        self.ledger.book("undecodable", reason)

    def _take(self, shot: Shot, info: InputInfo) -> None:
        name = shot.stream or self.plan.name
        if name not in self.intakes:
            self._announce(name, shot, info)
        self.frames_read += 1
        self.intakes[name].feed(shot, self._hall)
        if shot.position is not None:
            self._positions[shot.position.partition] = shot.position.offset + 1

    def _announce(self, name: str, shot: Shot, info: InputInfo) -> None:
        """A stream shows its first picture: now its size is known, and its chain can be opened."""
        stream = StreamInfo(
            name=name,
            identity=self.plan.identity or info.identity,
            width=shot.picture.width,
            height=shot.picture.height,
            rate=info.rate,
            live=info.live,
            start_offset_ns=shot.pts_ns or 0,
            started_ns=info.started_ns,
            duration_ns=info.duration_ns,
            rotation=info.rotation,
        )
        chain: Chain = open_chain(self.plan, stream, self._hall.models)
        ledger = self.ledger if name == self.plan.name else Ledger()
        run = StreamRun(self.plan, stream, chain, ledger, self._hall.services)
        intake = Intake(run, Timeline(stream.rate))
        kept = self._checkpoint.streams.get(name) if self._checkpoint else None
        if kept is not None:
            intake.restore(kept)
        if info.live or name != self.plan.name:
            self._hall.ended(self.plan.name)
        self.streams[name] = run
        self.intakes[name] = intake
        run.start()

    def _end(self) -> None:
        """Send the end behind the last frame; what is open stays open where the next run goes on."""
        flush = not (self._source.resumable and self._hall.stopping.is_set())
        for intake in self.intakes.values():
            intake.end(flush)
        if not self.intakes and not self.error and not self._hall.stopping.is_set():
            self._fail("not one frame could be read; look at it with: streamproc probe")
        if not self.intakes:
            self._hall.ended(self.plan.name)

    # --- checkpoints ---

    def _resume(self) -> None:
        if not self._source.resumable:
            return
        self._checkpoint = self._hall.store().read(self.plan.name)
        if self._checkpoint is not None:
            self._positions = dict(self._checkpoint.positions)
            self._source.seek(self._checkpoint.positions)

    def _checkpoint_now_and_then(self) -> None:
        if not self._source.resumable or not self._positions:
            return
        self._finish_cut()
        if self._cut is None and time.monotonic() - self._cut_at >= self._hall.commit_s:
            self._begin_cut()

    def _begin_cut(self) -> None:
        self._cut_at = time.monotonic()
        # streams of the last run that haven't shown up again keep what was known of them
        kept = dict(self._checkpoint.streams) if self._checkpoint else {}
        self._cut = Cut(
            positions=dict(self._positions),
            waiting=set(self.intakes),
            serial=self._hall.dispatched,
            streams={name: body for name, body in kept.items() if name not in self.intakes},
        )
        for intake in self.intakes.values():
            intake.snapshot(self._cut)

    def _finish_cut(self) -> None:
        cut = self._cut
        if cut is None or cut.reached is None or not self._hall.flushed_upto(self.plan.sinks, cut.reached):
            return
        self._checkpoint = Checkpoint(positions=cut.positions, streams=cut.streams)
        self._hall.store().write(self.plan.name, self._checkpoint)
        self._source.commit(cut.positions)
        self._cut = None

    def _last_checkpoint(self) -> None:
        """At an orderly stop: wait for everything read so far to be done, then commit it."""
        if not self._source.resumable or not self.intakes:
            return
        deadline = time.monotonic() + 30
        self._await_cut(deadline)
        if self._cut is None:
            self._begin_cut()
            self._await_cut(deadline)

    def _await_cut(self, deadline: float) -> None:
        pause = threading.Event()
        while self._cut is not None and time.monotonic() < deadline:
            self._finish_cut()
            if self._cut is not None:
                pause.wait(0.02)


__all__ = ["Hall", "Intake", "SourceRun"]
