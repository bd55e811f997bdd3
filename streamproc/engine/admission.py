"""Admission by credits in bytes: the only place where a stream waits, so that later parts never block."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Credits:
    """Memory budget of one stream's frames in flight; the first frame is always admitted."""

    def __init__(self, limit_bytes: int, limit_frames: int, reserve: int = 0) -> None:
        """Set the limits. reserve: additional frames, once `use_reserve` is called."""
        self._limit_bytes = limit_bytes
        self._limit_frames = limit_frames
        self._reserve = reserve
        self._changed = threading.Condition()
        self._bytes = 0
        self._frames = 0
        self.peak_bytes = 0

    def take(self, cost: int, give_up: Callable[[], bool]) -> bool:
        """Wait for room and take it; return False once `give_up()` is true (call `nudge` when that changes)."""
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
        """Take room if there is any now; return whether there was."""
        with self._changed:
            if not self._fits(cost):
                return False
            self._book(cost)
            return True

    def force(self, cost: int) -> None:
        """Take room even if there is none: for the one frame that must not be dropped at a stop."""
        with self._changed:
            self._book(cost)

    def use_reserve(self) -> None:
        """Admit the frames of the reserve, too."""
        with self._changed:
            self._limit_frames, self._reserve = self._limit_frames + self._reserve, 0
            self._changed.notify_all()

    def give_back(self, cost: int) -> None:
        """Return the room of a frame that has ended."""
        with self._changed:
            self._bytes -= cost
            self._frames -= 1
            self._changed.notify_all()

    def nudge(self) -> None:
        """Let waiting threads call `give_up` again."""
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
