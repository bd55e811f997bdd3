"""The workers for the pure plugins, the lanes in which frames wait for them, and the watch over calls that hang."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from streamproc.engine.ticket import Ticket
from streamproc.watch import Abandoned


class Lane:
    """Frames of one stream that wait for a worker, in order. Its numbers are given when a worker takes a ticket."""

    def __init__(self, begin: Callable[[Ticket], None]) -> None:
        self.begin = begin
        self.waiting: deque[Ticket] = deque()
        self.sequence = 0


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
