"""The engine: runs streams and sinks, changes them while they work, and ends them on every path."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from streamproc.config.plan import Plan, RuntimePlan, SinkPlan, StreamPlan
from streamproc.delivery.deadletters import DeadLetters
from streamproc.delivery.delivery import Delivery
from streamproc.delivery.outbox import Outbox, OutboxError
from streamproc.engine.account import RunReport
from streamproc.engine.changes import Changes, changes_between
from streamproc.engine.context import RunContext, Tap
from streamproc.engine.counted import sink_report
from streamproc.engine.files import StateFiles
from streamproc.engine.names import Names
from streamproc.engine.pool import Pool
from streamproc.engine.sources import Sources
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


@dataclass(slots=True, eq=False)
class Course:
    """Course of a run: its start, stop and end."""

    begun: tuple[float, float] | None = None
    """wall clock and CPU time at its start"""
    stopped_at: float | None = None
    """moment of the monotonic clock at which `stop` was called"""
    reason: str = ""
    """reason for the stop, where that is a failure"""
    interrupted: bool = False
    outbox_error: str = ""
    stranded: dict[str, int] = field(default_factory=dict)
    """events that earlier runs left for sinks that this run doesn't have, by sink"""
    finished: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class SinkServices:
    """Services of the run that its writers use; see `WriterContext`."""

    plan: RuntimePlan
    watch: Watch
    files: StateFiles
    failed: Callable[[OutboxError], None]

    @property
    def dead_letters(self) -> DeadLetters:
        """File of the records that sinks refuse."""
        return self.files.dead_letters

    def guarded(self, what: str, abandon: Callable[[], None]) -> Call:
        """Return a call into a sink, with the run's limits."""
        return Call(what, self.plan.call_limit_ns / 1e9, abandon, hurry_s=self.plan.drain_ns / 1e9)

    def outbox(self) -> Outbox:
        """Return the run's outbox."""
        return self.files.outbox()

    def outbox_exists(self) -> bool:
        """Return whether there is an outbox already."""
        return self.files.outbox_exists()

    def outbox_failed(self, error: OutboxError) -> None:
        """End the run: events can't be stored safely any more."""
        self.failed(error)


class Engine:
    """Runs a plan once. `run` blocks until every stream has ended or `stop` was called.

    extra: additional sinks that get the events of all streams, such as a report's.
    tap: gets every record, and every failure of a plugin, on the ordered workers.

    Streams and sinks may change while it works, from any thread: `add`, `remove`, `pause`, `resume` and `apply`, and
    `delivery.attach` and `delivery.detach`. Each changes nothing but the stream or sink that it names.
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
        remember_secrets(plan)
        self.watch = Watch()
        self._course = Course()
        self._files = StateFiles(plan.runtime.state)
        self._pool = Pool(plan.runtime.workers)
        self.delivery = Delivery(SinkServices(plan.runtime, self.watch, self._files, self._outbox_failed))
        """delivery to the sinks"""
        self._always = tuple(p.name for p, _ in extra)
        self._context = self._made_context(models or ModelStore(), tap)
        self.sources = Sources(self._context, self._always)
        for sink_plan, sink in (*((p, p.cls(p.options)) for p in plan.sinks), *extra):
            self.delivery.attach(sink_plan, sink)
        for stream in plan.streams:
            self.sources.add(stream)

    def run(self, *, until_stopped: bool = False) -> RunReport:
        """Start everything, wait for the end, and report. An engine runs once.

        until_stopped: whether to go on after the last stream has ended, as others may be added.

        Raises `StreamprocError` where another run stores checkpoints of the same source in the same state folder.
        """
        if self._course.begun is not None:
            raise StreamprocError("this engine has run already; make another one from the plan")
        self._course.begun = (time.monotonic(), time.process_time())
        with sharing(self.plan.runtime.state):
            self._run(until_stopped)
        return self.report()

    def _run(self, until_stopped: bool) -> None:
        self._files.clean()
        guard = threading.Thread(target=self._guard, name="streamproc-watch", daemon=True)
        guard.start()
        self.delivery.start()
        self._pool.start()
        try:
            self.sources.start()
            if self._course.stopped_at is not None:
                self.sources.stop()
            self.sources.join(until_stopped)
        except BaseException:
            self.stop()
            self.sources.join()
            raise
        finally:
            self._end(guard)

    # --- changes while it works ---

    def add(self, stream: StreamPlan) -> None:
        """Add a stream; its sinks must be attached. Raises `StreamprocError` where its name is taken."""
        known = {writer.name for writer in self.delivery.writers()}
        if missing := [name for name in stream.sinks if name not in known]:
            raise StreamprocError(f"stream {stream.name!r} names the sink {missing[0]!r}, which isn't attached")
        remember_secrets(Plan(streams=(stream,)))
        self.sources.add(stream)

    def remove(self, name: str) -> None:
        """Stop a stream and wait until everything that it read is delivered; reports still list it."""
        self.sources.remove(name)

    def pause(self, name: str) -> None:
        """Stop reading a stream until `resume`: a live source is closed, a recording waits."""
        self.sources.pause(name)

    def resume(self, name: str) -> None:
        """Continue a paused stream."""
        self.sources.resume(name)

    def apply(self, plan: Plan) -> Changes:
        """Change streams and sinks to those of another plan, only where they differ; return the changes.

        Settings of the runtime itself (workers, state folder, limits) stay: `Changes.ignored` names those that differ.
        Where a stream or sink can't be added, the others are changed all the same, and the first error is raised.
        """
        remember_secrets(plan)
        attached = {w.name: w.plan for w in self.delivery.writers() if not w.status.ended}
        sinks = {name: sink for name, sink in attached.items() if name not in self._always}
        changes = changes_between(self.sources.plans(), sinks, self.plan.runtime, plan)
        errors: list[StreamprocError] = []
        for step in self._steps(plan, changes):
            try:
                step()
            except StreamprocError as error:
                log.warning("a change can't be made: %s", error)
                errors.append(error)
        if errors:
            raise errors[0]
        return changes

    def _steps(self, plan: Plan, changes: Changes) -> list[Callable[[], None]]:
        """Return the steps: removals before additions; sinks go after the streams that use them, and come before."""
        sinks = {sink.name: sink for sink in plan.sinks}
        streams = {stream.name: stream for stream in plan.streams}

        def attach(name: str) -> None:
            self.delivery.attach(sinks[name], sinks[name].cls(sinks[name].options))

        steps: list[Callable[[], None]] = []
        steps += [lambda name=name: self.remove(name) for name in (*changes.removed, *changes.changed)]  # type: ignore[misc]
        steps += [lambda name=name: self.delivery.detach(name) for name in (*changes.detached, *changes.reattached)]  # type: ignore[misc]
        steps += [lambda name=name: attach(name) for name in (*changes.attached, *changes.reattached)]  # type: ignore[misc]
        steps += [lambda name=name: self.add(streams[name]) for name in (*changes.added, *changes.changed)]  # type: ignore[misc]
        return steps

    # --- the end ---

    def stop(self, reason: str = "") -> None:
        """End the run in order: stop reading, finish frames in flight, deliver. A reason makes it a failure."""
        course = self._course
        if reason and not course.reason:
            course.reason = reason
            log.warning("the run is being stopped: %s", reason)
        if course.stopped_at is None:
            course.stopped_at = time.monotonic()
        self.sources.stop()

    def interrupt(self) -> None:
        """Stop as a signal does; the report says so."""
        self._course.interrupted = True
        self.stop()

    @property
    def finished(self) -> bool:
        """Whether `run` has come to its end."""
        return self._course.finished.is_set()

    def report(self) -> RunReport:
        """Return the counts of the run so far."""
        course = self._course
        wall, cpu = course.begun or (time.monotonic(), time.process_time())
        writers = [writer for writer in self.delivery.writers() if writer.name not in self._always]
        events = self._context.events.snapshot()
        return RunReport(
            streams=self.sources.reports(),
            sinks=tuple(map(sink_report, writers)),
            events={(str(key[0]), str(key[1])): n for key, n in events.items() if isinstance(key, tuple)},
            wall_s=time.monotonic() - wall,
            cpu_s=time.process_time() - cpu,
            interrupted=course.interrupted,
            stopped=course.reason,
            outbox_error=course.outbox_error,
            stranded=course.stranded,
            abandoned=tuple(self.watch.left),
            dead_letters=str(self._files.dead_letters.path),
        )

    def live_streams(self) -> list[StreamRun]:
        """Return the streams with a frame so far, for metrics."""
        return self.sources.streams()

    def backlogs(self) -> dict[str, int]:
        """Return the number of items that wait in memory, by sink."""
        return {name: count for name, count in self.delivery.backlogs().items() if name not in self._always}

    def _outbox_failed(self, error: OutboxError) -> None:
        self._course.outbox_error = str(error)
        self.stop()

    def _made_context(self, models: ModelStore, tap: Tap | None) -> RunContext:
        return RunContext(
            plan=self.plan.runtime,
            pool=self._pool,
            watch=self.watch,
            delivery=self.delivery,
            models=models,
            names=Names(()),
            files=self._files,
            events=Tally(),
            stop=self.stop,
            tap=tap,
        )

    def _find_stranded(self) -> None:
        """Find events of earlier runs for sinks that this run lacks, for the report."""
        if self._course.outbox_error or not self._files.outbox_exists():
            return
        ours = {writer.key for writer in self.delivery.writers() if writer.name not in self._always}
        try:
            waiting = self._files.outbox().waiting()
        except OutboxError as error:
            self._outbox_failed(error)
            return
        for key, count in waiting.items():
            if key not in ours:
                name = key.partition("@")[0]
                self._course.stranded[name] = self._course.stranded.get(name, 0) + count

    def _guard(self) -> None:
        while not self._course.finished.wait(_WATCH_EVERY_S):
            now = time.monotonic()
            self.watch.check(now, self._course.stopped_at)
            self._pool.relieve(now)
            for source in self.sources.all():
                source.tick(now)

    def _end(self, guard: threading.Thread) -> None:
        self._pool.close()
        self.delivery.close(self.plan.runtime.drain_ns / 1e9)
        self._find_stranded()
        self._course.finished.set()
        guard.join()
        self.sources.close()
        self._files.close()


def remember_secrets(plan: Plan) -> None:
    """Mask the passwords and tokens among the options of this plan from now on, in every log line."""
    chains = [entry.options for stream in plan.streams for entry in stream.chain]
    for options in (*chains, *(s.source_options for s in plan.streams), *(s.options for s in plan.sinks)):
        remember(options.model_dump())


__all__ = ["Engine"]
