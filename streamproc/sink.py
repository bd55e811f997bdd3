"""Sinks: receivers of events, frames and records. Only a sink's own writer thread uses it.

The engine owns batching, order, retry and (for network sinks) the outbox: a sink only writes, and raises `SinkBusy` or
`SinkError` when it can't.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from streamproc.events import Event
from streamproc.frames import Frame
from streamproc.options import Configurable, OptionsT
from streamproc.record import Record


def _ignore(_: str) -> None:
    """Ignore the remark: for a sink outside an engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkContext:
    """Services for an opened sink."""

    name: str
    """the sink's name in the configuration"""
    log: logging.Logger
    note: Callable[[str], None] = _ignore
    """adds a remark for the user that is no trouble; the run's summary shows it"""


class Sink(Configurable[OptionsT], ABC):
    """Base of all kinds of sinks. The constructor touches nothing; `open` does."""

    api: ClassVar[int] = 1
    network: ClassVar[bool] = False
    """whether the other side can be away: the engine then stores events in the outbox until they are flushed"""

    @abstractmethod
    def open(self, context: SinkContext) -> None:
        """Prepare for writing; raise `SinkError` (it will never work) or `SinkBusy` (try again later)."""

    @abstractmethod
    def flush(self) -> None:
        """Return once everything written is durable at the other side; else raise as `write` does."""

    def close(self) -> None:
        """Release everything; called once per `open`, also after a failure."""


class EventSink(Sink[OptionsT]):
    """Gets every event of its streams, each at least once, in order per stream."""

    pictures: ClassVar[bool] = False
    """whether it wants a thumbnail with each event (`Event.attachments`)"""

    @abstractmethod
    def write(self, events: Sequence[Event]) -> None:
        """Take these events; after `SinkBusy` or `SinkError` the same ones come again (repeats have the same ids)."""


class FrameSink(Sink[OptionsT]):
    """Gets every processed frame of its streams, in order per stream."""

    @abstractmethod
    def write(self, frames: Sequence[Frame]) -> None:
        """Take these frames; after `SinkBusy` or `SinkError` the same ones come again."""


class RecordSink(Sink[OptionsT]):
    """Gets every record of its streams, each at least once, in order per stream.

    A stream may appear at any time; `Record.gives` names the results that its records may hold.
    """

    frames: ClassVar[bool] = False
    """whether it wants the picture of each record (`Record.frame`)"""

    @abstractmethod
    def write(self, records: Sequence[Record]) -> None:
        """Take these records; after `SinkBusy` or `SinkError` the same ones come again.

        `stream`, `index` and `reason` identify repeats.
        """


AnySink = EventSink[Any] | FrameSink[Any] | RecordSink[Any]

__all__ = ["AnySink", "EventSink", "FrameSink", "RecordSink", "Sink", "SinkContext"]
