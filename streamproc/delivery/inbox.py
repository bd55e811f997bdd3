"""Inbox: items that wait in memory for one sink, and the serial up to which they are durable."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from streamproc.delivery.items import InboxEntry, Item, weight


class Inbox:
    """Queue of one sink: any thread puts items; the writer's thread takes them, and waits on `changed` for more."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.bytes = 0
        """about how much memory the waiting items hold, frames not counted"""
        self._entries: deque[InboxEntry] = deque()
        self._received = 0
        self._flushed = 0
        self._deadline: float | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, serial: int, items: Sequence[Item], written: Callable[[], None] | None = None) -> None:
        """Add items; `written` is called once the sink has taken the last of them, or it is clear that it won't."""
        last = len(items) - 1
        entries = [
            InboxEntry(serial, item, written if n == last else None, weight(item)) for n, item in enumerate(items)
        ]
        with self.changed:
            self._entries.extend(entries)
            self.bytes += sum(entry.weight for entry in entries)
            self._received = max(self._received, serial)
            self.changed.notify()

    def take(self, most: int) -> list[InboxEntry]:
        """Remove the oldest items."""
        with self.changed:
            taken = [self._entries.popleft() for _ in range(min(most, len(self._entries)))]
            self.bytes -= sum(entry.weight for entry in taken)
            return taken

    def close(self, drain_s: float) -> None:
        """Take no more items; those left should be delivered within this time."""
        with self.changed:
            self._deadline = time.monotonic() + drain_s
            self.changed.notify()

    @property
    def closing(self) -> bool:
        """Whether it takes no more items."""
        return self._deadline is not None

    @property
    def left_s(self) -> float:
        """Time left for delivery; infinite before `close`."""
        return float("inf") if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    @property
    def taken_upto(self) -> int:
        """Serial up to which every item was taken."""
        with self.changed:
            return self._entries[0].serial - 1 if self._entries else self._received

    def flushed(self, upto: int) -> None:
        """Record that everything up to this serial is durable, at the sink or in the outbox."""
        with self.changed:
            self._flushed = max(self._flushed, upto)

    def is_flushed(self, serial: int) -> bool:
        """Return whether every item up to this serial is durable."""
        with self.changed:
            return self._flushed >= min(serial, self._received)


__all__ = ["Inbox"]
