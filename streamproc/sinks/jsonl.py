"""Events as lines of JSON: one CloudEvents object per line."""

from __future__ import annotations

import json

from streamproc.events import Event
from streamproc.sinks.appending import LinesSink


class JsonlSink(LinesSink):
    """Writes each event as one line of JSON, a CloudEvents 1.0 object.

    Delivery: at least once; a repeated event has the id of the first. Lines are whole even after `kill -9`.
    """

    def line(self, event: Event) -> str:
        """The event as one line of JSON."""
        return json_line(event)


def json_line(event: Event) -> str:
    """The event as one line of JSON, line break included; the same bytes in every run."""
    return json.dumps(event.to_json(), ensure_ascii=False, separators=(",", ":")) + "\n"


__all__ = ["JsonlSink", "json_line"]
