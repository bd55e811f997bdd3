"""A whole run: builds streams and sinks from a plan, starts them, watches, and ends them on every path."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from streamproc.config.plan import Plan, SinkPlan
from streamproc.delivery.deadletters import DeadLetters
from streamproc.delivery.delivery import Delivery
from streamproc.delivery.outbox import Outbox, OutboxError
from streamproc.engine.bundle import remove_unfinished
from streamproc.engine.checkpoint import CheckpointStore
from streamproc.engine.context import RunContext, StateFolder, Tap
from streamproc.engine.names import Names
from streamproc.engine.pool import Pool
from streamproc.engine.reader import SourceRun
from streamproc.engine.report import RunReport
from streamproc.engine.reporting import sink_report, stream_reports
from streamproc.engine.statelock import sharing
from streamproc.engine.stream import StreamRun
from streamproc.errors import StreamprocError
from streamproc.metrics import Tally
from streamproc.models import ModelStore
from streamproc.secrets import remember
from streamproc.sink import EventSink
from streamproc.watch import Call, Watch

log = logging.getLogger(__name__)

_WATCH_EVERY_S = 0.1


class Engine:
    """Runs a plan once. `run` blocks until every stream has ended or `stop` was called.

    extra: sinks of the caller's own that get the events of all streams, such as a report's.
    tap: gets every record, and every failure of a plugin, on the ordered workers.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        models: ModelStore | None = None,
        extra: Sequence[tuple[SinkPlan, EventSink[Any]]] = (),
        tap: Tap | None = None,
    ) -> None:
        self.plan = plan
        _remember_secrets(plan)
        self._stopping = threading.Event()
        self._finished = threading.Event()
        self._interrupted = False
        self._stop_reason = ""
        self._outbox: Outbox | None = None
        self._outbox_error = ""
        self._stranded: dict[str, int] = {}
        self._store: CheckpointStore | None = None
        self._made = threading.Lock()
        self.watch = Watch()
        self._stopped_at: float | None = None
        self._begun = False
        self._pool = Pool(plan.runtime.workers)
        self._letters = DeadLetters(plan.runtime.state / "dead_letters.jsonl")
        self._events = Tally()
        self._started = (0.0, 0.0)
        self._always = tuple(p.name for p, _ in extra)
        self.delivery = Delivery(self)
        """the way to the sinks, where others are attached and detached while the run works"""
        for sink_plan, sink in (*((p, p.cls(p.options)) for p in plan.sinks), *extra):
            self.delivery.attach(sink_plan, sink)
        for stream in plan.streams:
            self.delivery.expect(stream.name)
        context = self._context(models or ModelStore(), tap)
        self.sources = [
            SourceRun(replace(stream, sinks=(*stream.sinks, *self._always)), context) for stream in plan.streams
        ]

    def run(self) -> RunReport:
        """Start everything, wait for the end, and report. An engine runs once.

        Raises `StreamprocError` where another run stores checkpoints of the same source in the same state folder.
        """
        if self._begun:
            raise StreamprocError("this engine has run already; make another one from the plan")
        self._begun = True
        resumable = {stream.name for stream in self.plan.streams if stream.source.resumable}
        with sharing(self.plan.runtime.state, resumable):
            self._run()
        return self.report()

    def _run(self) -> None:
        self._started = (time.monotonic(), time.process_time())
        remove_unfinished(self.plan.runtime.state / "bundles")
        guard = threading.Thread(target=self._guard, name="streamproc-watch", daemon=True)
        guard.start()
        self.delivery.start()
        self._pool.start()
        try:
            for source in self.sources:
                source.start()
            for source in self.sources:
                source.join()
        except BaseException:
            self.stop()
            for source in self.sources:
                source.join()
            raise
        finally:
            self._end(guard)

    def stop(self, reason: str = "") -> None:
        """End in an orderly way: stop reading, finish what is in flight, deliver. A reason makes it a failure."""
        if reason and not self._stop_reason:
            self._stop_reason = reason
            log.warning("the run is being stopped: %s", reason)
        if self._stopped_at is None:
            self._stopped_at = time.monotonic()
        self._stopping.set()
        for source in self.sources:
            source.stop()

    def interrupt(self) -> None:
        """As a signal does: `stop`, and the report says so."""
        self._interrupted = True
        self.stop()

    @property
    def finished(self) -> bool:
        """Whether `run` has come to its end."""
        return self._finished.is_set()

    def report(self) -> RunReport:
        """What the run has come to so far."""
        wall, cpu = self._started if self._begun else (time.monotonic(), time.process_time())
        return RunReport(
            streams=tuple(report for source in self.sources for report in stream_reports(source)),
            sinks=tuple(sink_report(writer) for writer in self.delivery.writers() if writer.name not in self._always),
            events={
                (str(key[0]), str(key[1])): n for key, n in self._events.snapshot().items() if isinstance(key, tuple)
            },
            wall_s=time.monotonic() - wall,
            cpu_s=time.process_time() - cpu,
            interrupted=self._interrupted,
            stopped=self._stop_reason,
            outbox_error=self._outbox_error,
            stranded=self._stranded,
            abandoned=tuple(self.watch.left),
            dead_letters=str(self._letters.path),
        )

    def live_streams(self) -> list[StreamRun]:
        """The streams that have shown a picture so far, for metrics."""
        return [run for source in self.sources for run in list(source.streams.runs.values())]

    def backlogs(self) -> dict[str, int]:
        """By sink: how many items wait in memory."""
        return {name: count for name, count in self.delivery.backlogs().items() if name not in self._always}

    # --- what streams, readers and writers ask of the run ---

    def guarded(self, what: str, abandon: Callable[[], None]) -> Call:
        """A call into a source or sink, with the run's limits."""
        runtime = self.plan.runtime
        return Call(what, runtime.call_limit_ns / 1e9, abandon, hurry_s=runtime.drain_ns / 1e9)

    def outbox(self) -> Outbox:
        """The run's outbox, made on first use."""
        with self._made:
            if self._outbox is None:
                self._outbox = Outbox(self._outbox_path())
            return self._outbox

    def outbox_exists(self) -> bool:
        """Whether there is an outbox already."""
        return self._outbox is not None or self._outbox_path().exists()

    @property
    def dead_letters(self) -> DeadLetters:
        """Where records are set aside that a sink refuses."""
        return self._letters

    def outbox_failed(self, error: OutboxError) -> None:
        """End the run: nothing is safe any more."""
        self._outbox_error = str(error)
        self.stop()

    def _outbox_path(self) -> Path:
        return self.plan.runtime.state / "outbox.sqlite"

    def _checkpoints(self) -> CheckpointStore:
        with self._made:
            if self._store is None:
                self._store = CheckpointStore(self.plan.runtime.state / "checkpoints.sqlite")
            return self._store

    def _context(self, models: ModelStore, tap: Tap | None) -> RunContext:
        return RunContext(
            plan=self.plan.runtime,
            pool=self._pool,
            watch=self.watch,
            delivery=self.delivery,
            models=models,
            names=Names(stream.name for stream in self.plan.streams),
            state=StateFolder(path=self.plan.runtime.state, checkpoints=self._checkpoints),
            events=self._events,
            stopping=self._stopping,
            stop=self.stop,
            tap=tap,
        )

    def _find_stranded(self) -> None:
        """Find events that earlier runs left for sinks which this run doesn't have, for the report."""
        if self._outbox_error or not self.outbox_exists():
            return
        ours = {writer.key for writer in self.delivery.writers() if writer.name not in self._always}
        try:
            waiting = self.outbox().waiting()
        except OutboxError as error:
            self.outbox_failed(error)
            return
        for key, count in waiting.items():
            if key not in ours:
                name = key.partition("@")[0]
                self._stranded[name] = self._stranded.get(name, 0) + count

    def _guard(self) -> None:
        while not self._finished.wait(_WATCH_EVERY_S):
            now = time.monotonic()
            self.watch.check(now, self._stopped_at)
            self._pool.relieve(now)
            for source in self.sources:
                source.tick(now)

    def _end(self, guard: threading.Thread) -> None:
        self._pool.close()
        self.delivery.close(self.plan.runtime.drain_ns / 1e9)
        self._find_stranded()
        self._finished.set()
        guard.join()
        for database in (self._outbox, self._store):
            if database is not None:
                database.close()


def _remember_secrets(plan: Plan) -> None:
    """Mask the passwords and tokens among the options of this plan from now on, in every log line."""
    chains = [entry.options for stream in plan.streams for entry in stream.chain]
    for options in (*chains, *(s.source_options for s in plan.streams), *(s.options for s in plan.sinks)):
        remember(options.model_dump())


__all__ = ["Engine"]
