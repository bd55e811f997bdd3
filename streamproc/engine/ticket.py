"""What travels through the engine: a frame with what is to be done and was found, or a mark in the stream's order."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from streamproc.chain.guard import Outcome
from streamproc.chain.steps import Due
from streamproc.events import Event, Moment
from streamproc.frames import Frame
from streamproc.plugin import TimeReason

Mark = TimeReason | Literal["snapshot", "end"]


@dataclass(slots=True, eq=False)
class Ticket:
    """One frame on its way through the chain, or (where `mark` is set) a moment that keeps its place in the order."""

    moment: Moment
    frame: Frame | None = None
    before: Frame | None = None
    """the source frame before, where flow is wanted"""
    due: Due = field(default_factory=lambda: Due(frozenset(), {}))
    cost: int = 0
    """bytes of admission credit that it holds"""
    mark: Mark | None = None
    on_done: Callable[[Mapping[str, Any] | None], None] | None = None
    """for a snapshot: what to do with the plugins' states; None: they can't all be had"""
    spoilt: bool = False
    """a plugin's state can't be had"""
    flush: bool = True
    """for the end: whether what is open is to be closed"""
    admitted: float = field(default_factory=time.perf_counter)
    sequence: int = -1
    stage: int = 0
    position: int = 0
    """within an ordered stage: steps done"""
    attempt: dict[int, Outcome] = field(default_factory=dict)
    """what the pure stage under way came to"""
    off: frozenset[int] = frozenset()
    """which plugins were off when it began"""
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    found: dict[tuple[str, type], Any] = field(default_factory=dict)
    events: dict[int, tuple[Event, ...]] = field(default_factory=dict)
    replaced: frozenset[int] = frozenset()
    """steps behind which `frame` holds another picture than the source's"""
    states: dict[str, Any] = field(default_factory=dict)
    hung: frozenset[int] = frozenset()
    """pure steps that didn't come back with it"""
    settled: bool = False
    """it stands in its bucket of the ledger"""
    released: bool = False
    """its credit was given back"""
    crash: Exception | None = None
    """what went wrong in the engine itself"""

    def told(self) -> tuple[Event, ...]:
        """Events so far, in the order of the chain."""
        return tuple(event for index in sorted(self.events) for event in self.events[index])


def end_ticket(moment: Moment, flush: bool) -> Ticket:
    """The mark behind a stream's last frame."""
    return Ticket(moment=moment, mark="end", flush=flush)
