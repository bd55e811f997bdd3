"""streamproc as a library: iterate over what a chain finds.

for record in streamproc.run("match.mp4", ["detection", "tracking"], rate=5):
    print(record.time, record[streamproc.Tracks].track_id, record.events)
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from streamproc.config import Plan, load_values
from streamproc.engine import Engine, RunReport
from streamproc.engine.loop import RecordQueue, lending
from streamproc.engine.process import opencv_on_one_thread, prepare_memory
from streamproc.errors import ConfigError, Issue, RunError
from streamproc.models import ModelStore
from streamproc.record import Record
from streamproc.registry import Registry
from streamproc.report.troubles import troubles

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Source = str | Path | int | Mapping[str, Any] | type | tuple[type | str, Mapping[str, Any]]
"""A path, folder, pattern, camera index or address; a class of one's own; a name or class with options; or a mapping
`{"type": NAME, "options": {...}}` as in YAML."""

Entry = str | type | tuple[str | type, Mapping[str, Any]] | Mapping[str, Any]
"""A plugin by name, `module:Class` or class, alone or with its options; or a mapping with the keys that a plugin has
in YAML (`type`, `options`, `rate`, `inputs`, `on_error`, ...) and `name`."""

_JOIN_S = 0.2


class Settings(TypedDict, total=False):
    """Settings of `run` beside its source and chain."""

    rate: float | None
    """processed frames per second of media time; every frame by default"""
    flow: Mapping[str, Any] | None
    """how optical flow is computed, with the keys of `flow` in YAML"""
    workers: int | None
    """threads for plugins; as many as there are cores by default"""
    models: ModelStore | None
    """where models come from"""
    state: str | Path | None
    """folder for checkpoints of resumable sources and for repro bundles; a temporary one by default"""
    keep_frames: bool
    """whether pixels stay with the records; by default they are freed when the loop goes on"""


def run(source: Source | Mapping[str, Source] | Plan, chain: Sequence[Entry] = (), **settings: Unpack[Settings]) -> Run:
    """Run a chain over a source and iterate over its records.

    Args:
        source: where frames come from; a mapping of names to sources gives several streams that share the chain, and
            `record.stream.name` tells them apart; or a plan that `streamproc.load` made of a configuration file.
        chain: the plugins, in order.
        settings: `rate`, `flow`, `workers`, `models`, `state`, `keep_frames`; see `Settings`.

    A recording waits for the loop, a live source drops frames when the loop is late. Leaving the loop, by `break` or an
    exception, ends the run in an orderly way. Nothing is opened before the loop begins.

    Raises:
        ConfigError: with every mistake in the arguments, before anything opens.
        RunError: at the end of the loop, if a source or plugin failed; its `report` says what was counted.
    """
    plan = source if isinstance(source, Plan) else _plan(source, chain, settings)
    return Run(plan, settings)


async def run_async(
    source: Source | Mapping[str, Source] | Plan, chain: Sequence[Entry] = (), **settings: Unpack[Settings]
) -> AsyncIterator[Record]:
    """Run a chain as `run` does, for `async for`; the event loop is never blocked."""
    records = iter(run(source, chain, **settings))
    try:
        while (record := await asyncio.to_thread(next, records, None)) is not None:
            yield record
    finally:
        await asyncio.to_thread(records.close)  # type: ignore[attr-defined]


def load(file: str | Path) -> Plan:
    """The plan of a configuration file, for `run`; `ConfigError` with every mistake in it."""
    from streamproc.config import load as load_file

    return load_file(Path(file))


class Run:
    """One run of a chain: iterate over it once."""

    def __init__(self, plan: Plan, settings: Settings) -> None:
        """A run that begins with its loop."""
        self._keep_frames = settings.get("keep_frames", False)
        self._queue = RecordQueue()
        state = settings.get("state")
        self._folder = "" if state is not None else tempfile.mkdtemp(prefix="streamproc-")
        runtime = replace(plan.runtime, state=Path(state if state is not None else self._folder))
        self._engine = Engine(replace(plan, runtime=runtime), models=settings.get("models"), tap=self._queue)
        self._error: BaseException | None = None

    def __iter__(self) -> Iterator[Record]:
        prepare_memory()
        thread = threading.Thread(target=self._work, name="streamproc-run", daemon=True)
        with opencv_on_one_thread():
            thread.start()
            try:
                yield from self._queue if self._keep_frames else lending(iter(self._queue))
            finally:
                self._end(thread)
        self._raise()

    def stop(self) -> None:
        """End the run in an orderly way, from any thread: what was read still comes out."""
        self._engine.stop()

    def report(self) -> RunReport:
        """What the run has counted so far."""
        return self._engine.report()

    def to_arrow(self, kind: type | None = None) -> pa.Table:
        """Run to the end and return a table: one row per record, or per detection, track, ... of class `kind`."""
        from streamproc.tables import to_arrow

        return to_arrow((record.without_frame() for record in self), kind)

    def to_pandas(self, kind: type | None = None) -> pd.DataFrame:
        """Run to the end and return a DataFrame; see `to_arrow`."""
        from streamproc.tables import to_pandas

        return to_pandas((record.without_frame() for record in self), kind)

    def _work(self) -> None:
        try:
            self._engine.run()
        except BaseException as error:  # noqa: BLE001 - raised again in the loop's thread
            self._error = error
        self._queue.finish()

    def _end(self, thread: threading.Thread) -> None:
        self._queue.close()
        self._engine.stop()
        while thread.is_alive():
            thread.join(_JOIN_S)
        if self._folder:
            _remove_if_plain(Path(self._folder))

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
        report = self.report()
        if report.exit_code:
            raise RunError("; ".join(troubles(report)) or f"the run ended with exit code {report.exit_code}", report)


def _remove_if_plain(folder: Path) -> None:
    """Remove a temporary state folder, unless repro bundles lie in it that the log has named."""
    if not any(folder.glob("bundles/*.zip")):
        with suppress(OSError):
            shutil.rmtree(folder)


def _plan(source: Source | Mapping[str, Source], chain: Sequence[Entry], settings: Settings) -> Plan:
    registry = Registry()
    several = isinstance(source, Mapping) and "type" not in source
    sources: Mapping[str, Any] = source if several else {_stream_name(source): source}  # type: ignore[assignment]
    plugins = [_plugin(registry, entry, place) for place, entry in enumerate(chain)]
    names = _names([plugin.pop("name", None) or _short(plugin["type"]) for plugin in plugins])
    defaults: dict[str, Any] = {"chain": names}
    if (rate := settings.get("rate")) is not None:
        defaults["rate"] = rate
    if (flow := settings.get("flow")) is not None:
        defaults["flow"] = dict(flow)
    values: dict[str, Any] = {
        "version": 1,
        "defaults": defaults,
        "streams": {name: {"source": _source(registry, each)} for name, each in sources.items()},
        "plugins": dict(zip(names, plugins, strict=True)),
    }
    if (workers := settings.get("workers")) is not None:
        values["runtime"] = {"workers": workers}
    return load_values(values, registry=registry, models=settings.get("models"))


def _stream_name(source: Any) -> str:
    """The name of a recording's file, `stream` of anything else."""
    if not isinstance(source, str | Path) or "://" in str(source):
        return "stream"
    stem = "".join(c if c.isalnum() or c in "_-" else "_" for c in Path(source).stem).strip("_-")
    return stem if stem and not stem.isdigit() else "stream"


def _source(registry: Registry, source: Source) -> Any:
    if isinstance(source, type):
        return {"type": _own(registry, "source", source)}
    if isinstance(source, tuple):
        kind, options = source
        return {"type": _own(registry, "source", kind), "options": dict(options)}
    if isinstance(source, Mapping):
        return dict(source)
    return str(source)


def _plugin(registry: Registry, entry: Any, place: int) -> dict[str, Any]:
    if isinstance(entry, str | type):
        return {"type": _own(registry, "plugin", entry)}
    if isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[1], Mapping):
        return {"type": _own(registry, "plugin", entry[0]), "options": dict(entry[1])}
    if isinstance(entry, Mapping) and "type" in entry:
        return {**entry, "type": _own(registry, "plugin", entry["type"])}
    raise ConfigError(
        [
            Issue(
                where=f"chain[{place}]",
                message=f"{entry!r}, expected a plugin's name or class, (name, options), or a mapping with `type`",
            )
        ]
    )


def _own(registry: Registry, kind: Any, named: Any) -> str:
    """The name of a class in the plan; a class of the caller's own is added to the registry."""
    if not isinstance(named, type):
        return str(named)
    name = f"{named.__module__}.{named.__qualname__}"
    registry.add(kind, name, named)
    return name


def _short(named: str) -> str:
    """The name of a plugin in the results, from its type: `detection`, or `dark` of `mine:Dark`."""
    last = named.rpartition(":")[2].rpartition(".")[2]
    return "".join(c if c.isalnum() or c in "_-" else "_" for c in last).lower()


def _names(wanted: list[str]) -> list[str]:
    """The same names, with a number behind those that stand there already."""
    names: list[str] = []
    for name in wanted:
        count = sum(other == name or other.startswith(f"{name}_") for other in names)
        names.append(f"{name}_{count + 1}" if name in names else name)
    return names


__all__ = ["Run", "Settings", "load", "run", "run_async"]
