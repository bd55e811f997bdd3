"""Options of plugins, sources and sinks: frozen pydantic models with durations that carry their unit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Generic, TypeVar, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.fields import FieldInfo

_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 10**9,
    "min": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86400 * 10**9,
}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ns|us|ms|s|min|h|d)\s*")


def parse_duration(value: Any) -> int:
    """Return the nanoseconds of a text such as `2s`, `500ms`, `1.5min`, `1h`.

    Raises `ValueError` for a number without a unit, which would be ambiguous.
    """
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"expected a duration with its unit, such as 2s, 500ms or 1min, got {value!r}")
    return round(Fraction(match[1]) * _UNITS_NS[match[2]])


def seconds(value: float) -> int:
    """Return `value` seconds as nanoseconds, for defaults in code."""
    return round(value * 10**9)


Duration = Annotated[
    int,
    BeforeValidator(parse_duration),
    PlainSerializer(lambda value: f"{value}ns"),
    WithJsonSchema({"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*(ns|us|ms|s|min|h|d)\s*$"}),
]
"""A time span: given with its unit (`2s`), read as an int of nanoseconds; give defaults as `seconds(2)`."""


def is_duration(field: FieldInfo) -> bool:
    """Return whether a field of an options class is a `Duration`."""
    return any(getattr(rule, "func", None) is parse_duration for rule in field.metadata)


class Options(BaseModel):
    """Base class of options: frozen, unknown keys refused. Give each field limits and a description."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=False, protected_namespaces=(), allow_inf_nan=False
    )


OptionsT = TypeVar("OptionsT", bound=Options)


@dataclass(frozen=True, slots=True)
class Mistake:
    """Mistake in an option whose form is right, such as the name of an unknown model."""

    option: tuple[str | int, ...]
    """its place: keys and indices from the plugin's options on, such as `("labels", 0)`"""
    message: str
    """value found, value expected, what to do"""
    at_key: bool = False
    """whether the key itself is wrong, not its value"""


class Configurable(Generic[OptionsT]):
    """Base of classes with options: `class Dark(FramePlugin[DarkOptions])` names their class."""

    options_type: ClassVar[type[Options]] = Options
    wrong_options: ClassVar[type | None] = None
    """type argument of the class that isn't derived from `Options`"""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        for base in getattr(cls, "__orig_bases__", ()):
            for argument in get_args(base) if isinstance(get_origin(base), type) else ():
                if isinstance(argument, type) and issubclass(argument, Options):
                    cls.options_type, cls.wrong_options = argument, None
                elif isinstance(argument, type) and argument is not Any:
                    cls.wrong_options = argument

    def __init__(self, options: OptionsT) -> None:
        """Store the options; do nothing heavy here."""
        self.options = options


__all__ = [
    "Configurable",
    "Duration",
    "Field",
    "Mistake",
    "Options",
    "OptionsT",
    "is_duration",
    "parse_duration",
    "seconds",
]
