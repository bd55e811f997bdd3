"""A checked configuration, ready for the engine: classes instead of names, options instead of text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from streamproc.cores import usable_cores
from streamproc.options import Options
from streamproc.plugin import AnyPlugin
from streamproc.sink import AnySink
from streamproc.source import AnySource

OnError = Literal["skip", "disable", "stop"]
FlowMethod = Literal["dis", "farneback", "lk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginPlan:
    """One plugin of one stream's chain."""

    name: str
    cls: type[AnyPlugin]
    options: Options
    rate: float | None = None
    """processed frames per second of media time; None: every frame of the stream's own rate"""
    inputs: Mapping[type, str] = field(default_factory=dict)
    """plugin that gives each class in `needs` and `uses`, where an earlier plugin gives it"""
    on_error: OnError = "skip"
    """skip: this plugin has no result for that frame; disable: off at the first failure; stop: the run ends"""
    max_failures: int = 10
    """failures in a row after which the plugin is switched off"""
    timeout_ns: int = 60 * 10**9
    """a call that takes longer (wall clock) counts as hung: the plugin is switched off"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowPlan:
    """Settings of optical flow, which is computed once a frame if a plugin wants it."""

    method: FlowMethod = "dis"
    preset: Literal["ultrafast", "fast", "medium"] = "fast"
    """for `dis`"""
    width: int = 320
    """width of the grid in pixels; height by the picture's shape; never larger than the picture"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainPlan:
    """A chain of plugins, independent of the source of its frames."""

    chain: tuple[PluginPlan, ...]
    rate: float | None = None
    """processed frames per second of media time; None: every frame"""
    flow: FlowPlan = FlowPlan()


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan(ChainPlan):
    """One configured stream."""

    name: str
    source: type[AnySource]
    source_options: Options
    sinks: tuple[str, ...]
    identity: str | None = None
    """basis of event ids in place of the input's own identity"""
    buffer_bytes: int = 64 * 2**20
    """most memory that this stream's frames in flight may hold"""
    reconnect_ns: int = 10**9
    """first wait before a lost source is opened again; doubles up to `reconnect_max_ns`"""
    reconnect_max_ns: int = 10 * 10**9
    """longest wait before a lost source is opened again"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkPlan:
    """One configured sink."""

    name: str
    cls: type[AnySink]
    options: Options


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimePlan:
    """Settings of the whole run."""

    workers: int = field(default_factory=usable_cores)
    """threads for the pure plugins"""
    state: Path = Path(".streamproc")
    """folder for the outbox, checkpoints and repro bundles; made when something needs it"""
    commit_ns: int = 10**9
    """wall-clock time between two commits of a resumable source"""
    drain_ns: int = 10 * 10**9
    """longest wait at the end of a run for network sinks, before their events stay in the outbox; and of a stopped run
    for calls of sources and sinks"""
    call_limit_ns: int = 120 * 10**9
    """a call of a source or sink that takes longer (wall clock) counts as hung and is abandoned"""
    open_limit_ns: int = 600 * 10**9
    """a plugin that takes longer to open counts as hung: its stream fails"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole run."""

    streams: tuple[StreamPlan, ...]
    sinks: tuple[SinkPlan, ...] = ()
    runtime: RuntimePlan = field(default_factory=RuntimePlan)
    source: Mapping[str, Any] = field(default_factory=dict)
    """the configuration as written, without secrets, for reports and bundles"""
    warnings: tuple[str, ...] = ()
    """doubts about the configuration, in sentences"""


__all__ = [
    "ChainPlan",
    "FlowMethod",
    "FlowPlan",
    "OnError",
    "Plan",
    "PluginPlan",
    "RuntimePlan",
    "SinkPlan",
    "StreamPlan",
]
