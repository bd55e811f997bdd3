"""Calls of plugins: the method and arguments for each kind of plugin and item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from streamproc.chain.covering import without_pixels
from streamproc.chain.item import Barrier, End, FrameItem, Item, TimeMark
from streamproc.chain.ordered import process_in_order
from streamproc.chain.step import Step
from streamproc.events import Event
from streamproc.frames import Flow, Frame, StreamInfo
from streamproc.plugin import Answer, ClipPlugin, FramePlugin, Output, Results, StreamPlugin
from streamproc.record import Reason
from streamproc.waiting import finished

FLOW = "flow"
"""name under which the engine's own flow stands among the results"""


def has_needs(step: Step, found: Mapping[tuple[str, type], Any]) -> bool:
    """Return whether every result that the step's plugin needs is there."""
    if step.wants_flow and Flow in step.plan.cls.needs and (FLOW, Flow) not in found:
        return False
    return all((step.plan.inputs[kind], kind) in found for kind in step.plan.cls.needs if kind is not Flow)


def process(item: Item, frame: Frame | None, step: Step, past: Results) -> Output | None:
    """Call the plugin for this item and return its output, awaited where the method is `async def`.

    frame: the item's frame as this step observes it.
    """
    output: Output | None = finished(_call(item, frame, step, past), step.timeout_s)
    return output


def _call(item: Item, frame: Frame | None, step: Step, past: Results) -> Answer:
    plugin = step.plugin
    if isinstance(plugin, StreamPlugin):
        return _call_in_order(item, frame, plugin, past)
    assert isinstance(item, FrameItem)
    assert frame is not None
    if isinstance(plugin, ClipPlugin):
        return plugin.process(item.due.clips[step.index].build(frame), past)
    assert isinstance(plugin, FramePlugin)
    return plugin.process(frame, past)


def _call_in_order(item: Item, frame: Frame | None, plugin: StreamPlugin[Any], past: Results) -> Answer:
    if frame is not None:
        return process_in_order(plugin, frame if plugin.pixels else without_pixels(frame), past)
    if isinstance(item, TimeMark):
        return plugin.on_time(item.moment, item.reason)
    return plugin.flush(item.moment) if isinstance(item, End) and item.flush else None


def reason_of(item: Item) -> Reason | Literal["barrier"]:
    """Return the reason for which a plugin is called at this item; empty for a frame."""
    if isinstance(item, TimeMark):
        return item.reason
    if isinstance(item, Barrier):
        return "barrier"
    return "end" if isinstance(item, End) else ""


def stamp_events(info: StreamInfo, step: Step, item: Item, before: int, events: tuple[Event, ...]) -> tuple[Event, ...]:
    """Return the events with place and id. before: number of events that the step has emitted at this frame already."""
    return tuple(event.stamped(info, step.name, before + n, item.moment) for n, event in enumerate(events))
