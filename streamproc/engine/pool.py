"""The workers for the pure plugins, the lanes in which frames wait for them, and the watch over calls that hang."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from streamproc.engine.guard import stack_of
from streamproc.engine.ticket import Ticket

log = logging.getLogger(__name__)

T = TypeVar("T")


class Lane:
    """Frames of one stream that wait for a worker, in order. Its numbers are given when a worker takes a ticket."""

    def __init__(self, begin: Callable[[Ticket], None]) -> None:
        self.begin = begin
        self.waiting: deque[Ticket] = deque()
        self.sequence = 0


@dataclass(slots=True, eq=False)
class Call:
    """A guarded call into code that isn't the engine's; may be used again for the next one."""

    what: str
    limit_s: float
    abandon: Callable[[], None]
    """called once by the watch when the call takes too long"""
    hurry_s: float | None = None
    """how long it may take from then on once the run is being stopped; None: stopping changes nothing"""
    opens: bool = False
    """whether it opens a plugin"""
    started: float = 0.0

    def overdue(self, now: float, stopped: float | None) -> bool:
        """Whether it has taken too long at this moment of the monotonic clock."""
        if now - self.started > self.limit_s:
            return True
        return stopped is not None and self.hurry_s is not None and now - max(self.started, stopped) > self.hurry_s


class Watch:
    """Knows the calls under way; a call that is overdue is abandoned exactly once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[int, Call] = {}
        self.left: list[str] = []
        """what the threads are stuck in that were given up for good"""
        self.on_opening: Callable[[bool], None] = lambda _: None
        """called with whether any plugin is being opened, when that changes"""
        self.stack = ""
        """where the call stands that is being abandoned, as a traceback shows it"""

    def enter(self, call: Call) -> None:
        """The current thread begins this call."""
        call.started = time.monotonic()
        with self._lock:
            self._calls[threading.get_ident()] = call
        if call.opens:
            self.on_opening(True)

    def leave(self) -> bool:
        """The current thread's call has come back; False if it was given up: the thread must end without a trace."""
        with self._lock:
            call = self._calls.pop(threading.get_ident(), None)
            opening = any(other.opens for other in self._calls.values())
        if call is not None and call.opens:
            self.on_opening(opening)
        return call is not None

    def run(self, call: Call, function: Callable[[], T]) -> T:
        """Call `function` under watch; raises `Abandoned` when it comes back too late."""
        self.enter(call)
        try:
            return function()
        finally:
            if not self.leave():
                raise Abandoned

    def check(self, now: float, stopped: float | None = None) -> None:
        """Abandon what is overdue; `stopped` is when the run was told to stop."""
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
    """Unwinds a thread whose call was given up; not an `Exception`, so that nothing on the way catches it."""


class Pool:
    """Worker threads. Work that was begun goes before new frames; new frames are taken stream by stream in turn."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._wake = threading.Condition()
        self._ready: deque[Callable[[], None]] = deque()
        self._lanes: deque[Lane] = deque()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def start(self) -> None:
        """Start the workers."""
        for _ in range(self._size):
            self._spawn()

    def submit(self, work: Callable[[], None]) -> None:
        """Run `work` before any new frame."""
        with self._wake:
            self._ready.append(work)
            self._wake.notify()

    def add_lane(self, lane: Lane) -> None:
        """Take frames from this lane from now on."""
        with self._wake:
            self._lanes.append(lane)

    def remove_lane(self, lane: Lane) -> None:
        """Nothing more comes from this lane."""
        with self._wake:
            if lane in self._lanes:
                self._lanes.remove(lane)

    def put(self, lane: Lane, ticket: Ticket) -> None:
        """Let a ticket wait in its lane."""
        with self._wake:
            lane.waiting.append(ticket)
            self._wake.notify()

    def drop_oldest(self, lane: Lane) -> Ticket | None:
        """Take the oldest waiting frame out of the lane, if there is one; what isn't a frame stays."""
        with self._wake:
            for ticket in lane.waiting:
                if ticket.frame is not None:
                    lane.waiting.remove(ticket)
                    return ticket
        return None

    def replace_worker(self) -> None:
        """A worker was abandoned: start another."""
        with self._wake:
            if not self._closed:
                self._spawn()

    def close(self) -> None:
        """End the workers once nothing is left to do; wait for those that can end."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
            threads = list(self._threads)
        for thread in threads:
            thread.join()

    def forget(self, thread: threading.Thread) -> None:
        """Don't wait for this one at the end: it is stuck."""
        with self._wake:
            if thread in self._threads:
                self._threads.remove(thread)

    def _spawn(self) -> None:
        thread = threading.Thread(target=self._work, name=f"streamproc-worker-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while True:
            with self._wake:
                work = self._next()
                while work is None and not self._closed:
                    self._wake.wait()
                    work = self._next()
            if work is None:
                return
            try:
                work()
            except Abandoned:
                return

    def _next(self) -> Callable[[], None] | None:
        if self._ready:
            return self._ready.popleft()
        for _ in range(len(self._lanes)):
            lane = self._lanes[0]
            self._lanes.rotate(-1)
            if lane.waiting:
                ticket = lane.waiting.popleft()
                ticket.sequence = lane.sequence
                lane.sequence += 1
                return lambda: lane.begin(ticket)
        return None
