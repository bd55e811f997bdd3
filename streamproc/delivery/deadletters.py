"""Dead letters: records that a sink refuses, set aside with the reason, so that the others are delivered."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streamproc.delivery.guarded import GuardedSink
from streamproc.delivery.items import Item
from streamproc.errors import SinkBusy, SinkError, redact
from streamproc.events import Event
from streamproc.frames import Frame
from streamproc.metrics import Tally

log = logging.getLogger(__name__)

_MOST_FAILURES = 16
"""records refused in a row, with none accepted, after which the sink itself counts as broken"""


class DeadLetters:
    """File of JSON lines, shared by the sinks of all runs of a state folder; made for the first refused record."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def add(self, sink: str, record: Item, reason: str) -> None:
        """Append one record, durable on return; raises `SinkError` where the file can't be written."""
        line = {
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "sink": sink,
            "reason": reason,
            "record": _as_json(record),
        }
        data = (json.dumps(line) + "\n").encode()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock, self.path.open("ab") as file:
                with suppress(OSError):  # a file system without locks
                    fcntl.flock(file, fcntl.LOCK_EX)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise SinkError(
                f"a refused record can't be set aside: {name_of(record)} ({reason}); {self.path}: {error.strerror}; "
                "free the disk or set runtime.state"
            ) from error


class Sieve:
    """Writes batches to one sink. A refused batch goes record by record, and single refused records are set aside.

    A record counts as refused when it fails twice and the sink accepts another one in between. A sink that accepts
    nothing is broken, and raises as before.

    counts: gets `refused`.
    """

    def __init__(self, name: str, sink: GuardedSink, letters: DeadLetters, counts: Tally) -> None:
        self._name = name
        self._sink = sink
        self._letters = letters
        self._counts = counts
        self._good: Item | None = None
        self.suspicious = False
        """whether the last batch was refused: one of its records may be at fault"""

    def write(self, records: Sequence[Item], *, flush: bool = False) -> set[int]:
        """Write records, and flush where asked; return the `id()` of each that was set aside. Raises `SinkError`."""
        if self.suspicious:
            refused = self._one_by_one(records)
            self.suspicious = False
            return set(map(id, refused))
        try:
            self._sink.write(records)
            if flush:  # a network sink may learn of a refusal only now
                self._sink.flush()
        except SinkBusy:
            raise
        except SinkError:
            self.suspicious = True
            raise
        self._good = records[-1]
        return set()

    def _one_by_one(self, records: Sequence[Item]) -> list[Item]:
        """Write and flush each record; return the refused ones. Raises `SinkError` where the sink is broken."""
        refused: list[tuple[Item, SinkError]] = []
        pending: list[tuple[Item, SinkError]] = []
        for record in records:
            error = self._try(record)
            if error is None:
                self._good = record
                refused, pending = [*refused, *pending], []
            else:
                pending.append((record, error))
                if len(pending) == _MOST_FAILURES and not refused:
                    break
        if pending and (self._good is None or self._try(self._good) is not None):
            raise pending[-1][1]  # no evidence that the sink accepts anything now
        refused += pending
        # one more try each, now that the sink is known to work: the failure may have been a passing one
        still = [(record, again) for record, _ in refused if (again := self._try(record)) is not None]
        for record, error in still:
            self._set_aside(record, redact(str(error)))
        return [record for record, _ in still]

    def _try(self, record: Item) -> SinkError | None:
        try:
            self._sink.write([record])
            self._sink.flush()
        except SinkBusy:
            raise
        except SinkError as error:
            return error
        return None

    def _set_aside(self, record: Item, reason: str) -> None:
        self._letters.add(self._name, record, reason)
        self._counts.add("refused")
        place = self._letters.path
        log.warning("sink %s refuses %s: %s; it is set aside in %s", self._name, name_of(record), reason, place)


def name_of(record: Item) -> str:
    """Return the identity of a record, for a message."""
    if isinstance(record, Event):
        return f"event {record.id} ({record.type} of stream {record.stream} at frame {record.frame_index})"
    what = "frame" if isinstance(record, Frame) else "record of frame"
    return f"{what} {record.index} of stream {record.stream.name}"


def _as_json(record: Item) -> Any:
    if isinstance(record, Event):
        try:
            return record.to_json()
        except Exception as error:  # noqa: BLE001 - an event that an earlier version accepted
            return {"id": record.id, "type": record.type, "trouble": f"{type(error).__name__}: {error}"}
    return {"stream": record.stream.name, "frame": record.index, "pts_ns": record.pts_ns}


__all__ = ["DeadLetters", "Sieve", "name_of"]
