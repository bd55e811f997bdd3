"""How a plugin of each kind is called for a ticket."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from streamproc.engine.chain import Step
from streamproc.engine.guard import Outcome
from streamproc.engine.ticket import Ticket
from streamproc.errors import MissingInput, StreamprocError, describe
from streamproc.events import Event, Moment
from streamproc.frames import ArrayPicture, Flow, Frame, PixelCache
from streamproc.plugin import ClipPlugin, FramePlugin, Output, Results, StreamPlugin
from streamproc.replacement import Replacement
from streamproc.shots import Shot

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
        return process_in_order(plugin, ticket.frame if plugin.pixels else without_pixels(ticket.frame), past)
    if ticket.mark == "end":
        return plugin.flush(ticket.moment) if ticket.flush else None
    if ticket.mark == "snapshot":
        return None
    return plugin.on_time(ticket.moment, ticket.mark)


def process_in_order(plugin: StreamPlugin[Any], frame: Frame, past: Results) -> Output | None:
    """A stream plugin's output for a frame; where it is the first known of another shot, that of `on_time` before."""
    cut_ns = _cut_before(plugin, past)
    if cut_ns is None:
        return plugin.process(frame, past)
    behind_ns = frame.pts_ns - cut_ns
    captured_ns = None if frame.captured_ns is None else frame.captured_ns - behind_ns
    moment = Moment(pts_ns=cut_ns, frame_index=frame.index, captured_ns=captured_ns)
    ended: Any = plugin.on_time(moment, "cut")
    if ended is None:
        return plugin.process(frame, past)
    if not isinstance(ended, Iterable):
        return cast("Output", ended)  # the check of the output says what is wrong with it
    return _joined((_ended(item, cut_ns) for item in ended), plugin, frame, past)


def _cut_before(plugin: StreamPlugin[Any], past: Results) -> int | None:
    """Media time at which another shot began than that of the plugin's last call; None at its first: it knows nothing.

    Of several plugins that give `Shot` the nearest counts.
    """
    shots = list(past.all(Shot).values())
    if not shots or shots[-1].number == plugin.current_shot:
        return None
    before, plugin.current_shot = plugin.current_shot, shots[-1].number
    return shots[-1].start_ns if before else None


def _ended(item: Any, cut_ns: int) -> Any:
    ends_now = isinstance(item, Event) and item.phase == "end" and item.end_ns is None
    return replace(item, end_ns=cut_ns) if ends_now else item


def _joined(ended: Iterable[Any], plugin: StreamPlugin[Any], frame: Frame, past: Results) -> Iterator[Any]:
    emitted = False
    for item in ended:
        emitted = True
        yield item
    try:
        yield from plugin.process(frame, past) or ()
    except MissingInput:
        if not emitted:  # what ended at the cut would be lost with it
            raise


def kept_state(plugin: StreamPlugin[Any]) -> tuple[Outcome | None, Any]:
    """(None, what `restore_state` takes or None where the plugin has no state), or (why it can't be had, None)."""
    try:
        state = plugin.state()
        if state is None:
            return None, None
        stored = {"version": plugin.state_version, "shot": plugin.current_shot, "state": dict(state)}
        return None, json.loads(json.dumps(stored, allow_nan=False))
    except BaseException as error:  # noqa: BLE001 - a plugin's own fault, as in `call`
        return Outcome("failed", error=f"its state can't be kept: {describe(error)}"), None


def restore_state(plugin: StreamPlugin[Any], stored: Mapping[str, Any]) -> None:
    """Let a plugin go on from what `kept_state` gave; `ValueError` for the state of another version."""
    if set(stored) != {"version", "shot", "state"}:
        raise ValueError("another version of streamproc stored it, in a form that this one doesn't read")
    if stored["version"] != plugin.state_version:
        raise ValueError(f"it has version {stored['version']!r}, this plugin expects {plugin.state_version}")
    plugin.restore(stored["state"])
    plugin.current_shot = stored["shot"]


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
