"""Tasks: run one pure stage of one frame, on any thread or process."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from streamproc.chain.call import FLOW, has_needs, process, stamp_events
from streamproc.chain.caller import Caller
from streamproc.chain.flow import frame_flow
from streamproc.chain.guard import MISSING, OFF, Outcome, call
from streamproc.chain.item import Attempt, FrameItem, Task
from streamproc.chain.step import Step
from streamproc.config.plan import FlowPlan
from streamproc.errors import describe
from streamproc.events import Event
from streamproc.frames import Flow, StreamInfo
from streamproc.plugin import Results


def run_task(task: Task, info: StreamInfo, flow_plan: FlowPlan, caller: Caller, warn: Callable[[str], None]) -> Attempt:
    """Call the due steps of the task's stage one after the other.

    The outcome counts once the core accepts it in order. warn: called where flow can't be computed; steps that need
    flow are skipped then.
    """
    if not task.steps and task.place:
        return Attempt()
    found = dict(task.results)
    flow = _flow(task, flow_plan, warn)
    if flow is not None:
        found[FLOW, Flow] = flow
    outcomes: dict[int, Outcome] = {}
    for step in task.steps:
        outcome = outcomes[step.index] = _run_step(task, info, step, found, outcomes, caller)
        for result in outcome.results:
            found[step.name, type(result)] = result
    return Attempt(outcomes=outcomes, flow=flow)


def _flow(task: Task, plan: FlowPlan, warn: Callable[[str], None]) -> Flow | None:
    item = task.item
    if task.place or not isinstance(item, FrameItem) or item.before is None:
        return None
    try:
        return frame_flow(plan, item.before, item.frame)
    except Exception as error:  # noqa: BLE001 - a picture that can't be converted
        warn(f"no flow stream={item.frame.stream.name} frame={item.frame.index}: {describe(error)}")
        return None


def _run_step(
    task: Task,
    info: StreamInfo,
    step: Step,
    found: dict[tuple[str, type], Any],
    outcomes: dict[int, Outcome],
    caller: Caller,
) -> Outcome:
    if step.index in task.off:
        return OFF
    if not has_needs(step, found):
        return MISSING
    past = Results(found, step.plan.inputs, _events(task, outcomes))
    stamp = partial(stamp_events, info, step, task.item, 0)
    run = partial(process, task.item, task.frame, step, past)
    return caller(step, partial(call, step.name, step.plugin, run, stamp))


def _events(task: Task, outcomes: dict[int, Outcome]) -> tuple[Event, ...]:
    """Events of earlier steps, in the order of the chain."""
    events = {**task.events, **{index: outcome.events for index, outcome in outcomes.items()}}
    return tuple(event for index in sorted(events) for event in events[index])


__all__ = ["run_task"]
