"""A stream's chain at work: opened plugins, cut into alternating pure and ordered stages, and their health."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any, Protocol, TypeVar

from streamproc.chain.clips import ClipCutter, CutClip
from streamproc.chain.doubts import BoxDoubts
from streamproc.chain.guard import Outcome
from streamproc.chain.sampling import Beat
from streamproc.config.plan import PluginPlan, StreamPlan
from streamproc.errors import ModelError, PluginError, describe, redact
from streamproc.frames import Flow, Frame, StreamInfo
from streamproc.metrics import Histogram, Tally
from streamproc.models import ModelStore
from streamproc.plugin import AnyPlugin, ClipPlugin, ClipSpec, PluginContext, StreamPlugin

T = TypeVar("T")

log = logging.getLogger(__name__)


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
    doubts: BoxDoubts = field(default_factory=BoxDoubts)
    doubt: str = ""
    remarks: tuple[str, ...] = ()
    """what the plugin had to say about the whole run, once that is over"""

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def timeout_s(self) -> float:
        """How long one call may take."""
        return self.plan.timeout_ns / 1e9

    @property
    def pure(self) -> bool:
        return not isinstance(self.plugin, StreamPlugin)

    def count(self, outcome: Outcome, of_frame: bool, stream: str) -> None:
        """Count the outcome of a call, and look at its boxes; success outside a frame doesn't count."""
        if of_frame or outcome.verdict != "ok":
            self.verdicts.add(outcome.verdict)
        if doubt := self.doubts.look(outcome.results):
            self.doubt = doubt
            log.warning("plugin %s of %s: %s", self.name, stream, doubt)

    def cut(self, frame: Frame, on_rate: bool) -> CutClip | None:
        """Sample a source frame for a clip plugin; return the clip that ends here, if one is due."""
        assert self.cutter is not None
        slow = self.cutter.pace.slow
        clip = self.cutter.add(frame, on_rate)
        if not slow and self.cutter.pace.slow:
            log.warning("clips of plugin %s stream=%s: %s", self.name, frame.stream.name, self.cutter.pace.warning)
        return clip


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
                clip = step.cut(frame, on_rate)
                if clip is None:
                    continue
                clips[step.index] = clip
            if not on_rate:
                continue
            if all(needed in steps for needed in step.required) and (
                step.beat is None or step.beat.takes(frame.pts_ns)
            ):
                steps.add(step.index)
        return Due(frozenset(steps), clips)

    def sampler_state(self) -> dict[str, Any]:
        """Where each step's beat stands, and the pictures that its next clips need, as plain JSON values."""
        return {
            step.name: {
                "due_ns": None if step.beat is None else step.beat.due_ns,
                "clip": None if step.cutter is None else step.cutter.state(),
            }
            for step in self.steps
        }

    def restore_samplers(self, state: Mapping[str, Any]) -> None:
        """Go on from what `sampler_state` gave; a step that wasn't there then starts afresh."""
        for step in self.steps:
            kept = state.get(step.name, {})
            if step.beat is not None:
                step.beat.due_ns = kept.get("due_ns")
            if step.cutter is not None and kept.get("clip") is not None:
                step.cutter.restore(kept["clip"])

    def close(self, log: logging.Logger) -> None:
        """Close every plugin that isn't hung; one that fails doesn't stop the others."""
        for step in self.steps:
            if self.health.hung(step.index):
                continue
            close_plugin(step.name, step.plugin, log)


def close_plugin(name: str, plugin: AnyPlugin, log: logging.Logger) -> None:
    """Close a plugin; one that fails at that is only logged."""
    try:
        plugin.close()
    except BaseException as error:
        log.warning("closing plugin %s failed: %s", name, describe(error))
        log.debug("closing plugin %s failed", name, exc_info=error)


def close_step(step: Step, stream: str, log: logging.Logger) -> None:
    """Close a plugin that has come to the end of its stream, after asking what it has to say."""
    step.remarks = _remarks_of(step, stream, log)
    close_plugin(step.name, step.plugin, log)


def _remarks_of(step: Step, stream: str, log: logging.Logger) -> tuple[str, ...]:
    """What a plugin and the engine have to say about the whole run, logged too."""
    clips = step.cutter.warning if step.cutter is not None else ""
    own: list[str] = []
    try:
        own = [redact(str(remark)) for remark in step.plugin.remarks()]
    except BaseException as error:  # noqa: BLE001 - a plugin's own fault, as in `call`
        log.warning("plugin %s failed in remarks: %s", step.name, describe(error))
    remarks = (*own, *filter(None, (clips, step.doubt)))
    for remark in remarks:
        if remark != step.doubt:  # logged when it showed
            log.warning("plugin %s of %s: %s", step.name, stream, remark)
    return remarks


class Opener(Protocol):
    """How a plugin is opened so that one that hangs doesn't hang the run."""

    def __call__(self, what: str, function: Callable[[], T], /) -> T:
        """Call `function`; `what` names it where it takes too long."""
        ...


def open_chain(plan: StreamPlan, info: StreamInfo, models: ModelStore, opener: Opener) -> Chain:
    """Make and open the plugins of a stream; if one refuses, close them all and raise `PluginError`."""
    made: list[tuple[str, AnyPlugin]] = []
    try:
        return Chain(list(_open_steps(plan, info, models, opener, made)))
    except BaseException:
        for name, plugin in made:
            close_plugin(name, plugin, logging.getLogger(__name__))
        raise


def _open_steps(
    plan: StreamPlan, info: StreamInfo, models: ModelStore, opener: Opener, made: list[tuple[str, AnyPlugin]]
) -> Iterator[Step]:
    places = {entry.name: index for index, entry in enumerate(plan.chain)}
    for index, entry in enumerate(plan.chain):
        what = f"plugin {entry.name} of stream {info.name}, asked to open,"
        plugin, clip = opener(what, partial(_open_plugin, entry, info, models, made))
        required = tuple(places[entry.inputs[kind]] for kind in entry.cls.needs if kind is not Flow)
        rate = None if isinstance(plugin, ClipPlugin) else entry.rate
        yield Step(
            index=index,
            plan=entry,
            plugin=plugin,
            beat=Beat.of(rate, info.nominal_ns),
            cutter=None if clip is None else ClipCutter(clip, plan.flow, info.nominal_ns),
            required=required,
            wants_flow=Flow in (*entry.cls.needs, *entry.cls.uses),
        )


def _open_plugin(
    entry: PluginPlan, info: StreamInfo, models: ModelStore, made: list[tuple[str, AnyPlugin]]
) -> tuple[AnyPlugin, ClipSpec | None]:
    """The opened plugin and the clip that it orders, if it is of that kind."""
    log = logging.getLogger(f"streamproc.plugin.{entry.name}")
    try:
        plugin: Any = entry.cls(entry.options)
        made.append((entry.name, plugin))
        plugin.open(PluginContext(name=entry.name, stream=info, models=models, log=log))
        return plugin, plugin.clip() if isinstance(plugin, ClipPlugin) else None
    except (Exception, SystemExit, KeyboardInterrupt, GeneratorExit) as error:
        plain = isinstance(error, PluginError | ModelError)  # a sentence already
        what = redact(str(error)) if plain else describe(error)
        log.debug("opening failed", exc_info=error)
        raise PluginError(f"plugin {entry.name} can't be opened for stream {info.name}: {what}") from error


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

    def in_a_row(self, index: int) -> int:
        """How many times in a row this step has failed."""
        return self._in_a_row[index]

    def resume(self, index: int, in_a_row: int) -> None:
        """Go on counting from what an earlier run came to; a plugin that went off there gets one more try."""
        self._in_a_row[index] = in_a_row

    def record(self, index: int, outcome: Outcome, *, final: bool = False) -> str | None:
        """Count what a call came to; the reason if the plugin is switched off for it.

        final: it was the last one, which ends what is open: its failure counts at once.
        """
        plan = self._steps[index].plan
        if outcome.verdict == "ok":
            self._in_a_row[index] = 0
        if outcome.verdict != "failed" or index in self._off:
            return None
        self._in_a_row[index] += 1
        limit = 1 if final or plan.on_error == "disable" else plan.max_failures
        if self._in_a_row[index] < limit:
            return None
        count = self._in_a_row[index]
        times = "at the end" if final else "once" if count == 1 else f"{count} times in a row"
        return self.switch_off(index, f"failed {times}, last with {outcome.sentence}")

    def switch_off(self, index: int, reason: str, hung: bool = False) -> str:
        """Switch a plugin off for the rest of the run."""
        with self._lock:
            self._reasons.setdefault(index, reason)
            if hung:
                self._hung.add(index)
            self._off = self._off | {index}
        return reason
