"""Form of a configuration file. Options of sources, plugins and sinks are checked by their own models later."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from streamproc.config.plan import FlowMethod, OnError
from streamproc.options import Duration

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(B|kB|KB|KiB|MB|MiB|GB|GiB)\s*")
_SIZE_UNITS = {"B": 1, "kB": 10**3, "KB": 10**3, "KiB": 2**10, "MB": 10**6, "MiB": 2**20, "GB": 10**9, "GiB": 2**30}


def parse_size(value: Any) -> int:
    """Return the bytes of a text such as `64MiB`."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"expected a size with its unit, such as 64MiB or 500MB, got {value!r}")
    return round(float(match[1]) * _SIZE_UNITS[match[2]])


Size = Annotated[
    int, BeforeValidator(parse_size), WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*([kKMG]i?)?B$"})
]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class Section(BaseModel):
    """Base of all sections: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Used(Section):
    """A source or sink: its type and its own options."""

    type: str = Field(description="name of an installed one, or module:Class for code that isn't packaged yet")
    options: dict[str, Any] = Field(default_factory=dict, description="its own options")


class PluginSection(Used):
    """A plugin that chains may use."""

    rate: float | None = Field(
        None, gt=0, description="processed frames per second of media time (default: every frame)"
    )
    inputs: dict[str, str] = Field(
        default_factory=dict,
        description="which plugin's result is meant where several give it, such as {tracks: people}",
    )
    on_error: OnError = Field(
        "skip", description="skip: no result for that frame; disable: off at the first failure; stop: end the run"
    )
    max_failures: int = Field(10, ge=1, description="failures in a row after which the plugin is switched off")
    timeout: Duration = Field(60 * 10**9, gt=0, description="a call that takes longer counts as hung")


class ChainEntry(Section):
    """Step of a chain: a plugin's name, or a section with the stream's own options for it."""

    use: str = Field(description="name under `plugins`")
    options: dict[str, Any] = Field(
        default_factory=dict, description="options that replace the plugin's for this stream"
    )
    rate: float | None = Field(None, gt=0, description="rate that replaces the plugin's for this stream")


class FlowSection(Section):
    """Optical flow, computed once a frame where some plugin wants it."""

    method: FlowMethod = Field("dis", description="dis (dense inverse search), farneback, or lk (sparse Lucas-Kanade)")
    preset: Literal["ultrafast", "fast", "medium"] = Field("fast", description="for dis: speed against accuracy")
    width: int = Field(320, ge=16, le=4096, description="width of the flow's grid in pixels")


class StreamDefaults(Section):
    """Defaults of all streams; each stream may override them."""

    rate: float | None = Field(
        None, gt=0, description="processed frames per second of media time (default: every frame)"
    )
    chain: tuple[ChainEntry, ...] = Field((), description="plugins in order: names, or {use: NAME, options: {...}}")
    sinks: tuple[str, ...] = Field((), description="names under `sinks`")
    flow: FlowSection = Field(FlowSection(), description="how optical flow is computed")
    buffer: Size = Field(64 * 2**20, ge=2**20, description="most memory that frames in flight may hold, such as 64MiB")
    reconnect: Duration = Field(10**9, gt=0, description="first wait before a lost source is opened again; doubles")
    reconnect_max: Duration = Field(10 * 10**9, gt=0, description="longest wait before a lost source is opened again")


class StreamSection(StreamDefaults):
    """A named sequence of frames from one source through one chain."""

    source: Used = Field(description="a path or address, or {type: NAME, options: {...}}")
    identity: str | None = Field(None, description="what event ids are made from instead of the input's own identity")


class RuntimeSection(Section):
    """Settings of the whole run."""

    workers: int | None = Field(None, ge=1, le=256, description="threads for pure plugins (default: one a core)")
    state: Path = Field(Path(".streamproc"), description="folder for the outbox, checkpoints and repro bundles")
    commit: Duration = Field(10**9, gt=0, description="wall-clock time between commits of a resumable source")
    drain: Duration = Field(
        10 * 10**9,
        ge=0,
        description="how long the end of a run waits for network sinks, and a stopped run for whatever hangs",
    )
    call_limit: Duration = Field(
        120 * 10**9, gt=0, description="a call of a source or sink that takes longer counts as hung: it is given up"
    )
    open_limit: Duration = Field(
        600 * 10**9, gt=0, description="a plugin that takes longer to open counts as hung: its stream fails"
    )


class Document(Section):
    """A streamproc configuration."""

    version: Literal[1] = Field(description="the version of this format")
    streams: dict[Name, StreamSection] = Field(min_length=1, description="the streams by name")
    plugins: dict[Name, PluginSection] = Field(default_factory=dict, description="the plugins by name")
    sinks: dict[Name, Used] = Field(default_factory=dict, description="the sinks by name")
    defaults: StreamDefaults = Field(StreamDefaults(), description="what streams have in common")
    runtime: RuntimeSection = Field(RuntimeSection(), description="what concerns the whole run")


__all__ = [
    "ChainEntry",
    "Document",
    "FlowSection",
    "PluginSection",
    "RuntimeSection",
    "Section",
    "StreamDefaults",
    "StreamSection",
    "Used",
    "parse_size",
]
