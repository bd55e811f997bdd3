"""What the streams of a run share, and where what they find goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from streamproc.engine.pool import Pool
from streamproc.engine.ticket import Ticket
from streamproc.events import Event
from streamproc.metrics import Tally
from streamproc.watch import Watch

if TYPE_CHECKING:
    from streamproc.engine.stream import StreamRun


class Outlet(Protocol):
    """Where finished frames and their events go."""

    def deliver(self, run: StreamRun, ticket: Ticket, events: tuple[Event, ...]) -> None:
        """Take what one ticket came to; the credit of a frame is given back through `run.release`."""
        ...

    def ended(self, run: StreamRun) -> None:
        """Nothing more comes from this stream."""
        ...

    def stop(self, reason: str) -> None:
        """A plugin asks for the whole run to end."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What all streams of a run share."""

    pool: Pool
    watch: Watch
    outlet: Outlet
    frames_in_flight: int
    """most frames of one stream between reader and sinks"""
    events: Tally
    """events by (stream, type)"""
    bundles: Callable[[], Any] = field(repr=False)
    """the folder for repro bundles, made on first use"""


__all__ = ["Outlet", "Services"]
