"""How a plugin of each kind is called for a ticket."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from streamproc.engine.chain import Step
from streamproc.engine.guard import Outcome, describe
from streamproc.engine.ticket import Ticket
from streamproc.errors import StreamprocError
from streamproc.frames import Flow, Frame, PixelCache
from streamproc.plugin import ClipPlugin, FramePlugin, Output, Results, StreamPlugin

FLOW = "flow"
"""name under which the engine's own flow stands among the results"""


def has_needs(step: Step, found: dict[tuple[str, type], Any]) -> bool:
    if step.wants_flow and Flow in step.plan.cls.needs and (FLOW, Flow) not in found:
        return False
    return all((step.plan.inputs[kind], kind) in found for kind in step.plan.cls.needs if kind is not Flow)


def process(ticket: Ticket, step: Step, past: Results) -> Output | None:
    """The plugin's own call for this ticket."""
    plugin = step.plugin
    if isinstance(plugin, StreamPlugin):
        return _run_ordered(ticket, plugin, past)
    assert ticket.frame is not None
    if isinstance(plugin, ClipPlugin):
        return plugin.process(ticket.due.clips[step.index].build(ticket.frame), past)
    assert isinstance(plugin, FramePlugin)
    return plugin.process(ticket.frame, past)


def _run_ordered(ticket: Ticket, plugin: StreamPlugin[Any], past: Results) -> Output | None:
    if ticket.mark is None:
        assert ticket.frame is not None
        return plugin.process(ticket.frame if plugin.pixels else without_pixels(ticket.frame), past)
    if ticket.mark == "end":
        return plugin.flush(ticket.moment) if ticket.flush else None
    if ticket.mark == "snapshot":
        return None
    return plugin.on_time(ticket.moment, ticket.mark)


def kept_state(plugin: StreamPlugin[Any]) -> tuple[Outcome | None, Any]:
    """(None, the plugin's state as plain JSON values or None), or (why it can't be had, None)."""
    try:
        state = plugin.state()
        return None, None if state is None else json.loads(json.dumps(dict(state), allow_nan=False))
    except BaseException as error:  # noqa: BLE001 - a plugin's own fault, as in `call`
        return Outcome("failed", error=f"its state can't be kept: {describe(error)}"), None


class _NoPicture:
    """Stands in for the pixels of a frame that a plugin without `pixels = True` gets."""

    width = 0
    height = 0

    def to_rgb(self) -> Any:
        raise StreamprocError("this plugin sees no pixels; set `pixels = True` in its class to get them")

    to_gray = to_rgb


def without_pixels(frame: Frame) -> Frame:
    """The same frame whose pixels can't be asked for."""
    return replace(frame, pixels=PixelCache(_NoPicture()))
