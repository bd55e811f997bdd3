"""Admission by credits in bytes: the one place where a stream waits, so that nothing behind it ever blocks."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Credits:
    """How much one stream's frames in flight may hold; the first frame is always let in."""

    def __init__(self, limit_bytes: int, limit_frames: int) -> None:
        self._limit_bytes = limit_bytes
        self._limit_frames = limit_frames
        self._changed = threading.Condition()
        self._bytes = 0
        self._frames = 0
        self.peak_bytes = 0

    def take(self, cost: int, give_up: Callable[[], bool]) -> bool:
        """Wait for room and take it; False once `give_up()` is true (call `nudge` after that changes)."""
        with self._changed:
            roomy = self._fits(cost)
            while not roomy:
                if give_up():
                    return False
                self._changed.wait()
                roomy = self._fits(cost) and self._is_half_empty()
            self._book(cost)
            return True

    def try_take(self, cost: int) -> bool:
        """Take room if there is any right now."""
        with self._changed:
            if not self._fits(cost):
                return False
            self._book(cost)
            return True

    def force(self, cost: int) -> None:
        """Take room whether there is any or not: for the one frame that must not be given up at a stop."""
        with self._changed:
            self._book(cost)

    def widen(self, frames: int) -> None:
        """Let so many more frames in."""
        with self._changed:
            self._limit_frames += frames
            self._changed.notify_all()

    def give_back(self, cost: int) -> None:
        """A frame has come to its end."""
        with self._changed:
            self._bytes -= cost
            self._frames -= 1
            self._changed.notify_all()

    def nudge(self) -> None:
        """Let whoever waits ask `give_up` again."""
        with self._changed:
            self._changed.notify_all()

    @property
    def frames(self) -> int:
        """Frames in flight."""
        return self._frames

    def _fits(self, cost: int) -> bool:
        return self._frames == 0 or (self._bytes + cost <= self._limit_bytes and self._frames < self._limit_frames)

    def _is_half_empty(self) -> bool:
        return self._frames <= self._limit_frames // 2

    def _book(self, cost: int) -> None:
        self._bytes += cost
        self._frames += 1
        self.peak_bytes = max(self.peak_bytes, self._bytes)
