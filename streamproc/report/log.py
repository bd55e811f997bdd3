"""Event log: a sink that collects the events of a run for its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from streamproc.events import Event
from streamproc.options import Field, Options
from streamproc.sink import EventSink, SinkContext


class EventLogOptions(Options):
    """Limits of a report."""

    most: int = Field(5_000, ge=1, description="events stored; later ones are only counted")
    most_pictures: int = Field(400, ge=0, description="thumbnails stored; later events have none")


class EventLog(EventSink[EventLogOptions]):
    """Stores the first events and thumbnails of a run, and counts the others."""

    pictures = True

    def __init__(self, options: EventLogOptions | None = None) -> None:
        super().__init__(options or EventLogOptions())
        self.events: list[Event] = []
        self.left_out = 0
        self._pictures = 0

    def open(self, context: SinkContext) -> None:
        """Do nothing: there is nothing to open."""

    def write(self, events: Sequence[Event]) -> None:
        """Store the events for which there is room."""
        for event in events:
            if len(self.events) >= self.options.most:
                self.left_out += 1
                continue
            room = self._pictures < self.options.most_pictures
            self._pictures += bool(event.attachments and room)
            self.events.append(event if room else replace(event, attachments=()))

    def flush(self) -> None:
        """Do nothing: there is nothing to flush."""


__all__ = ["EventLog", "EventLogOptions"]
