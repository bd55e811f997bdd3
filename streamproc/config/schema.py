"""JSON Schema of configuration files, for editors, with all installed sources, plugins and sinks."""

from __future__ import annotations

from typing import Any

from streamproc.config.document import Document
from streamproc.errors import StreamprocError
from streamproc.registry import Kind, Registry


def config_schema(registry: Registry) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a configuration with the options of everything installed."""
    schema = Document.model_json_schema()
    definitions = schema["$defs"]
    chain = {"type": "array", "items": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/ChainEntry"}]}}
    for section in ("StreamDefaults", "StreamSection"):
        definitions[section]["properties"]["chain"] = {
            **chain, "description": definitions[section]["properties"]["chain"]["description"],
        }  # fmt: skip
    definitions["Sink"] = {**definitions["Used"], "allOf": _conditions("sink", registry, definitions)}
    definitions["Source"] = {**definitions["Used"], "allOf": _conditions("source", registry, definitions)}
    definitions["PluginSection"]["allOf"] = _conditions("plugin", registry, definitions)
    source = definitions["StreamSection"]["properties"]["source"]
    definitions["StreamSection"]["properties"]["source"] = {
        "description": source.get("description", ""),
        "anyOf": [{"type": "string"}, {"type": "integer"}, {"$ref": "#/$defs/Source"}],
    }
    sinks = schema["properties"]["sinks"]
    for pattern in sinks.get("patternProperties", {}):
        sinks["patternProperties"][pattern] = {"$ref": "#/$defs/Sink"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_with_units(schema)}


def _with_units(node: Any) -> Any:
    """Turn defaults of durations and sizes, in code numbers of nanoseconds or bytes, into their form in a file."""
    if isinstance(node, list):
        return [_with_units(item) for item in node]
    if not isinstance(node, dict):
        return node
    plain = {key: _with_units(item) for key, item in node.items()}
    if isinstance(plain.get("default"), int) and plain.get("type") == "string":
        unit, size = ("MiB", 2**20) if plain.get("pattern", "").endswith("B$") else ("ms", 10**6)
        plain["default"] = f"{plain['default'] / size:g}{unit}"
    return plain


def _conditions(kind: Kind, registry: Registry, definitions: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a condition per type for its options; the options of a type that can't be loaded are left open."""
    found = []
    for name in registry.names(kind):
        try:
            cls: Any = getattr(registry, kind)(name)
        except StreamprocError:
            continue
        options = cls.options_type.model_json_schema(ref_template="#/$defs/{model}")
        definitions.update(options.pop("$defs", {}))
        found.append({
            "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
            "then": {"properties": {"options": options}},
        })  # fmt: skip
    return found


__all__ = ["config_schema"]
