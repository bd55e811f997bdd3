"""Items that wait for a sink."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

from streamproc.events import Event
from streamproc.frames import Frame
from streamproc.record import Record
from streamproc.sink import AnySink, EventSink, FrameSink

Item = Event | Frame | Record
Kind = Literal["events", "frames", "records"]

_ITEM_BYTES = 1_000


@dataclass(slots=True)
class InboxEntry:
    """Item that waits for a sink, with its serial."""

    serial: int
    item: Item
    written: Callable[[], None] | None = None
    """called once the sink has taken the item, or it is clear that it won't"""
    weight: int = 0


def weight(item: Item) -> int:
    """Estimate the bytes that an item holds in memory; a frame is 0, as the credits of its stream count it."""
    if isinstance(item, Event):
        sized = [value for value in item.data.values() if isinstance(value, str | list | dict)]
        return _ITEM_BYTES + sum(len(a.data) for a in item.attachments) + 8 * sum(len(value) for value in sized)
    if isinstance(item, Record):
        return _ITEM_BYTES + _array_bytes(item.results.values()) + sum(map(weight, item.events))
    return 0


def _array_bytes(results: Iterable[Any]) -> int:
    values = (getattr(r, f.name, None) for r in results if is_dataclass(r) for f in fields(r))
    return sum(int(getattr(value, "nbytes", 0)) for value in values)


def kind_of(item: Item) -> Kind:
    """Return the kind of an item."""
    if isinstance(item, Event):
        return "events"
    return "frames" if isinstance(item, Frame) else "records"


def taken_by(sink: AnySink) -> Kind:
    """Return the kind of the items that a sink takes."""
    if isinstance(sink, EventSink):
        return "events"
    return "frames" if isinstance(sink, FrameSink) else "records"


__all__ = ["InboxEntry", "Item", "Kind", "kind_of", "taken_by", "weight"]
