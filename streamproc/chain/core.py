"""The chain core: decides what happens to each item of one stream, and in which order. It runs nothing on its own.

The core takes what arrived and returns what to do next, as h11 does for HTTP:

    admit(item)            -> the task of the item's first stage
    complete(task, attempt) -> the next outputs: further tasks, records, snapshots, failures
    hung(task, step)       -> the same, after a step of a task was abandoned
    resume_after_hang(step) -> the same, after an ordered step was abandoned

It owns the order of items at every stage, the calls of ordered steps, circuit breakers, sequence numbers of events,
snapshots and the end. It uses no thread, lock, clock, queue or log.

Tasks may complete in any order: the records are the same. A failure counts where its frame stands in the order, so a
breaker opens at the same frame in every run. A task is run again if one of its steps was switched off in the meantime.

All methods except `admit` and `restore` are generators; one thread at a time exhausts them. They call ordered steps
through the `Caller`. `admit` only numbers the item and may run at the same time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from streamproc.chain.call import FLOW, has_needs, process, reason_of, stamp_events
from streamproc.chain.caller import Caller
from streamproc.chain.covering import replace_picture
from streamproc.chain.guard import MISSING, OFF, Outcome, call, hung
from streamproc.chain.health import Health
from streamproc.chain.item import (
    Attempt,
    Barrier,
    CallInput,
    End,
    Failure,
    FrameItem,
    Item,
    Output,
    Snapshot,
    Task,
)
from streamproc.chain.ordered import read_state, restore_state
from streamproc.chain.step import NOTHING_DUE, Due, Stage, Step, stages_of
from streamproc.errors import PluginError, describe
from streamproc.events import Event
from streamproc.frames import Flow, Frame, StreamInfo
from streamproc.plugin import Results, StreamPlugin
from streamproc.record import Record
from streamproc.results import Result


@dataclass(slots=True, kw_only=True, eq=False)
class Passage:
    """One item on its way through the chain."""

    sequence: int
    """place in the order of the stream"""
    item: Item
    frame: Frame | None
    stage: int = 0
    """place of the stage that is next"""
    position: int = 0
    """steps done within an ordered stage"""
    results: dict[tuple[str, type], Any] = field(default_factory=dict)
    events: dict[int, tuple[Event, ...]] = field(default_factory=dict)
    verdicts: dict[int, str] = field(default_factory=dict)
    hung: dict[int, str] = field(default_factory=dict)
    """pure steps that never returned, each with the place where it stood"""
    replaced: frozenset[int] = frozenset()
    """steps behind which `frame` holds another picture than the source's"""
    states: dict[str, Any] = field(default_factory=dict)
    spoilt: bool = False
    """a plugin's state can't be read"""

    @property
    def due(self) -> Due:
        """Steps and clips due at this item."""
        return self.item.due if isinstance(self.item, FrameItem) else NOTHING_DUE

    def emitted(self) -> tuple[Event, ...]:
        """Return the events so far, in the order of the chain."""
        return tuple(event for index in sorted(self.events) for event in self.events[index])


@dataclass(slots=True)
class _Order:
    """Progress of the items of a stream."""

    passages: dict[int, Passage]
    """items under way, by sequence"""
    ready: list[dict[int, tuple[Task, Attempt]]]
    """by stage and sequence: outcomes that wait for their turn"""
    next: list[int]
    """by stage: the item whose turn it is"""
    admitted: int = 0

    @classmethod
    def of(cls, stages: int) -> _Order:
        """Return the order at the beginning of a stream."""
        return cls(passages={}, ready=[{} for _ in range(stages)], next=[0] * stages)


class ChainCore:
    """Order, breakers, snapshots and records of one stream's chain; see the module docstring."""

    def __init__(self, info: StreamInfo, steps: tuple[Step, ...], caller: Caller) -> None:
        self.steps = steps
        self.health = Health(steps)
        self.ended = False
        """whether the last record has left"""
        self._info = info
        self._gives = tuple((step.name, kind) for step in steps for kind in step.plan.cls.gives)
        self._caller = caller
        self._stages = stages_of(steps)
        self._order = _Order.of(len(self._stages))
        self._counts: dict[str, tuple[int, int]] = {}  # by step: frame index, number of events emitted at it
        self._current: Passage | None = None

    def admit(self, item: Item) -> Task:
        """Number an item and return the task of its first stage, which is always pure."""
        passage = Passage(sequence=self._order.admitted, item=item, frame=None)
        if isinstance(item, FrameItem):
            passage.frame, passage.results = item.frame, dict(item.results)
        self._order.admitted += 1
        self._order.passages[passage.sequence] = passage
        return self._task(passage)

    def complete(self, task: Task, attempt: Attempt) -> Iterator[Output]:
        """Take the outcome of a task; yield what follows from it and from outcomes that waited for it."""
        self._order.ready[task.place][task.sequence] = (task, attempt)
        yield from self._accept_all()

    def hung(self, task: Task, step: Step, where: str = "") -> Iterator[Output]:
        """Handle an abandoned pure step: yield the task without it; it goes off where the task stands in the order."""
        passage = self._order.passages[task.sequence]
        passage.hung[step.index] = where
        self.health.mark_hung(step.index, task.sequence)
        yield self._task(passage)

    def resume_after_hang(self, step: Step, where: str = "") -> Iterator[Output]:
        """Continue behind an ordered step that was abandoned within a generator of the core, on another thread."""
        self.health.switch_off(step.index, hung(step.timeout_s).error)
        passage = self._current
        self.health.mark_hung(step.index, self._order.admitted if passage is None else passage.sequence)
        if passage is None:
            return
        passage.verdicts[step.index] = "hung"
        yield self._failure(passage, step, replace(hung(step.timeout_s), trace=where))
        yield from self._advance(passage)
        yield from self._accept_all()

    def restore(self, states: Mapping[str, Any]) -> None:
        """Continue from the states of a snapshot, before the first item; `PluginError` when a plugin can't."""
        for step in self.steps:
            stored = states.get(step.name, {})
            self.health.resume(step.index, stored.get("failures", 0))
            if stored.get("emitted") is not None:
                self._counts[step.name] = (stored["emitted"][0], stored["emitted"][1])
            if stored.get("state") is not None and isinstance(step.plugin, StreamPlugin):
                _restore(step, step.plugin, stored["state"])

    # --- pure and waiting stages ---

    def _task(self, passage: Passage) -> Task:
        return Task(
            sequence=passage.sequence,
            place=passage.stage,
            stage=self._stages[passage.stage],
            item=passage.item,
            frame=passage.frame,
            results=dict(passage.results),
            events=dict(passage.events),
            off=self.health.off_at(passage.sequence),
        )

    def _accept_all(self) -> Iterator[Output]:
        """Accept, in order, every attempt that is ready at any stage."""
        moved = True
        while moved:
            moved = False
            for place, ready in enumerate(self._order.ready):
                found = ready.pop(self._order.next[place], None)
                if found is None:
                    continue
                task, attempt = found
                if (self.health.off - task.off) & attempt.outcomes.keys():  # a plugin went off since the task began
                    yield self._task(self._order.passages[task.sequence])
                else:
                    moved = True
                    self._order.next[place] += 1
                    yield from self._accept(task, attempt)

    def _accept(self, task: Task, attempt: Attempt) -> Iterator[Output]:
        passage = self._order.passages[task.sequence]
        if attempt.flow is not None:
            passage.results[FLOW, Flow] = attempt.flow
        for step in task.stage.steps:
            if isinstance(passage.item, Barrier):
                passage.states[step.name] = {"failures": self.health.in_a_row(step.index)}
            if step.index in attempt.outcomes:
                yield from self._book(passage, step, attempt.outcomes[step.index])
        passage.stage += 1
        yield from self._advance(passage)

    def _advance(self, passage: Passage) -> Iterator[Output]:
        """Run the ordered stages that are next, then give a task or finish."""
        self._current = passage
        while passage.stage < len(self._stages):
            stage = self._stages[passage.stage]
            if stage.kind != "ordered":
                yield from self._hand_over(passage)
                break
            yield from self._run_ordered(passage, stage)
        else:
            yield from self._finish(passage)
        self._current = None

    def _hand_over(self, passage: Passage) -> Iterator[Output]:
        """Give the task of the next stage; where nothing of it is due, the item only waits for its turn there."""
        task = self._task(passage)
        if task.steps:
            yield task
        else:
            self._order.ready[task.place][task.sequence] = (task, Attempt())

    # --- ordered stages ---

    def _run_ordered(self, passage: Passage, stage: Stage) -> Iterator[Output]:
        while passage.position < len(stage.steps):
            replace_picture(passage, stage.steps[: passage.position])  # a step that hung hides its picture too
            step = stage.steps[passage.position]
            passage.position += 1
            if isinstance(passage.item, Barrier):
                yield from self._take_state(passage, step)
            elif self._runs(passage, step):
                yield from self._book(passage, step, self._call_ordered(passage, step))
        replace_picture(passage, stage.steps)
        passage.position = 0
        passage.stage += 1

    def _runs(self, passage: Passage, step: Step) -> bool:
        if isinstance(passage.item, FrameItem):
            return step.index in passage.item.due.steps
        return step.index not in self.health.off

    def _call_ordered(self, passage: Passage, step: Step) -> Outcome:
        of_frame = isinstance(passage.item, FrameItem)
        if step.index in self.health.off:
            return OFF
        if of_frame and not has_needs(step, passage.results):
            return MISSING
        past = Results(passage.results, step.plan.inputs, passage.emitted())
        stamp = partial(stamp_events, self._info, step, passage.item, self._emitted_before(passage, step))
        run = partial(process, passage.item, passage.frame, step, past)
        outcome = self._caller(step, partial(call, step.name, step.plugin, run, stamp))
        # results given outside a frame have no frame to belong to
        return outcome if of_frame else replace(outcome, results=())

    def _emitted_before(self, passage: Passage, step: Step) -> int:
        """Return the number of events of this step at the same frame, over `process`, `on_time` and `flush`."""
        index, count = self._counts.get(step.name, (-1, 0))
        return count if index == passage.item.moment.frame_index else 0

    def _take_state(self, passage: Passage, step: Step) -> Iterator[Output]:
        """Read a plugin's state now, as plain values: the plugin's object changes with the next frame."""
        if not isinstance(step.plugin, StreamPlugin) or step.index in self.health.off:
            return
        failures = self.health.in_a_row(step.index)
        outcome, state = self._caller(step, partial(read_state, step.plugin))
        if outcome is not None:
            passage.spoilt = True
            yield from self._book(passage, step, outcome)
            return
        passage.states[step.name] = {"state": state, "emitted": self._counts.get(step.name), "failures": failures}

    # --- outputs ---

    def _book(self, passage: Passage, step: Step, outcome: Outcome) -> Iterator[Output]:
        """Take an outcome in order: results, events, failures."""
        stuck = step.index in passage.hung and step.index not in self.health.off
        passage.verdicts[step.index] = "hung" if stuck else outcome.verdict
        if outcome.events:
            passage.events[step.index] = (*passage.events.get(step.index, ()), *outcome.events)
            before = self._emitted_before(passage, step)
            self._counts[step.name] = (passage.item.moment.frame_index, before + len(outcome.events))
        disabled = self.health.record(step.index, outcome, final=isinstance(passage.item, End))
        if outcome.verdict == "failed":
            yield self._failure(passage, step, outcome, disabled)
        if stuck:
            self.health.switch_off(step.index, hung(step.timeout_s).error)
            yield self._failure(passage, step, replace(hung(step.timeout_s), trace=passage.hung[step.index]))
        passage.results.update({(step.name, type(result)): result for result in outcome.results})

    def _failure(self, passage: Passage, step: Step, outcome: Outcome, disabled: str = "") -> Failure:
        given = CallInput(
            moment=passage.item.moment,
            frame=passage.frame,
            clip=passage.due.clips.get(step.index),
            results=dict(passage.results),
            reason=reason_of(passage.item),
        )
        return Failure(step=step, outcome=outcome, given=given, disabled=disabled)

    def _finish(self, passage: Passage) -> Iterator[Output]:
        item = passage.item
        del self._order.passages[passage.sequence]
        if isinstance(item, Barrier):
            yield Snapshot(number=item.number, states=None if passage.spoilt else passage.states)
            return
        self.ended = isinstance(item, End)
        reason = reason_of(item)
        assert reason != "barrier"
        yield Record(
            stream=self._info,
            index=item.moment.frame_index,
            pts_ns=item.moment.pts_ns,
            captured_ns=item.moment.captured_ns,
            results={key: found for key, found in passage.results.items() if isinstance(found, Result)},
            events=passage.emitted(),
            verdicts={self.steps[index].name: verdict for index, verdict in sorted(passage.verdicts.items())},
            frame=passage.frame,
            reason=reason,
            gives=self._gives,
        )


def _restore(step: Step, plugin: StreamPlugin[Any], state: Mapping[str, Any]) -> None:
    try:
        restore_state(plugin, state)
    except Exception as error:
        raise PluginError(
            f"plugin {step.name} can't continue from its stored state: {describe(error)}; run the "
            "version that stored it, or remove checkpoints.sqlite in runtime.state to start afresh"
        ) from error


__all__ = ["ChainCore"]
