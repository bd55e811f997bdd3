"""A stream's chain at work: opened plugins, cut into alternating pure and ordered stages, and their health."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from streamproc.config.plan import PluginPlan, StreamPlan
from streamproc.engine.clips import ClipCutter, CutClip
from streamproc.engine.guard import Outcome
from streamproc.engine.sampling import Beat
from streamproc.errors import PluginError, redact
from streamproc.frames import Flow, Frame, StreamInfo
from streamproc.metrics import Histogram, Tally
from streamproc.models import ModelStore
from streamproc.plugin import AnyPlugin, ClipPlugin, PluginContext, StreamPlugin


@dataclass(slots=True, eq=False)
class Step:
    """One plugin of the chain at work."""

    index: int
    plan: PluginPlan
    plugin: AnyPlugin
    beat: Beat | None
    cutter: ClipCutter | None
    required: tuple[int, ...]
    """steps whose results it needs"""
    wants_flow: bool
    seconds: Histogram = field(default_factory=Histogram)
    verdicts: Tally = field(default_factory=Tally)

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def pure(self) -> bool:
        return not isinstance(self.plugin, StreamPlugin)


@dataclass(frozen=True, slots=True)
class Stage:
    """Steps that run together: on the pool (pure) or on the stream's own thread (ordered)."""

    pure: bool
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Due:
    """What is to run at one frame."""

    steps: frozenset[int]
    clips: dict[int, CutClip]


class Chain:
    """Opened plugins of one stream."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = tuple(steps)
        groups = [Stage(pure, tuple(group)) for pure, group in groupby(steps, key=lambda step: step.pure)]
        # the first stage is always pure, perhaps empty, so that every frame passes a worker
        self.stages = tuple(groups if groups and groups[0].pure else [Stage(True, ()), *groups])
        self.health = Health(self.steps)
        self.wants_flow = any(step.wants_flow for step in self.steps)

    def due(self, frame: Frame, on_rate: bool) -> Due:
        """What is to run at this source frame; called for every one, in order, as clips are cut from all of them.

        on_rate: whether the frame is one of those that the stream's own rate takes.
        """
        steps: set[int] = set()
        clips: dict[int, CutClip] = {}
        for step in self.steps:
            if step.cutter is not None:
                clip = step.cutter.add(frame)
                if clip is None:
                    continue
                clips[step.index] = clip
            elif not (on_rate or step.required):
                continue
            if all(needed in steps for needed in step.required) and (
                step.beat is None or step.beat.takes(frame.pts_ns)
            ):
                steps.add(step.index)
        return Due(frozenset(steps), clips)

    def sampler_state(self) -> list[int | None]:
        """Where each step's beat stands."""
        return [None if step.beat is None else step.beat.due_ns for step in self.steps]

    def restore_samplers(self, state: Sequence[int | None]) -> None:
        """Go on from what `sampler_state` gave."""
        for step, due_ns in zip(self.steps, state, strict=True):
            if step.beat is not None:
                step.beat.due_ns = due_ns

    def close(self, log: logging.Logger) -> None:
        """Close every plugin that isn't hung; one that fails doesn't stop the others."""
        for step in self.steps:
            if self.health.hung(step.index):
                continue
            try:
                step.plugin.close()
            except Exception as error:  # noqa: BLE001
                log.warning("closing plugin %s failed: %s", step.name, redact(f"{type(error).__name__}: {error}"))


def open_chain(plan: StreamPlan, info: StreamInfo, models: ModelStore) -> Chain:
    """Make and open the plugins of a stream; if one refuses, close the others and raise `PluginError`."""
    opened: list[AnyPlugin] = []
    try:
        steps = list(_open_steps(plan, info, models, opened))
    except BaseException:
        for plugin in opened:
            plugin.close()
        raise
    return Chain(steps)


def _open_steps(plan: StreamPlan, info: StreamInfo, models: ModelStore, opened: list[AnyPlugin]) -> Iterator[Step]:
    places = {entry.name: index for index, entry in enumerate(plan.chain)}
    for index, entry in enumerate(plan.chain):
        plugin = _open_plugin(entry, info, models)
        opened.append(plugin)
        required = tuple(places[entry.inputs[kind]] for kind in entry.cls.needs if kind is not Flow)
        rate = None if isinstance(plugin, ClipPlugin) else entry.rate
        yield Step(
            index=index,
            plan=entry,
            plugin=plugin,
            beat=Beat.of(rate, info.nominal_ns),
            cutter=ClipCutter(plugin.clip(), plan.flow, info.nominal_ns) if isinstance(plugin, ClipPlugin) else None,
            required=required,
            wants_flow=Flow in (*entry.cls.needs, *entry.cls.uses),
        )


def _open_plugin(entry: PluginPlan, info: StreamInfo, models: ModelStore) -> AnyPlugin:
    log = logging.getLogger(f"streamproc.plugin.{entry.name}")
    try:
        plugin: Any = entry.cls(entry.options)
        plugin.open(PluginContext(name=entry.name, stream=info, models=models, log=log))
    except Exception as error:
        what = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
        raise PluginError(f"plugin {entry.name} can't be opened for stream {info.name}: {redact(what)}") from error
    opened: AnyPlugin = plugin
    return opened


class Health:
    """Which plugins of a stream are switched off, and why.

    Failures are counted in the ordered part, frame by frame, so that a plugin goes off at the same frame in every run.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._lock = threading.Lock()
        self._in_a_row = [0] * len(steps)
        self._reasons: dict[int, str] = {}
        self._hung: set[int] = set()
        self._off: frozenset[int] = frozenset()

    @property
    def off(self) -> frozenset[int]:
        """Indices of the steps that are switched off."""
        return self._off

    @property
    def reasons(self) -> dict[str, str]:
        """By plugin name: why it was switched off."""
        with self._lock:
            return {self._steps[index].name: reason for index, reason in self._reasons.items()}

    def hung(self, index: int) -> bool:
        """Whether this step's plugin is stuck in a call that never came back."""
        return index in self._hung

    def record(self, index: int, outcome: Outcome) -> str | None:
        """Count what a call came to; the reason if the plugin is switched off for it."""
        plan = self._steps[index].plan
        if outcome.verdict == "ok":
            self._in_a_row[index] = 0
        if outcome.verdict != "failed" or index in self._off:
            return None
        self._in_a_row[index] += 1
        limit = 1 if plan.on_error == "disable" else plan.max_failures
        if self._in_a_row[index] < limit:
            return None
        times = "once" if limit == 1 else f"{limit} times in a row"
        return self.switch_off(index, f"failed {times}, last with {outcome.error}")

    def switch_off(self, index: int, reason: str, hung: bool = False) -> str:
        """Switch a plugin off for the rest of the run."""
        with self._lock:
            self._reasons.setdefault(index, reason)
            if hung:
                self._hung.add(index)
            self._off = self._off | {index}
        return reason
