"""Items that wait in memory for one sink, and how far the sink has made them durable."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from streamproc.delivery.items import Entry, Item, weight


class Inbox:
    """Any thread puts items; the writer's thread takes them, and waits on `changed` for more."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.bytes = 0
        """about how much memory the waiting items hold, frames not counted"""
        self._entries: deque[Entry] = deque()
        self._received = 0
        self._flushed = 0
        self._deadline: float | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, serial: int, items: Sequence[Item], written: Callable[[], None] | None = None) -> None:
        """Add items; `written` is called once the sink has taken the last of them, or never will."""
        last = len(items) - 1
        entries = [Entry(serial, item, written if n == last else None, weight(item)) for n, item in enumerate(items)]
        with self.changed:
            self._entries.extend(entries)
            self.bytes += sum(entry.weight for entry in entries)
            self._received = max(self._received, serial)
            self.changed.notify()

    def take(self, most: int) -> list[Entry]:
        """Remove the oldest items."""
        with self.changed:
            taken = [self._entries.popleft() for _ in range(min(most, len(self._entries)))]
            self.bytes -= sum(entry.weight for entry in taken)
            return taken

    def close(self, drain_s: float) -> None:
        """Nothing more is put; what is left should be delivered within this time."""
        with self.changed:
            self._deadline = time.monotonic() + drain_s
            self.changed.notify()

    @property
    def closing(self) -> bool:
        """Whether nothing more is put."""
        return self._deadline is not None

    @property
    def left_s(self) -> float:
        """Time left to deliver in; without end before `close`."""
        return float("inf") if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    @property
    def taken_upto(self) -> int:
        """Serial up to which every item was taken."""
        with self.changed:
            return self._entries[0].serial - 1 if self._entries else self._received

    def flushed(self, upto: int) -> None:
        """Everything up to this serial is durable, at the sink or in the outbox."""
        with self.changed:
            self._flushed = max(self._flushed, upto)

    def is_flushed(self, serial: int) -> bool:
        """Whether every item up to this serial is durable."""
        with self.changed:
            return self._flushed >= min(serial, self._received)


__all__ = ["Inbox"]
