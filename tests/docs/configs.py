"""Completes the pieces of configuration that pages show, so that they can be checked as whole ones."""

from __future__ import annotations

import io
import re
from typing import Any

from ruamel.yaml import YAML

from streamproc import Registry
from streamproc.frames import Flow

SECTIONS = frozenset({"version", "streams", "plugins", "sinks", "defaults", "runtime"})
GIVERS = {
    "Detections": ("people", {"type": "detection"}),
    "Tracks": ("tracks", {"type": "tracking"}),
    "Classification": ("what", {"type": "classification"}),
    "Segmentation": ("classes", {"type": "segmentation"}),
    "Poses": ("keypoints", {"type": "pose", "options": {"mode": "bottom-up"}}),
    "Faces": ("faces", {"type": "faces"}),
    "FaceTracks": ("face_tracks", {"type": "face_tracks"}),
}
"""who gives a result that a shown plugin needs and the piece doesn't name"""
FENCE = {
    "type": "rules",
    "options": {"zones": {"yard": {"polygon": [[0.1, 0.5], [0.9, 0.5], [0.9, 1], [0.1, 1]], "labels": ["person"]}}},
}
_VARIABLE = re.compile(r"\$\{([A-Z_]+)\}")


def whole(piece: str, registry: Registry) -> str:
    """A complete configuration around `piece`: a section, keys of a stream, or a whole configuration already."""
    values = YAML(typ="safe").load(piece)
    if not isinstance(values, dict):
        raise TypeError(f"not a piece of a configuration: {piece!r}")
    if "version" in values:
        return piece
    stream = {key: values.pop(key) for key in list(values) if key not in SECTIONS or isinstance(values[key], list)}
    streams = values.setdefault("streams", {"example": {}})
    plugins, sinks = values.setdefault("plugins", {}), values.setdefault("sinks", {})
    for section in streams.values():
        section.update({key: value for key, value in stream.items() if key not in section})
        section.setdefault("source", {"type": "synthetic"})
        section.setdefault("chain", list(plugins))
        section["chain"] = _with_givers(section["chain"], plugins, registry)
        for name in section.get("sinks", ()):
            sinks.setdefault(name, {"type": "jsonl", "options": {"path": f"{name}.jsonl"}})
    out = io.StringIO()
    YAML().dump({"version": 1, **values}, out)
    return out.getvalue()


def environment(text: str) -> dict[str, str]:
    """Values for the variables that a configuration names."""
    return {name: "rtsp://camera.example/live" if "URL" in name else "quiet" for name in _VARIABLE.findall(text)}


def _with_givers(chain: list[Any], plugins: dict[str, Any], registry: Registry) -> list[Any]:
    """The chain with whoever gives what its plugins need in front of them."""
    out: list[Any] = []
    given: set[str] = set()
    stand_ins = {**dict(GIVERS.values()), "fence": FENCE}
    for entry in chain:
        name = entry["use"] if isinstance(entry, dict) else entry
        plugins.setdefault(name, stand_ins.get(name, {"type": name}))
        _add(entry, name, plugins, registry, out, given)
    return out


def _add(entry: Any, name: str, plugins: dict[str, Any], registry: Registry, out: list[Any], given: set[str]) -> None:
    cls = registry.plugin(plugins[name]["type"])
    for kind in cls.needs:
        if kind is Flow or kind.__name__ in given:
            continue
        giver, section = GIVERS[kind.__name__]
        plugins.setdefault(giver, section)
        _add(giver, giver, plugins, registry, out, given)
    if entry not in out:
        out.append(entry)
    given.update(kind.__name__ for kind in cls.gives)


__all__ = ["environment", "whole"]
