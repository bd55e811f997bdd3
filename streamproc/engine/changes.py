"""Differences between the streams and sinks at work and those of another plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from streamproc.config.plan import Plan, RuntimePlan, SinkPlan, StreamPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Names of streams and sinks that differ, each in exactly one tuple."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    """streams that are stopped and begin anew"""
    attached: tuple[str, ...] = ()
    detached: tuple[str, ...] = ()
    reattached: tuple[str, ...] = ()
    """sinks whose type or options differ"""
    ignored: tuple[str, ...] = ()
    """settings of the runtime that differ and stay as they are"""

    def __bool__(self) -> bool:
        return any(getattr(self, f.name) for f in fields(self))


def changes_between(
    streams: Mapping[str, StreamPlan], sinks: Mapping[str, SinkPlan], runtime: RuntimePlan, plan: Plan
) -> Changes:
    """Return the changes that turn these streams and sinks into those of `plan`."""
    new_streams = {stream.name: stream for stream in plan.streams}
    new_sinks = {sink.name: sink for sink in plan.sinks}
    reattached = tuple(name for name, sink in sinks.items() if name in new_sinks and new_sinks[name] != sink)
    return Changes(
        added=tuple(name for name in new_streams if name not in streams),
        removed=tuple(name for name in streams if name not in new_streams),
        changed=tuple(name for name, old in streams.items() if name in new_streams and new_streams[name] != old),
        attached=tuple(name for name in new_sinks if name not in sinks),
        detached=tuple(name for name in sinks if name not in new_sinks),
        reattached=reattached,
        ignored=tuple(f.name for f in fields(RuntimePlan) if getattr(plan.runtime, f.name) != getattr(runtime, f.name)),
    )


__all__ = ["Changes", "changes_between"]
