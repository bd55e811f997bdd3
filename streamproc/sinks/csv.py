"""Events as a table of comma-separated values, for spreadsheets and data frames."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from streamproc.events import Event
from streamproc.sinks.appending import LinesSink

_PLAIN = ("label", "score", "track_id", "zone", "line", "direction", "count")
_BOX = ("x1", "y1", "x2", "y2")
COLUMNS = (
    "id", "type", "phase", "stream", "plugin", "start_s", "end_s", "captured", "frame", *_PLAIN, *_BOX, "data",
)  # fmt: skip
"""`data` holds what has no column of its own, as JSON; a missing value is an empty cell"""
_HEAD = frozenset({"phase", "stream", "plugin", "start_s", "end_s", "captured", "frame"})


class CsvSink(LinesSink):
    """Writes each event as one row of a CSV file (RFC 4180 quoting, UTF-8, LF line ends, one line a row).

    Delivery: at least once; a repeated event has the id of the first. Rows are whole even after `kill -9`.
    """

    header = ",".join(COLUMNS)

    def line(self, event: Event) -> str:
        """The event as one row."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(row(event))
        return text.getvalue()


def row(event: Event) -> list[str]:
    """The event's cells, in the order of `COLUMNS`."""
    record = event.to_json()
    data: dict[str, Any] = {**record["data"], "id": record["id"], "type": record["type"]}
    box = data.get("box")
    if isinstance(box, list) and len(box) == len(_BOX):
        data.update(zip(_BOX, box, strict=True))
    named = {"id", "type", "box", *_HEAD, *_PLAIN, *_BOX}
    other = {key: value for key, value in data.items() if key not in named}
    data["data"] = json.dumps(other, ensure_ascii=False, separators=(",", ":"))
    return [_cell(data.get(name)) for name in COLUMNS]


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return " ".join(text.splitlines()) if "\n" in text or "\r" in text else text


__all__ = ["COLUMNS", "CsvSink", "row"]
