"""Mailbox of a stream's ordered worker: gives its work in groups, or at once in a hurry."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

GROUP = 3
"""pieces in a group. A thread that wakes up finds its code and data evicted from the processor's caches by nets; its
second and third piece take half as long as the first"""


class Mailbox(Generic[T]):
    """A queue whose reader sleeps until it holds `GROUP` pieces, or until `hurry`; then it gets them all."""

    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._items: deque[T] = deque()
        self._open = False

    def put(self, item: T, *, hurry: bool = False) -> None:
        """Add a piece; the reader wakes up once there are enough of them, or at once with `hurry`."""
        with self._wake:
            self._items.append(item)
            if hurry or len(self._items) >= GROUP:
                self._unlock()

    def hurry(self) -> None:
        """Wake the reader for the pieces that are there, as no other may come for a while."""
        with self._wake:
            if self._items:
                self._unlock()

    def get(self) -> T:
        """Return the next piece, in order of arrival."""
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
