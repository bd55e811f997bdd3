"""Run plugins without a configuration file: alone, or as a chain in the real engine."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from streamproc.config.plan import FlowPlan, Plan, PluginPlan, RuntimePlan, SinkPlan, StreamPlan
from streamproc.config.wiring import wire
from streamproc.engine import Engine, RunReport
from streamproc.engine.guard import sort_output
from streamproc.errors import PluginError, describe
from streamproc.events import Event, Moment
from streamproc.frames import Clip, Frame
from streamproc.models import ModelStore
from streamproc.plugin import AnyPlugin, ClipPlugin, FramePlugin, Output, PluginContext, Results, check_plugin
from streamproc.results import Result
from streamproc.testing.fakes import Fault, ListSink, ListSinkOptions, ListSource, ListSourceOptions

ResultT = TypeVar("ResultT", bound=Result)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PluginRun:
    """What a run came to."""

    report: RunReport
    events: list[Event]
    results: list[Result] = field(default_factory=list)
    """every result of the plugin under test, in the order of frames"""

    @property
    def types(self) -> list[str]:
        """The types of the events, in order."""
        return [event.type for event in self.events]

    def all(self, kind: type[ResultT]) -> list[ResultT]:
        """The results of one class."""
        return [result for result in self.results if isinstance(result, kind)]


def plugin_plan(
    cls: type[AnyPlugin], *, name: str = "", settings: dict[str, Any] | None = None, **options: Any
) -> PluginPlan:
    """A plugin with these options; `settings` are those of its chain entry, such as rate and on_error."""
    checked = cls.options_type.model_validate(options)
    return PluginPlan(name=name or cls.__name__.lower(), cls=cls, options=checked, **(settings or {}))


def run_plugin(
    cls: type[AnyPlugin],
    frames: Sequence[Frame | Clip],
    *,
    past: Sequence[Iterable[Result]] | None = None,
    models: ModelStore | None = None,
    **options: Any,
) -> PluginRun:
    """Run one plugin over frames in the real engine; its failures are raised here.

    frames: frames (renumbered and re-timed so that their order is kept, where they all stand at time 0) or, for a
        `ClipPlugin`, the clips themselves, which then don't pass the engine.
    past: what earlier plugins gave, one iterable of results for each frame.
    options: the plugin's own.
    """
    check_plugin(cls)
    if issubclass(cls, ClipPlugin) and frames and isinstance(frames[0], Clip):
        return _run_on_clips(cls, [clip for clip in frames if isinstance(clip, Clip)], models, options)
    pictures = _in_order([frame for frame in frames if isinstance(frame, Frame)])
    given = [list(results) for results in past] if past is not None else []
    chain = [plugin_plan(cls, **options)]
    if given:
        chain.insert(0, _replayer(given, [frame.pts_ns for frame in pictures]))
    run = run_chain(chain, pictures, models=models, watch=cls)
    for stream in run.report.streams:
        if stream.error:
            raise PluginError(stream.error)
    return run


def run_chain(
    chain: Sequence[PluginPlan],
    frames: Sequence[Frame | Fault],
    *,
    models: ModelStore | None = None,
    watch: type[AnyPlugin] | None = None,
    workers: int = 2,
    live: bool = False,
) -> PluginRun:
    """Run a chain over frames in the real engine. `watch`: a plugin whose failures are raised and results kept."""
    seen: list[tuple[int, Result]] = []
    failures: list[BaseException] = []
    if watch is not None:
        chain = [_watched(entry, seen, failures) if entry.cls is watch else entry for entry in chain]
    with tempfile.TemporaryDirectory() as folder:
        plan = make_plan(chain, frames, state=Path(folder), workers=workers, live=live)
        sink = ListSink()
        report = Engine(plan, models=models, extra=[(_LIST_SINK, sink)]).run()
    if failures:
        raise failures[0] if isinstance(failures[0], Exception) else PluginError(describe(failures[0]))
    return PluginRun(report, sink.events, [result for _, result in sorted(seen, key=lambda pair: pair[0])])


_LIST_SINK = SinkPlan(name="list", cls=ListSink, options=ListSinkOptions())


def make_plan(
    chain: Sequence[PluginPlan],
    frames: Sequence[Frame | Fault],
    *,
    state: Path,
    workers: int = 2,
    live: bool = False,
    name: str = "test",
) -> Plan:
    """A plan with one stream from a list of frames and without sinks; `ValueError` when the chain doesn't fit."""
    wired, issues = wire(chain)
    if issues:
        raise ValueError("; ".join(f"{issue.plugin}: {issue.message}" for issue in issues))
    first = next((frame for frame in frames if isinstance(frame, Frame)), None)
    rate = float(first.stream.rate) if first is not None and first.stream.rate else None
    source = ListSourceOptions(frames=tuple(frames), live=live, rate=rate)
    stream = StreamPlan(
        name=name,
        source=ListSource,
        source_options=source,
        chain=wired,
        sinks=(),
        flow=FlowPlan(),
        reconnect_ns=1_000_000,
    )
    return Plan(streams=(stream,), runtime=RuntimePlan(workers=workers, state=state))


def _in_order(frames: list[Frame]) -> list[Frame]:
    """Frames made one by one all stand at time 0: give them the places that a reader of the test expects."""
    rises = all(a.pts_ns < b.pts_ns for a, b in pairwise(frames))
    if rises:
        return frames
    step = frames[0].stream.nominal_ns or 100_000_000
    return [replace(frame, index=index, pts_ns=index * step) for index, frame in enumerate(frames)]


def _replayer(given: list[list[Result]], times: list[int]) -> PluginPlan:
    """A plugin that gives what the test says, by frame."""
    kinds = tuple(dict.fromkeys(type(result) for results in given for result in results))
    by_time = dict(zip((time - times[0] for time in times), given, strict=True))

    class Given(FramePlugin[Any]):
        gives = kinds

        def process(self, frame: Frame, past: Results) -> Output:
            del past
            return by_time[frame.pts_ns]

    return plugin_plan(Given, name="given")


def _watched(entry: PluginPlan, seen: list[tuple[int, Result]], failures: list[BaseException]) -> PluginPlan:
    """The same plugin, but what it gives is kept and what it raises is kept whole."""
    base: Any = entry.cls

    def process(self: Any, subject: Any, past: Any) -> Any:
        frame = subject.last if isinstance(subject, Clip) else subject
        try:
            results, events = sort_output(entry.name, self, base.process(self, subject, past))
            for event in events:
                event.stamped(frame.stream, entry.name, 0, Moment.of(frame))
        except BaseException as error:
            failures.append(error)
            raise
        seen.extend((frame.index, result) for result in results)
        return [*results, *events]

    return replace(entry, cls=type(base.__name__, (base,), {"process": process, "__module__": base.__module__}))


def _run_on_clips(
    cls: type[AnyPlugin], clips: list[Clip], models: ModelStore | None, options: dict[str, Any]
) -> PluginRun:
    plugin: Any = cls(cls.options_type.model_validate(options))
    info = clips[0].stream
    events: list[Event] = []
    results: list[Result] = []
    try:
        plugin.open(PluginContext(name="test", stream=info, models=models or ModelStore(), log=logger))
        for clip in clips:
            given, told = sort_output("test", plugin, plugin.process(clip, Results()))
            events += [event.stamped(info, "test", n, Moment.of(clip.last)) for n, event in enumerate(told)]
            results += given
    finally:
        plugin.close()
    report = RunReport(streams=(), sinks=(), events={}, wall_s=0.0, cpu_s=0.0)
    return PluginRun(report, events, results)


__all__ = ["PluginRun", "make_plan", "plugin_plan", "run_chain", "run_plugin"]
