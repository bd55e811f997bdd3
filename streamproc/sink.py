"""Sinks: where events, frames and records go. Each is touched by its own writer thread only.

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
    """Take no note: for a sink outside an engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkContext:
    """What a sink may use once it is opened."""

    name: str
    """the sink's name in the configuration"""
    log: logging.Logger
    note: Callable[[str], None] = _ignore
    """note something for the user that is no trouble; the run's summary shows it"""


class Sink(Configurable[OptionsT], ABC):
    """Base of all kinds of sinks. The constructor touches nothing; `open` does."""

    api: ClassVar[int] = 1
    network: ClassVar[bool] = False
    """whether it can be away: the engine then stores events in the outbox until they are flushed"""

    @abstractmethod
    def open(self, context: SinkContext) -> None:
        """Get ready; raise `SinkError` (it will never work) or `SinkBusy` (try again later)."""

    @abstractmethod
    def flush(self) -> None:
        """Return once everything written is durable at the other side; else raise as `write` does."""

    def close(self) -> None:
        """Let go of everything; called once per `open`, also after a failure."""


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

    A stream may appear at any time: which results its records may hold stands in `Record.gives`.
    """

    frames: ClassVar[bool] = False
    """whether it wants the picture of each record (`Record.frame`)"""

    @abstractmethod
    def write(self, records: Sequence[Record]) -> None:
        """Take these records; after `SinkBusy` or `SinkError` the same ones come again.

        `stream`, `index` and `reason` tell repeats.
        """


AnySink = EventSink[Any] | FrameSink[Any] | RecordSink[Any]

__all__ = ["AnySink", "EventSink", "FrameSink", "RecordSink", "Sink", "SinkContext"]
