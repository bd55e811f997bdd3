"""Checkpointing of one resumable source: sends barriers through its streams and commits positions behind them."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from streamproc.delivery.delivery import Delivery
from streamproc.engine.checkpoint import Checkpoint, CheckpointStore
from streamproc.engine.context import Tap
from streamproc.engine.intake import Intake
from streamproc.source import Position

_LOOK_EVERY_S = 0.02
_NUMBERS = itertools.count()


@dataclass(slots=True, eq=False)
class Pending:
    """A checkpoint in the making."""

    positions: Mapping[str, int]
    waiting: set[str]
    """streams with items before the barrier that the writers don't have yet"""
    order: tuple[str, ...] = ()
    """streams, the longest silent first"""
    streams: dict[str, Any] = field(default_factory=dict)
    failed: bool = False
    """a plugin's state can't be had, or the loop over the records was left"""
    number: int = field(default_factory=partial(next, _NUMBERS))
    """number of its barriers: those of a failed checkpoint may still be under way when the next one begins"""
    _serial: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def reached(self) -> int | None:
        """Serial that sinks must flush before the checkpoint may be written; None while a barrier is under way."""
        with self._lock:
            return None if self.waiting else self._serial

    def passed(self, stream: str, body: Any) -> None:
        """Record that the barrier of one stream left its chain."""
        with self._lock:
            self.failed = self.failed or body is None
            self.streams[stream] = body

    def sent(self, stream: str, serial: int) -> None:
        """Record that the writers have everything of this stream before its barrier, up to this serial."""
        with self._lock:
            self._serial = max(self._serial, serial)
            self.waiting.discard(stream)

    def checkpoint(self) -> Checkpoint:
        """Return the finished checkpoint."""
        streams = {name: self.streams[name] for name in self.order if name in self.streams}
        return Checkpoint(positions=self.positions, streams=streams)


@dataclass(frozen=True, slots=True)
class Exits:
    """Exits of a run's records: its sinks, and the loop of a caller."""

    delivery: Delivery
    tap: Tap | None

    def note(self, pending: Pending, stream: str) -> None:
        """Update a checkpoint once the sinks and the loop have everything of this stream so far."""

        def looped(done: bool) -> None:
            if done:
                self.delivery.barrier(stream).then(partial(pending.sent, stream))
            else:  # the loop was left: records that it didn't get must come again
                pending.failed = True

        if self.tap is None:
            looped(True)
        else:
            self.tap.mark(stream, looped)

    def flushed(self, sinks: tuple[str, ...], serial: int) -> bool:
        """Return whether everything up to this serial is durable in these sinks."""
        return self.delivery.flushed(sinks, serial)


class Checkpointing:
    """Positions of one resumable source and their checkpoints; used by its reader thread.

    commit: hands positions to the source, once their checkpoint is written.
    """

    def __init__(
        self,
        source: str,
        sinks: tuple[str, ...],
        exits: Exits,
        store: Callable[[], CheckpointStore],
        commit: Callable[[Mapping[str, int]], None],
    ) -> None:
        self.stored: dict[str, Any] = {}
        """streams of the last run that have not come up again, the longest silent first"""
        self.resumed = False
        """whether there was a checkpoint to go on from"""
        self._source = source
        self._sinks = sinks
        self._exits = exits
        self._store = store
        self._commit = commit
        self._positions: dict[str, int] = {}
        self._committed: dict[str, int] = {}
        self._pending: Pending | None = None

    def resume(self) -> Mapping[str, int]:
        """Return the positions to read on from: this run's after a loss, else the checkpoint's; empty at a start."""
        if not self._positions:
            checkpoint = self._store().read(self._source)
            if checkpoint is not None:
                self.resumed = True
                self.stored = dict(checkpoint.streams)
                self._positions = dict(checkpoint.positions)
                self._committed = dict(checkpoint.positions)
        return dict(self._positions)

    def read(self, position: Position) -> None:
        """Record that the frame at this position was read."""
        self._positions[position.partition] = position.offset + 1

    @property
    def pending(self) -> bool:
        """Whether a checkpoint is in the making."""
        return self._pending is not None

    @property
    def due(self) -> bool:
        """Whether there are read positions that are neither committed nor in a pending checkpoint."""
        return self._pending is None and self._positions != self._committed

    def begin(self, intakes: Mapping[str, Intake], by_silence: list[str]) -> None:
        """Send barriers through all streams; streams of the last run that haven't come up again retain their state."""
        order = (*self.stored, *by_silence)
        self._pending = pending = Pending(dict(self._positions), set(intakes), order, dict(self.stored))
        for name, intake in intakes.items():
            intake.barrier(pending.number, partial(self._passed, pending, name))

    def begin_last(self, streams: list[str]) -> None:
        """Begin the checkpoint at the end of the input, whose streams have ended and need no state."""
        self._pending = pending = Pending(dict(self._positions), set(streams))
        for name in streams:
            self._exits.note(pending, name)

    def finish(self) -> None:
        """Write and commit the pending checkpoint if everything before it is durable."""
        pending = self._pending
        if pending is None:
            return
        if pending.failed:
            self._pending = None
        elif pending.reached is not None and self._exits.flushed(self._sinks, pending.reached):
            checkpoint = pending.checkpoint()
            self._store().write(self._source, checkpoint)
            self._commit(checkpoint.positions)
            self._committed = dict(checkpoint.positions)
            self._pending = None

    def wait(self, deadline: float) -> None:
        """Wait until the pending checkpoint is committed, or for the deadline on the monotonic clock."""
        pause = threading.Event()
        while self._pending is not None and time.monotonic() < deadline:
            self.finish()
            if self._pending is not None:
                pause.wait(_LOOK_EVERY_S)

    def _passed(self, pending: Pending, name: str, states: Mapping[str, Any] | None, own: dict[str, Any]) -> None:
        pending.passed(name, None if states is None else {**own, "plugins": states})
        self._exits.note(pending, name)


__all__ = ["Checkpointing", "Exits", "Pending"]
