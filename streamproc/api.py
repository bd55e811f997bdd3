"""streamproc as a library: iterate over what a chain finds.

for record in streamproc.run("match.mp4", ["detection", "tracking"], rate=5):
    print(record.time, record[streamproc.Tracks].track_id, record.events)
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Unpack
from uuid import uuid4

from streamproc.arguments import Entry, Settings, Source, plan_of
from streamproc.config import Plan
from streamproc.config import load as load_file
from streamproc.engine import Engine, RunReport
from streamproc.engine.loop import RecordQueue, lend
from streamproc.engine.process import opencv_on_one_thread, prepare_memory
from streamproc.errors import RunError, StreamprocError
from streamproc.models import ModelStore
from streamproc.record import Record
from streamproc.report.troubles import troubles

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

log = logging.getLogger(__name__)

_NO_SINKS = "has no sinks: only a report (--report) gets its events"
"""end of a warning of the plan"""


def run(source: Source | Mapping[str, Source] | Plan, chain: Sequence[Entry] = (), **settings: Unpack[Settings]) -> Run:
    """Run a chain over a source and iterate over its records.

    Args:
        source: where frames come from; a mapping of names to sources gives several streams that share the chain, and
            `record.stream.name` says which one a record belongs to; or a plan that `streamproc.load` made of a
            configuration file.
        chain: the plugins, in order.
        settings: `rate`, `flow`, `workers`, `models`, `state`, `keep_frames`; see `Settings`.

    A recording waits for the loop, a live source drops frames when the loop is late. Leaving the loop, by `break` or an
    exception, ends the run in an orderly way. Nothing is opened before the loop begins.

    Raises:
        ConfigError: with every mistake in the arguments, before anything opens.
        RunError: at the end of the loop, if a source or plugin failed; its `report` holds the counts of the run.
    """
    plan = plan_of(source, chain, settings)
    for warning in plan.warnings:
        if not warning.endswith(_NO_SINKS):  # the loop gets what there is
            log.warning("%s", warning)
    temporary = None
    if not isinstance(source, Plan) and settings.get("state") is None:
        temporary = Path(tempfile.gettempdir()) / f"streamproc-{uuid4().hex}"
        plan = replace(plan, runtime=replace(plan.runtime, state=temporary))
    keep_frames = settings.get("keep_frames", False)
    return Run(plan, models=settings.get("models"), keep_frames=keep_frames, temporary=temporary)


def run_async(
    source: Source | Mapping[str, Source] | Plan, chain: Sequence[Entry] = (), **settings: Unpack[Settings]
) -> AsyncIterator[Record]:
    """Run a chain as `run` does, for `async for`; the event loop is never blocked.

    `contextlib.aclosing` around it ends the run where the block ends; a bare `break` ends it a little later.
    """
    return run(source, chain, **settings)._records_async()


def load(file: str | Path) -> Plan:
    """The plan of a configuration file, for `run`; `ConfigError` with every mistake in it."""
    return load_file(Path(file))


class Run:
    """One run of a chain: iterate over it once."""

    def __init__(
        self, plan: Plan, *, models: ModelStore | None = None, keep_frames: bool = False, temporary: Path | None = None
    ) -> None:
        """A run that begins with its loop. temporary: its state folder, where that goes with the run."""
        self._keep_frames = keep_frames
        self._temporary = temporary
        self._queue = RecordQueue()
        self._engine = Engine(plan, models=models, tap=self._queue)
        self._begun = False
        self._error: BaseException | None = None
        self._resources = ExitStack()

    def __iter__(self) -> Iterator[Record]:
        self._claim()
        return self._records()

    def stop(self) -> None:
        """End the run in an orderly way, from any thread: what was read still comes out."""
        self._engine.stop()

    def report(self) -> RunReport:
        """The counts of the run so far."""
        return self._engine.report()

    def to_arrow(self, kind: type | None = None) -> pa.Table:
        """Run to the end and return a table: one row per record, or per detection, track, ... of class `kind`."""
        from streamproc.tables import to_arrow

        return to_arrow(self, kind)

    def to_pandas(self, kind: type | None = None) -> pd.DataFrame:
        """Run to the end and return a DataFrame; see `to_arrow`."""
        from streamproc.tables import to_pandas

        return to_pandas(self, kind)

    def _claim(self) -> None:
        if self._begun:
            raise StreamprocError(
                "this run has begun already, and a run can be iterated once; call streamproc.run for another, "
                "or put the records into a list"
            )
        self._begun = True

    def _records(self) -> Iterator[Record]:
        try:
            self._start()
            for record in self._queue:
                record, free = self._lent(record)  # noqa: PLW2901 - nothing else may hold the pixels
                try:
                    yield record
                finally:
                    free()
        finally:
            self._resources.close()
        self._raise()

    async def _records_async(self) -> AsyncIterator[Record]:
        ready = asyncio.Event()
        self._queue.on_change = partial(_wake, asyncio.get_running_loop(), ready)
        self._claim()
        try:
            self._start()
            while not self._queue.over:
                ready.clear()
                while (record := self._queue.take()) is not None:
                    record, free = self._lent(record)
                    try:
                        yield record
                    finally:
                        free()
                    await asyncio.sleep(0)  # others get their turn, also where records never run out
                if not self._queue.over:
                    await ready.wait()
        finally:
            # whoever is cancelled here doesn't wait for the end, which comes all the same
            await asyncio.shield(asyncio.to_thread(self._resources.close))
        self._raise()

    def _lent(self, record: Record) -> tuple[Record, Callable[[], None]]:
        return (record, lambda: None) if self._keep_frames else lend(record)

    def _start(self) -> None:
        """Start the engine on a thread of its own; closing `_resources` ends it, at the latest with the process."""
        prepare_memory()
        resources = self._resources
        atexit.register(resources.close)  # a generator that nobody closed would wait for threads that are no more
        resources.callback(atexit.unregister, resources.close)
        if self._temporary is not None:
            self._temporary.mkdir(mode=0o700)
            resources.callback(_remove_if_plain, self._temporary)
        resources.enter_context(opencv_on_one_thread())
        thread = threading.Thread(target=self._work, name="streamproc-run", daemon=True)
        resources.callback(self._end, thread)
        thread.start()

    def _work(self) -> None:
        try:
            self._engine.run()
        except BaseException as error:  # noqa: BLE001 - raised again in the loop's thread
            self._error = error
        self._queue.finish()

    def _end(self, thread: threading.Thread) -> None:
        self._queue.close()
        self._engine.stop()
        thread.join()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
        report = self.report()
        if report.exit_code:
            raise RunError("; ".join(troubles(report)) or f"the run ended with exit code {report.exit_code}", report)


def _wake(loop: asyncio.AbstractEventLoop, ready: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the loop was closed without the run
        loop.call_soon_threadsafe(ready.set)


def _remove_if_plain(folder: Path) -> None:
    """Remove a temporary state folder, unless repro bundles lie in it that the log has named."""
    if not any(folder.glob("bundles/*.zip")):
        shutil.rmtree(folder, ignore_errors=True)


__all__ = ["Run", "Settings", "load", "run", "run_async"]
