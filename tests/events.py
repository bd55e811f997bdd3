"""Checks of event records that tests of all parts share."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema


@cache
def _validator() -> Any:
    schema = json.loads((files("streamproc") / "schemas" / "event.schema.json").read_text(encoding="utf-8"))
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    return kind(schema, format_checker=kind.FORMAT_CHECKER)


def check_record(record: dict[str, Any]) -> None:
    """Raise unless `record` is valid by the JSON Schema in the package."""
    _validator().validate(record)
