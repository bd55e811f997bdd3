"""Where a stream's tail waits for its tickets: one at a time where that is wanted, else in small groups."""

from __future__ import annotations

import threading
from collections import deque

from streamproc.engine.ticket import Ticket

GROUP = 3
"""a thread that wakes up finds its code and data thrown out of the processor's caches by the nets that ran meanwhile;
what it does for the second and third ticket takes half as long as for the first"""


class Mailbox:
    """A queue whose reader sleeps until `GROUP` tickets lie in it, or until `hurry`; then it gets them all."""

    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._tickets: deque[Ticket] = deque()
        self._open = False

    def put(self, ticket: Ticket, *, hurry: bool = False) -> None:
        """Let a ticket lie until there are enough of them."""
        with self._wake:
            self._tickets.append(ticket)
            if hurry or len(self._tickets) >= GROUP:
                self._unlock()

    def hurry(self) -> None:
        """Nothing may come for a while: let the reader have what is there."""
        with self._wake:
            if self._tickets:
                self._unlock()

    def get(self) -> Ticket:
        """The next ticket, in the order in which they came."""
        with self._wake:
            while not self._open:
                self._wake.wait()
            ticket = self._tickets.popleft()
            self._open = bool(self._tickets)
            return ticket

    def _unlock(self) -> None:
        self._open = True
        self._wake.notify_all()


__all__ = ["GROUP", "Mailbox"]
