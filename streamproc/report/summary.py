"""An event in a few words, for tables and captions."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from streamproc.errors import redact

_ENVELOPE = frozenset({"stream", "plugin", "phase", "episode", "start_s", "end_s", "captured", "frame", "score"})
_FIRST = ("zone", "line", "rule", "direction", "count")
_SHOWN_APART = frozenset({*_FIRST, "box", "label", "track_id", "name", "text"})


def summary(data: Mapping[str, Any]) -> str:
    """Summarise an event from its `data`: subject, text, common fields, then the plugin's own fields.

    >>> summary({"label": "person", "track_id": 7, "zone": "yard", "speed": 1.25})
    'person #7, zone yard, speed 1.25'
    >>> summary({"text": "A person walks to the right.", "template": "walk"})
    'A person walks to the right., template walk'
    """
    who = " ".join(
        f"{mark}{data[key]}" for key, mark in (("label", ""), ("name", ""), ("track_id", "#")) if key in data
    )
    said = str(data.get("text", ""))
    first = [f"{key} {data[key]}" for key in _FIRST if key in data]
    own = [
        f"{key} {_short(value)}"
        for key, value in data.items()
        if key not in _SHOWN_APART and key not in _ENVELOPE and isinstance(value, str | int | float)
    ]
    return ", ".join([*filter(None, (who, said)), *first, *own])


def _short(value: str | int | float) -> str:
    return f"{round(value, 3):g}" if isinstance(value, float) else str(value)


def text(value: object) -> str:
    """Escape text from outside as HTML, without secrets."""
    return escape(redact(str(value)))


__all__ = ["summary", "text"]
