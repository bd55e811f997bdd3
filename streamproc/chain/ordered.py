"""Ordered plugins: `on_time` at camera cuts, and states with their versions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from streamproc.chain.guard import Outcome
from streamproc.errors import MissingInput, describe
from streamproc.events import Event, Moment
from streamproc.frames import Frame
from streamproc.plugin import Output, Results, StreamPlugin
from streamproc.shots import Shot
from streamproc.waiting import finished


def process_in_order(plugin: StreamPlugin[Any], frame: Frame, past: Results) -> Output | None:
    """Call a stream plugin for a frame; at the first frame known to be of another shot, `on_time` comes before."""
    cut_ns = _cut_before(plugin, past)
    if cut_ns is None:
        output: Output | None = finished(plugin.process(frame, past))
        return output
    behind_ns = frame.pts_ns - cut_ns
    captured_ns = None if frame.captured_ns is None else frame.captured_ns - behind_ns
    moment = Moment(pts_ns=cut_ns, frame_index=frame.index, captured_ns=captured_ns)
    ended: Any = finished(plugin.on_time(moment, "cut"))
    if ended is None:
        return finished(plugin.process(frame, past))  # type: ignore[no-any-return]
    if not isinstance(ended, Iterable):
        return cast("Output", ended)  # the check of the output says what is wrong with it
    return _joined((_ended(item, cut_ns) for item in ended), plugin, frame, past)


def _cut_before(plugin: StreamPlugin[Any], past: Results) -> int | None:
    """Return the media time at which another shot began since the plugin's last call; None at its first call.

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
        yield from finished(plugin.process(frame, past)) or ()
    except MissingInput:
        if not emitted:  # else the events of `on_time` would be lost with the frame
            raise


def read_state(plugin: StreamPlugin[Any]) -> tuple[Outcome | None, Any]:
    """Return (None, a state for `restore_state` or None if the plugin has none), or (the failure, None)."""
    try:
        state = plugin.state()
        if state is None:
            return None, None
        stored = {"version": plugin.state_version, "shot": plugin.current_shot, "state": dict(state)}
        return None, json.loads(json.dumps(stored, allow_nan=False))
    except BaseException as error:  # noqa: BLE001 - a plugin's own fault, as in `call`
        return Outcome("failed", error=f"its state can't be stored: {describe(error)}", cause=error), None


def restore_state(plugin: StreamPlugin[Any], stored: Mapping[str, Any]) -> None:
    """Let a plugin continue from a state of `read_state`; `ValueError` for the state of another version."""
    if set(stored) != {"version", "shot", "state"}:
        raise ValueError("another version of streamproc stored it, in a form that this one doesn't read")
    if stored["version"] != plugin.state_version:
        raise ValueError(f"it has version {stored['version']!r}, this plugin expects {plugin.state_version}")
    plugin.restore(stored["state"])
    plugin.current_shot = stored["shot"]


__all__ = ["process_in_order", "read_state", "restore_state"]
