"""Runs of plugins without a configuration file: alone, or as a chain in the real engine."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from streamproc.chain.clips import ReadyClip
from streamproc.chain.guard import Outcome
from streamproc.chain.item import Failure, FrameItem
from streamproc.chain.step import Due, Step
from streamproc.config.plan import ChainPlan, FlowPlan, Plan, PluginPlan, RuntimePlan, SinkPlan, StreamPlan
from streamproc.config.wiring import wire
from streamproc.engine import Engine, RunReport
from streamproc.engine.inline import InlineStream
from streamproc.errors import PluginError
from streamproc.events import Event, Moment
from streamproc.frames import Clip, Frame, StreamInfo
from streamproc.models import ModelStore
from streamproc.plugin import AnyPlugin, ClipPlugin, check_plugin
from streamproc.record import Record
from streamproc.results import Result
from streamproc.source import DecodedFrame
from streamproc.testing.fakes import Fault, ListSink, ListSinkOptions, ListSource, ListSourceOptions
from streamproc.testing.fakes import FramePicture as _FramePicture

ResultT = TypeVar("ResultT", bound=Result)


@dataclass(frozen=True, slots=True)
class PluginRun:
    """Outcome of a run."""

    report: RunReport
    events: list[Event]
    results: list[Result] = field(default_factory=list)
    """every result of the plugin under test, in the order of frames"""
    records: list[Record] = field(default_factory=list)
    """all records that left the chain"""

    @property
    def types(self) -> list[str]:
        """Types of the events, in order."""
        return [event.type for event in self.events]

    def all(self, kind: type[ResultT]) -> list[ResultT]:
        """Return the results of one class."""
        return [result for result in self.results if isinstance(result, kind)]


def plugin_plan(
    cls: type[AnyPlugin], *, name: str = "", settings: dict[str, Any] | None = None, **options: Any
) -> PluginPlan:
    """Return the plan of a plugin with these options; `settings` are those of its entry, such as rate and on_error."""
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
    """Run one plugin over frames in the real chain, on this thread, and raise its exceptions here.

    frames: frames (renumbered and re-timed in their order, where all are at time 0) or, for a
        `ClipPlugin`, the clips themselves.
    past: what earlier plugins gave, one iterable of results for each frame.
    options: the plugin's own.
    """
    check_plugin(cls)
    known = [{("given", type(result)): result for result in results} for results in past or ()]
    kinds = {kind for results in known for _, kind in results}
    plan = plugin_plan(cls, **options)
    plan = replace(plan, inputs={kind: "given" for kind in (*cls.needs, *cls.uses) if kind in kinds})
    clips = issubclass(cls, ClipPlugin) and bool(frames) and isinstance(frames[0], Clip)
    pictures = [] if clips else _in_order([frame for frame in frames if isinstance(frame, Frame)])
    first = frames[0].last if isinstance(frames[0], Clip) else frames[0] if frames else None
    info = StreamInfo(
        name="test",
        identity="list",
        width=first.width if first else 0,
        height=first.height if first else 0,
        rate=_rate(first),
        start_offset_ns=pictures[0].pts_ns if pictures else 0,
    )
    results: list[Result] = []

    def called(step: Step, outcome: Outcome) -> None:
        del step
        if outcome.cause is not None:
            raise outcome.cause if isinstance(outcome.cause, Exception) else PluginError(outcome.error)
        results.extend(outcome.results)

    stream = InlineStream(ChainPlan(chain=(plan,)), info, models or ModelStore(), called)
    try:
        fed: Iterator[Record]
        if clips:
            fed = (record for clip in frames if isinstance(clip, Clip) for record in stream.process(_item(clip)))
        else:
            fed = _feed(stream, pictures, known)
        records = [*fed, *([] if clips else stream.end())]
    finally:
        stream.close()
    started = RunReport(streams=(stream.report(),), sinks=(), events=_counts(records), wall_s=0.0, cpu_s=0.0)
    events = [event for record in records for event in record.events]
    return PluginRun(report=started, events=events, results=results, records=records)


def _feed(stream: InlineStream, frames: list[Frame], known: list[dict[tuple[str, type], Result]]) -> Iterator[Record]:
    for number, frame in enumerate(frames):
        decoded = DecodedFrame(
            picture=_FramePicture(frame), pts_ns=frame.pts_ns, captured_ns=frame.captured_ns, keyframe=frame.keyframe
        )
        yield from stream.feed(decoded, known[number] if known else None)


def _item(clip: Clip) -> FrameItem:
    due = Due(frozenset({0}), {0: ReadyClip(clip)})
    return FrameItem(moment=Moment.of(clip.last), frame=clip.last, due=due)


def _counts(records: list[Record]) -> dict[tuple[str, str], int]:
    return dict(Counter((event.stream, event.type) for record in records for event in record.events))


def _rate(first: Frame | None) -> Fraction | None:
    if first is None or not first.stream.rate:
        return None
    return Fraction(float(first.stream.rate)).limit_denominator(1001)


class _Tap:
    """Collects the records of a run, and the exceptions of one of its plugins."""

    def __init__(self, plugin: str) -> None:
        self.records: list[Record] = []
        self.failures: list[Outcome] = []
        self._plugin = plugin

    def record(self, record: Record) -> None:
        self.records.append(record)

    def mark(self, stream: str, then: Callable[[bool], None]) -> None:
        del stream
        then(True)

    def failure(self, failure: Failure) -> None:
        if failure.step.name == self._plugin:
            self.failures.append(failure.outcome)


def run_chain(
    chain: Sequence[PluginPlan],
    frames: Sequence[Frame | Fault],
    *,
    models: ModelStore | None = None,
    watch: type[AnyPlugin] | None = None,
    workers: int = 2,
    live: bool = False,
) -> PluginRun:
    """Run a chain over frames in the real engine. `watch`: a plugin whose failures are raised and results listed."""
    watched = next((entry.name for entry in chain if entry.cls is watch), "")
    tap = _Tap(watched)
    with tempfile.TemporaryDirectory() as folder:
        plan = make_plan(chain, frames, state=Path(folder), workers=workers, live=live)
        sink = ListSink()
        report = Engine(plan, models=models, extra=[(_LIST_SINK, sink)], tap=tap).run()
    if tap.failures:
        cause = tap.failures[0].cause
        raise cause if isinstance(cause, Exception) else PluginError(tap.failures[0].error)
    results = [found for record in tap.records for (name, _), found in record.results.items() if name == watched]
    return PluginRun(report=report, events=sink.events, results=results, records=tap.records)


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
    """Return a plan with one stream from a list of frames and no sinks; `ValueError` when the chain doesn't fit."""
    wired, issues = wire(chain)
    if issues:
        raise ValueError("; ".join(f"{issue.plugin}: {issue.message}" for issue in issues))
    first = next((frame for frame in frames if isinstance(frame, Frame)), None)
    rate = float(first.stream.rate) if first is not None and first.stream.rate else None
    source = ListSourceOptions(frames=tuple(frames), live=live, rate=rate)
    stream = _stream_plan(wired, name, source)
    return Plan(streams=(stream,), runtime=RuntimePlan(workers=workers, state=state))


def _stream_plan(chain: tuple[PluginPlan, ...], name: str, options: ListSourceOptions) -> StreamPlan:
    return StreamPlan(
        name=name,
        source=ListSource,
        source_options=options,
        chain=chain,
        sinks=(),
        flow=FlowPlan(),
        reconnect_ns=1_000_000,
    )


def _in_order(frames: list[Frame]) -> list[Frame]:
    """Number and time frames that were made one by one, all at time 0, in their order."""
    rises = all(a.pts_ns < b.pts_ns for a, b in pairwise(frames))
    if rises:
        return frames
    step = frames[0].stream.nominal_ns or 100_000_000
    return [replace(frame, index=index, pts_ns=index * step) for index, frame in enumerate(frames)]


__all__ = ["PluginRun", "make_plan", "plugin_plan", "run_chain", "run_plugin"]
