"""How a plugin of each kind is called for a ticket."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from streamproc.chain.guard import Outcome
from streamproc.chain.steps import Step
from streamproc.engine.ticket import Ticket
from streamproc.errors import StreamprocError, describe
from streamproc.frames import ArrayPicture, Flow, Frame, PixelCache
from streamproc.plugin import ClipPlugin, FramePlugin, Output, Results, StreamPlugin
from streamproc.replacement import Replacement

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


def replace_picture(ticket: Ticket, done: Sequence[Step]) -> None:
    """Behind a step that gives `Replacement` the frame holds that picture; without one, or of another size, black.

    done: steps that came to an end or hang; what was replaced before stays.
    """
    for step in done:
        if ticket.frame is not None and Replacement in step.plan.cls.gives and step.index not in ticket.replaced:
            ticket.frame = _replaced(ticket.frame, ticket.found.pop((step.name, Replacement), None))
            ticket.replaced |= {step.index}


def _replaced(frame: Frame, found: Replacement | None) -> Frame:
    width, height = frame.size
    rgb = found.rgb if found is not None and found.rgb.shape == (height, width, 3) else None
    picture = ArrayPicture(np.zeros((height, width, 3), np.uint8) if rgb is None else rgb)
    return replace(frame, pixels=PixelCache(picture))


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
