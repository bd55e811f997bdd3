"""The watch over calls into foreign code: a call that times out is abandoned with its thread."""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from streamproc.errors import redact

log = logging.getLogger(__name__)

T = TypeVar("T")

_LONGEST_TRACE = 20_000


@dataclass(slots=True, eq=False)
class Call:
    """A guarded call into foreign code; the object may be used again for the next call."""

    what: str
    limit_s: float
    abandon: Callable[[], None]
    """called once by the watch when the call takes too long"""
    hurry_s: float | None = None
    """time limit from the stop of the run on; None: stopping changes nothing"""
    opens: bool = False
    """whether it opens a plugin"""
    started: float = 0.0
    stopped: float | None = None
    """moment at which its own caller was stopped, while the run goes on"""

    def hurry(self, within_s: float) -> None:
        """Set the time limit from now on, as its caller is stopped."""
        self.hurry_s, self.stopped = within_s, time.monotonic()

    def overdue(self, now: float, stopped: float | None) -> bool:
        """Return whether it is over its limit at this moment of the monotonic clock."""
        if now - self.started > self.limit_s:
            return True
        stops = [moment for moment in (stopped, self.stopped) if moment is not None]
        return bool(stops) and self.hurry_s is not None and now - max(self.started, min(stops)) > self.hurry_s


class Watch:
    """Registry of the calls under way; an overdue call is abandoned exactly once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[int, Call] = {}
        self.left: list[str] = []
        """calls in which abandoned threads are stuck"""
        self.on_opening: Callable[[bool], None] = lambda _: None
        """called when the first plugin begins to open (True) or the last one is open (False)"""
        self.stack = ""
        """traceback of the call that is being abandoned"""

    def enter(self, call: Call) -> None:
        """Register the call that the current thread begins."""
        call.started = time.monotonic()
        with self._lock:
            self._calls[threading.get_ident()] = call
        if call.opens:
            self.on_opening(True)

    def leave(self) -> bool:
        """Remove the current thread's call; False if it was abandoned: the thread must end without side effects."""
        with self._lock:
            call = self._calls.pop(threading.get_ident(), None)
            opening = any(other.opens for other in self._calls.values())
        if call is not None and call.opens:
            self.on_opening(opening)
        return call is not None

    def run(self, call: Call, function: Callable[[], T]) -> T:
        """Call `function` under watch; raises `Abandoned` when it returns too late."""
        self.enter(call)
        try:
            return function()
        finally:
            if not self.leave():
                raise Abandoned

    def check(self, now: float, stopped: float | None = None) -> None:
        """Abandon overdue calls; `stopped` is the moment at which the run was stopped."""
        with self._lock:
            late = [(ident, call) for ident, call in self._calls.items() if call.overdue(now, stopped)]
            for ident, call in late:
                del self._calls[ident]
                self.left.append(call.what)
        for ident, call in late:
            self.stack = stack_of(ident)
            log.error("%s did not come back within %.1f s; its thread is abandoned", call.what, now - call.started)
            call.abandon()


class Abandoned(BaseException):
    """Unwinds a thread whose call was abandoned; not an `Exception`, so that nothing on the way catches it."""


def stack_of(ident: int | None) -> str:
    """Return the traceback of the thread of this identity; empty if it has ended."""
    frame = sys._current_frames().get(ident) if ident is not None else None
    return "" if frame is None else redact("".join(traceback.format_stack(frame))[-_LONGEST_TRACE:])


__all__ = ["Abandoned", "Call", "Watch", "stack_of"]
