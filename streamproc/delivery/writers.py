"""Writers of a run by the names of their sinks: attached, leaving, and past ones for the report."""

from __future__ import annotations

from collections.abc import Iterable

from streamproc.config.plan import SinkPlan
from streamproc.delivery.context import WriterContext
from streamproc.delivery.writer import Writer
from streamproc.errors import StreamprocError, nearest
from streamproc.secrets import remember
from streamproc.sink import AnySink


class Writers:
    """Writers by name; not thread-safe. A sink's name is free again once its writer is past."""

    def __init__(self, context: WriterContext) -> None:
        self._context = context
        self._attached: dict[str, Writer] = {}
        self._leaving: dict[str, Writer] = {}
        self._past: dict[str, Writer] = {}
        self._started = False
        self._closed = False

    def attach(self, plan: SinkPlan, sink: AnySink) -> Writer:
        """Make a writer, and start it where the others have started."""
        if self._closed:
            raise StreamprocError(f"sink {plan.name!r} can't be attached: the run is ending")
        if plan.name in self._attached or plan.name in self._leaving:
            raise StreamprocError(f"a sink {plan.name!r} is attached already; detach it first, or use another name")
        remember(plan.options.model_dump())  # secrets among the options stay out of logs
        past = self._past.pop(plan.name, None)
        status = None if past is None else past.status.continued()
        self._attached[plan.name] = writer = Writer(plan, sink, self._context, status)
        if self._started:
            writer.start()
        return writer

    def detach(self, name: str) -> Writer:
        """Detach a writer; it counts as leaving until `left`."""
        if name not in self._attached:
            raise StreamprocError(
                f"no sink {name!r} is attached{nearest(name, self._attached)}; attached are: "
                f"{', '.join(self._attached) or 'none'}"
            )
        self._leaving[name] = writer = self._attached.pop(name)
        if not self._started:  # it may have old events to deliver
            writer.start()
        return writer

    def left(self, name: str) -> None:
        """Record that a leaving writer has delivered what it could."""
        self._past[name] = self._leaving.pop(name)

    def start(self) -> None:
        """Start all writers."""
        self._started = True
        for writer in self._attached.values():
            writer.start()

    def close(self, drain_s: float) -> None:
        """Let all writers deliver their items; no sink can be attached any more."""
        self._closed = True
        for writer in self._attached.values():
            writer.close(drain_s)

    def of(self, sinks: Iterable[str]) -> list[Writer]:
        """Return the writers of these sinks that are attached."""
        return [self._attached[name] for name in sinks if name in self._attached]

    def flushed(self, sinks: Iterable[str], serial: int) -> bool:
        """Return whether everything up to `serial` is durable at these sinks, leaving ones included."""
        waited_for = [self._attached.get(name) or self._leaving.get(name) for name in sinks]
        return all(writer.inbox.is_flushed(serial) for writer in waited_for if writer is not None)

    def all(self) -> list[Writer]:
        """Return every writer of the run: attached ones first, then leaving and past ones."""
        return [*self._attached.values(), *self._leaving.values(), *self._past.values()]


__all__ = ["Writers"]
