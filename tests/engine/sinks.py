"""Sinks that note their calls and go wrong on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from streamproc import Event, Frame, Options
from streamproc.config.plan import SinkPlan
from streamproc.errors import SinkError
from streamproc.record import Record
from streamproc.sink import EventSink, FrameSink, RecordSink, SinkContext


class Notes:
    """Notes every call; goes wrong at `at` in the way of `wrong`, as often as `times` says."""

    at = ""
    times = 10**9
    calls: list[str]
    got: list[Any]

    def wrong(self) -> None:
        raise SinkError("on purpose")

    def note(self, call: str) -> None:
        self.calls.append(call)
        if call == self.at and self.calls.count(call) <= self.times:
            self.wrong()

    def open(self, context: SinkContext) -> None:
        self.note("open")

    def flush(self) -> None:
        self.note("flush")

    def close(self) -> None:
        self.note("close")


class Recorder(Notes, EventSink[Options]):
    """For events: collects their ids."""

    def write(self, events: Sequence[Event]) -> None:
        self.note("write")
        self.got.extend(event.id for event in events)


class FrameRecorder(Notes, FrameSink[Options]):
    """For frames: collects their indices."""

    def write(self, frames: Sequence[Frame]) -> None:
        self.note("write")
        self.got.extend(frame.index for frame in frames)


class RecordRecorder(Notes, RecordSink[Options]):
    """For records: collects them."""

    def write(self, records: Sequence[Record]) -> None:
        self.note("write")
        self.got.extend(records)


def notes(plan: SinkPlan) -> Any:
    """The class of a sink's plan, which holds its notes."""
    return plan.cls


def sink(name: str, base: type[Any] = Recorder, **members: Any) -> SinkPlan:
    """The plan of a recorder of its own class, so that its notes can be read from the class."""
    cls = type(name.title(), (base,), {"calls": [], "got": [], **members})
    return SinkPlan(name=name, cls=cls, options=Options())


__all__ = ["FrameRecorder", "Notes", "RecordRecorder", "Recorder", "notes", "sink"]
