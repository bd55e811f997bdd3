"""The configured streams of a run by name: added, removed, paused and resumed while it works."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import replace

from streamproc.config.plan import StreamPlan
from streamproc.engine.account import StreamReport
from streamproc.engine.context import RunContext
from streamproc.engine.counted import stream_reports
from streamproc.engine.reader import SourceRun
from streamproc.engine.statelock import sharing
from streamproc.engine.stream import StreamRun
from streamproc.errors import StreamprocError, nearest


class Sources:
    """Sources at work; safe to use from all threads. always: sinks that get the events of all streams."""

    def __init__(self, context: RunContext, always: tuple[str, ...]) -> None:
        self._context = context
        self._always = always
        self._changed = threading.Condition()
        self._running: dict[str, SourceRun] = {}
        self._locks: dict[str, ExitStack] = {}
        self._joined: set[str] = set()
        self._past: list[StreamReport] = []
        """reports of streams that were removed"""
        self._started = False
        self._closed = False

    def add(self, plan: StreamPlan) -> None:
        """Add a stream; it starts at once where the others work. Raises `StreamprocError` where it can't."""
        with self._changed:
            if self._closed:
                raise StreamprocError(f"stream {plan.name!r} can't be added: the run is ending")
            if plan.name in self._running:
                raise StreamprocError(f"a stream {plan.name!r} is there already; remove it first, or use another name")
            source = SourceRun(replace(plan, sinks=(*plan.sinks, *self._always)), self._context)
            self._context.names.configure(plan.name)
            self._context.delivery.expect(plan.name)
            self._running[plan.name] = source
            if self._started:
                self._start(source)
            self._changed.notify_all()

    def remove(self, name: str) -> None:
        """Stop a stream, wait until everything that it read has come out, and forget it but for its report."""
        source = self._named(name)
        source.stop()
        if self._started:
            source.join()
        with self._changed:
            del self._running[name]
            self._joined.discard(name)
            self._past += stream_reports(source)
            self._unlock(name)
            self._context.delivery.ended(name)
            self._context.names.forget(name)
            self._changed.notify_all()

    def pause(self, name: str) -> None:
        """Read no more from a stream until `resume`: a live source is closed, a recording waits."""
        self._named(name).pause()

    def resume(self, name: str) -> None:
        """Go on with a paused stream."""
        self._named(name).resume()

    def start(self) -> None:
        """Start all streams. Raises `StreamprocError` where another run uses a checkpoint of theirs."""
        with self._changed:
            for source in self._running.values():
                self._lock(source)
            self._started = True
            for source in self._running.values():
                source.start()

    def stop(self) -> None:
        """Stop all streams; what they read still comes out."""
        with self._changed:
            self._closed = True
            for source in self._running.values():
                source.stop()
            self._changed.notify_all()

    def join(self, until_stopped: bool = False) -> None:
        """Wait for the end of all streams, those added meanwhile too; with `until_stopped` for `stop` as well."""
        while self._started:
            with self._changed:
                name = next((name for name in self._running if name not in self._joined), None)
                if name is None:
                    if self._closed or not until_stopped:
                        self._closed = True
                        return
                    self._changed.wait()
                    continue
                source = self._running[name]
            source.join()
            with self._changed:
                if self._running.get(name) is source:
                    self._joined.add(name)

    def close(self) -> None:
        """Release the locks on checkpoints."""
        with self._changed:
            for name in list(self._locks):
                self._unlock(name)

    def all(self) -> list[SourceRun]:
        """Sources that are there."""
        with self._changed:
            return list(self._running.values())

    def plans(self) -> dict[str, StreamPlan]:
        """Plans of the streams that are there, as they were added."""
        extra = len(self._always)
        return {s.plan.name: replace(s.plan, sinks=s.plan.sinks[: len(s.plan.sinks) - extra]) for s in self.all()}

    def reports(self) -> tuple[StreamReport, ...]:
        """Reports of all streams, removed ones included."""
        with self._changed:
            past = tuple(self._past)
        return (*past, *(report for source in self.all() for report in stream_reports(source)))

    def streams(self) -> list[StreamRun]:
        """Streams that have shown a frame."""
        return [run for source in self.all() for run in list(source.streams.runs.values())]

    def _named(self, name: str) -> SourceRun:
        with self._changed:
            if name not in self._running:
                known = ", ".join(self._running) or "none"
                raise StreamprocError(f"no stream {name!r}{nearest(name, self._running)} (there are: {known})")
            return self._running[name]

    def _start(self, source: SourceRun) -> None:
        self._lock(source)
        source.start()

    def _lock(self, source: SourceRun) -> None:
        if source.plan.source.resumable:
            locks = self._locks[source.plan.name] = ExitStack()
            locks.enter_context(sharing(self._context.files.folder, {source.plan.name}))

    def _unlock(self, name: str) -> None:
        locks = self._locks.pop(name, None)
        if locks is not None:
            locks.close()


__all__ = ["Sources"]
