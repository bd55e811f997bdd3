"""Wording of pydantic's mistakes for users who write YAML or JSON and know no Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from streamproc.errors import counted

_KINDS = {
    "path_type": "a path",
    "string_type": "a text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}
_LISTS = frozenset({"tuple_type", "list_type", "set_type", "frozen_set_type"})
_KEYED = frozenset({"dict_type", "mapping_type", "model_type", "model_attributes_type", "dataclass_type"})
_FORMS = {
    r"^[A-Za-z0-9][A-Za-z0-9_.-]*$": "a name of letters, digits, '_', '.' and '-' that begins with a letter or a digit",
    r"^[a-z0-9][a-z0-9._-]*$": "a name of lower-case letters, digits, '.', '_' and '-'",
    "^[0-9a-f]{64}$": "64 hexadecimal digits",
    r"^[A-Za-z0-9._-]+$": "letters, digits, '.', '_' and '-' only",
}
_PLURALS: dict[Any, str] = {float: "numbers", int: "whole numbers", str: "texts", bool: "true or false", Path: "paths"}

_LONG = 200
"""longest text that is shown, in characters"""


def in_words(mistake: Mapping[str, Any], annotation: Any = None) -> str:
    """Return what is expected. mistake: one of pydantic's errors; annotation: of the value, None where unknown."""
    wanted = _wanted(str(mistake["type"]), mistake, annotation)
    if wanted is not None:
        return f"expected {wanted}"
    text = str(mistake["msg"]).removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


def _wanted(kind: str, mistake: Mapping[str, Any], annotation: Any) -> str | None:
    """Return the sentence, None where pydantic's own is good."""
    more = mistake.get("ctx", {})
    wanted = _KINDS.get(kind)
    if kind in _LISTS or (kind == "missing" and isinstance(mistake["loc"][-1], int)):
        wanted = _listed(annotation)
    elif kind in _KEYED:
        wanted = f"keys with values{_known(annotation)}"
    elif kind == "too_short":
        wanted = f"at least {counted(more['min_length'], 'entry', 'entries')}, got {more['actual_length'] or 'none'}"
    elif kind == "too_long":
        wanted = f"at most {counted(more['max_length'], 'entry', 'entries')}, got {more['actual_length']}"
    elif kind == "string_too_short" and more["min_length"] == 1:
        wanted = "a text that isn't empty"
    elif kind == "literal_error":
        wanted = str(more["expected"])
    elif kind == "string_pattern_mismatch":
        wanted = _FORMS.get(more["pattern"], f"a text that fits {more['pattern']}")
    return wanted


def got_in_words(value: Any) -> str:
    """Return a short form of the value; empty where there is none."""
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    if isinstance(value, str) and len(value) > _LONG:
        return f"a text of {len(value)} characters"
    if isinstance(value, str | int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"a list with {counted(len(value), 'entry', 'entries')}"
    return "keys with values" if isinstance(value, Mapping) else ""


def _listed(annotation: Any) -> str:
    kind = _kind(annotation)
    arguments = get_args(kind)
    if get_origin(kind) not in (tuple, list, set, frozenset) or not arguments:
        return "a list"
    if get_origin(kind) is tuple and arguments[-1] is not ...:
        return f"a list of {len(arguments)} {_several(arguments[0])}"
    return f"a list of {_several(arguments[0])}"


def _several(annotation: Any) -> str:
    kind = _kind(annotation)
    if get_origin(kind) in (tuple, list):
        return _listed(kind).replace("a list", "lists", 1)
    if get_origin(kind) is Literal:
        return " or ".join(repr(choice) for choice in get_args(kind))
    return _PLURALS.get(kind, "entries")


def _known(annotation: Any) -> str:
    kind = _kind(annotation)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return f" (known: {', '.join(kind.model_fields)})"
    return ""


def _kind(annotation: Any) -> Any:
    """Return the type itself, without its metadata and without None."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (Union, UnionType):
            branches = [branch for branch in get_args(annotation) if branch is not type(None)]
            if len(branches) != 1:
                return None
            annotation = branches[0]
        else:
            return annotation


__all__ = ["got_in_words", "in_words"]
