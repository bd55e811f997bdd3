"""Deferred callbacks: a receipt for a stream's events, a countdown over a frame's readers."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Receipt:
    """Serial up to which a stream was handed to the writers; `then` calls back at once where it is known."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._serial: int | None = None
        self._then: Callable[[int], None] | None = None

    def fulfil(self, serial: int) -> None:
        """Record that everything was handed over, up to this serial."""
        with self._lock:
            self._serial = serial
            then = self._then
        if then is not None:
            then(serial)

    def then(self, function: Callable[[int], None]) -> None:
        """Call `function` with the serial, now or once it is known."""
        with self._lock:
            self._then = function
            serial = self._serial
        if serial is not None:
            function(serial)


class Countdown:
    """Calls `then` at the last of `count` calls."""

    def __init__(self, count: int, then: Callable[[], None]) -> None:
        self._left = count
        self._then = then
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left:
                return
        self._then()


__all__ = ["Countdown", "Receipt"]
