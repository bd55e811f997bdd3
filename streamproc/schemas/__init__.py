"""Published JSON Schemas."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def event_schema() -> dict[str, Any]:
    """The schema that every event record holds to, whichever sink wrote it (JSON Schema 2020-12)."""
    text = (files(__name__) / "event.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


__all__ = ["event_schema"]
