"""Events on standard output: readable lines, or JSON for another program."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from streamproc.errors import SinkError
from streamproc.events import Event
from streamproc.options import Field, Options
from streamproc.sink import EventSink, SinkContext
from streamproc.sinks.jsonl import json_line

_TOLD_APART = frozenset({"label", "track_id"})
"""data that the readable line puts first"""


class StdoutOptions(Options):
    """Options of the `stdout` sink."""

    format: Literal["text", "json"] = Field(
        "text", description="text: a readable line; json: one CloudEvents object a line"
    )


class StdoutSink(EventSink[StdoutOptions]):
    """Writes each event as a line to standard output. Delivery: at least once, as long as somebody reads.

    Who closes the pipe (`| head -1`) wants no more: the rest is passed over.
    """

    _read = True

    def open(self, context: SinkContext) -> None:
        """Do nothing: there is nothing to open."""

    def write(self, events: Sequence[Event]) -> None:
        """Write the events' lines; raises `SinkError` where that fails."""
        line = json_line if self.options.format == "json" else text_line
        self._out("".join(line(event) for event in events))

    def flush(self) -> None:
        """Flush standard output."""
        self._out("")

    def _out(self, text: str) -> None:
        if not self._read:
            return
        # during a run of the command line, `sys.stdout` logs what plugins print and holds the real one behind it
        stdout = getattr(sys.stdout, "behind", sys.stdout)
        if stdout is None:  # the program was started without one
            raise SinkError("there is no standard output to write to; open it, or use another sink")
        try:
            stdout.write(text)
            stdout.flush()
        except BrokenPipeError:
            self._read = False
        except (OSError, ValueError) as error:  # ValueError: it was closed
            raise SinkError(f"standard output can't be written: {error}") from error


def text_line(event: Event) -> str:
    """Return one readable line: media time, stream, type, phase, subject, and the rest as key=value.

    >>> from streamproc.events import Event
    >>> event = Event(type="zone.left", phase="end", start_ns=0, end_ns=2_500_000_000, frame_index=50,
    ...               pts_ns=2_500_000_000, stream="dock", data={"label": "person", "track_id": 7, "zone": "yard"})
    >>> text_line(event)
    '0:00:02.500  dock  zone.left end  person #7  zone=yard lasted=2.5s\\n'
    """
    record: Mapping[str, Any] = event.to_json()["data"]
    subject = [str(event.data["label"])] if "label" in event.data else []
    if "track_id" in event.data:
        subject.append(f"#{event.data['track_id']}")
    rest = [f"{key}={record[key]}" for key in event.data if key not in _TOLD_APART]
    if event.score is not None:
        rest.append(f"score={record['score']}")
    if event.phase == "end" and event.end_ns is not None:
        rest.append(f"lasted={(event.end_ns - event.start_ns) / 1e9:.1f}s")
    what = event.type if event.phase == "instant" else f"{event.type} {event.phase}"
    parts = [clock(event.pts_ns), event.stream, what, " ".join(subject), " ".join(rest)]
    return _CONTROLS.sub(_shown, "  ".join(part.replace("\n", " ") for part in parts if part)) + "\n"


_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _shown(control: re.Match[str]) -> str:
    """Return a control character as text: the content of an event must not control a terminal."""
    return f"\\x{ord(control[0]):02x}"


def clock(time_ns: int) -> str:
    """Media time as h:mm:ss.mmm.

    >>> clock(3_723_004_000_000)
    '1:02:03.004'
    """
    whole, ms = divmod(round(time_ns / 1_000_000), 1000)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}.{ms:03d}"


__all__ = ["StdoutOptions", "StdoutSink", "clock", "text_line"]
