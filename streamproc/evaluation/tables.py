"""Output of reports as plain columns or JSON, and reading of JSON files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lines with aligned columns: the first to the left, the others, which are numbers, to the right."""
    lines = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    )


def figures(values: Mapping[str, float | int | None]) -> str:
    """One line for each figure: fractions with four decimals, counts whole."""
    return columns(("metric", "value"), [(name, cell(value)) for name, value in values.items()])


def cell(value: float | int | None) -> str:
    """A figure for people; a dash where there is none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def to_json(value: Any) -> str:
    """JSON with floats rounded to 6 decimals; what isn't a number becomes null."""
    return json.dumps(_plain(value), indent=2)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value


def form_of(value: Any) -> str:
    """Return the form of a wrong JSON value, in JSON's own words."""
    names = {dict: "an object", list: "a list", str: "a text", type(None): "null", bool: "true or false"}
    return names.get(type(value), "a number")


def read_json(path: Path) -> Any:
    """The values of a JSON file; `ValueError` names the place that isn't JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None


__all__ = ["cell", "columns", "figures", "form_of", "read_json", "to_json"]
