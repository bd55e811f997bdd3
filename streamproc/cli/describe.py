"""Says which options a model takes: for `streamproc plugins NAME` and for the reference in the documentation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

_DEEPEST = 4
_LIMITS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
_TIMES = (("h", 3600 * 10**9), ("min", 60 * 10**9), ("s", 10**9), ("ms", 10**6), ("us", 1000))
_SIZES = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))


@dataclass(frozen=True, slots=True)
class Row:
    """One option."""

    key: str
    """dotted; `NAME` stands for a name of the user's own, `[]` for each entry of a list"""
    type: str
    default: str
    """as the user would write it; `required` where there is none"""
    text: str


def describe(model: type[BaseModel]) -> list[Row]:
    """All options of a model and of the models inside it, in the order in which they were written down."""
    schema = model.model_json_schema()
    return list(_rows(schema, schema.get("$defs", {}), "", 0))


def _rows(schema: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str, depth: int) -> Iterator[Row]:
    required = set(schema.get("required", ()))
    for key, part in schema.get("properties", {}).items():
        default = "required" if key in required else _default(part)
        yield Row(prefix + key, _type(part, definitions), default, part.get("description", ""))
        inner = _inner(part, definitions)
        if inner is not None and depth < _DEEPEST:
            suffix, found = inner
            yield from _rows(found, definitions, f"{prefix}{key}{suffix}.", depth + 1)


def _inner(part: Mapping[str, Any], definitions: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """The model inside an option, and what stands between the option's name and the model's keys."""
    if "$ref" in part:
        found = definitions[part["$ref"].rsplit("/", 1)[-1]]
        return ("", found) if "properties" in found else None
    for option in (*part.get("anyOf", ()), *part.get("allOf", ())):
        if (inner := _inner(option, definitions)) is not None:
            return inner
    for suffix, member in (("[]", part.get("items")), (".NAME", _of_names(part))):
        if isinstance(member, dict) and (inner := _inner(member, definitions)) is not None:
            return suffix + inner[0], inner[1]
    return None


def _of_names(part: Mapping[str, Any]) -> Any:
    """Describe the values of a mapping whose names the user chooses."""
    found = next(iter(part.get("patternProperties", {}).values()), part.get("additionalProperties"))
    return found if isinstance(found, dict) else None


def _type(part: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:  # noqa: PLR0911 - one answer a case
    if "const" in part:
        return json.dumps(part["const"])
    if "enum" in part:
        return " | ".join(map(str, part["enum"]))
    if "anyOf" in part:
        kinds = [_type(option, definitions) for option in part["anyOf"] if option.get("type") != "null"]
        return " | ".join(dict.fromkeys(kinds))
    if "$ref" in part:
        found = definitions[part["$ref"].rsplit("/", 1)[-1]]
        return "mapping" if "properties" in found else _type(found, definitions)
    if part.get("type") == "array":
        entries: Mapping[str, Any] = part.get("items") or next(iter(part.get("prefixItems", ())), {})
        return f"list of {_type(entries, definitions)}" if entries else "list"
    if part.get("type") == "object":
        return "mapping of names" if _of_names(part) else "mapping"
    return _scalar(part)


def _scalar(part: Mapping[str, Any]) -> str:
    if unit := _unit(part):
        return unit
    name = {"string": "text", "boolean": "true | false"}.get(part.get("type", ""), str(part.get("type", "anything")))
    return " ".join([name, *(f"{sign} {part[key]}" for key, sign in _LIMITS.items() if key in part)])


def _unit(part: Mapping[str, Any]) -> str:
    pattern = str(part.get("pattern", ""))
    if "min|h" in pattern:
        return "duration"
    return "size" if pattern.endswith("?B$") else ""


def _default(part: Mapping[str, Any]) -> str:
    value = part.get("default")
    if value is None or value in ([], {}):
        return ""
    kinds = {_unit(option) for option in (part, *part.get("anyOf", ()))}
    if isinstance(value, int) and not isinstance(value, bool) and kinds & {"duration", "size"}:
        return _written(value, _TIMES if "duration" in kinds else _SIZES, "s" if "duration" in kinds else "B")
    if isinstance(value, dict):
        return ""  # its own rows say it
    return value if isinstance(value, str) else json.dumps(value)


def _written(value: int, units: tuple[tuple[str, int], ...], least: str) -> str:
    """A number of nanoseconds or bytes with its unit, as in a configuration.

    >>> _written(2_500_000_000, _TIMES, "s"), _written(64 * 2**20, _SIZES, "B"), _written(0, _TIMES, "s")
    ('2.5s', '64MiB', '0s')
    """
    for name, size in units:
        if value >= size and value * 1000 % size == 0:
            return f"{value / size:g}{name}"
    return f"{value}{least if value == 0 or least == 'B' else 'ns'}"


__all__ = ["Row", "describe"]
