"""Where the ordered worker of a stream waits for its work: one piece at a time where that is wanted, else in groups."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

GROUP = 3
"""a thread that wakes up finds its code and data thrown out of the processor's caches by the nets that ran meanwhile;
what it does for the second and third piece takes half as long as for the first"""


class Mailbox(Generic[T]):
    """A queue whose reader sleeps until `GROUP` pieces lie in it, or until `hurry`; then it gets them all."""

    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._items: deque[T] = deque()
        self._open = False

    def put(self, item: T, *, hurry: bool = False) -> None:
        """Let a piece lie until there are enough of them."""
        with self._wake:
            self._items.append(item)
            if hurry or len(self._items) >= GROUP:
                self._unlock()

    def hurry(self) -> None:
        """Nothing may come for a while: let the reader have what is there."""
        with self._wake:
            if self._items:
                self._unlock()

    def get(self) -> T:
        """The next piece, in the order in which they came."""
        with self._wake:
            while not self._open:
                self._wake.wait()
            item = self._items.popleft()
            self._open = bool(self._items)
            return item

    def _unlock(self) -> None:
        self._open = True
        self._wake.notify_all()


__all__ = ["GROUP", "Mailbox"]
