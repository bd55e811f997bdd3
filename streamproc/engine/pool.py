"""Workers for pure stages, shared fairly between streams, and threads for stages that wait.

A worker whose call waits instead of computing doesn't count: another one takes its place, as in Go's scheduler for
blocked system calls. One more worker starts where a stream's frame has waited for a while and none of its tasks runs.
`relieve` checks for both; the runtime's watch thread calls it ten times a second.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from streamproc.chain.item import FrameItem, Item, Task
from streamproc.watch import Abandoned

PATIENCE_S = 0.1
"""a call is checked for waiting after this time; a frame starves after it"""
_BUSY_SHARE = 0.3
"""a call waits if it has spent less than this share of its time on a core"""
_MOST_RELIEF = 32
"""threads beyond the number of workers"""
_MOST_WAITING = 64
"""calls of waiting stages at a time"""


class Runner(Protocol):
    """Numbers and runs the work of one stream."""

    def admit(self, item: Item) -> Task:
        """Number an item that a worker takes, and return its first task."""
        ...

    def run(self, task: Task) -> None:
        """Run a task on this thread."""
        ...


@dataclass(slots=True, eq=False)
class Queue:
    """Items of one stream that wait for a worker, in order; guarded by the pool."""

    runner: Runner
    waiting: deque[tuple[float, Item]] = field(default_factory=deque)
    """items, each with its arrival on the monotonic clock"""
    running: int = 0
    """running tasks of this stream"""
    waits: bool = False
    """whether calls of this stream have waited rather than computed"""

    def starves(self, now: float) -> bool:
        """Return whether an item has waited for `PATIENCE_S` and nothing of this stream runs."""
        return bool(self.waiting) and not self.running and now - self.waiting[0][0] >= PATIENCE_S


@dataclass(slots=True, eq=False)
class _Worker:
    """One thread of the pool."""

    thread: threading.Thread
    clock: int | None = None
    """clock of the thread's CPU time, where the system has one"""
    since: float = 0.0
    """start of its task on the monotonic clock, 0 while it has none"""
    used_s: float = 0.0
    """CPU time of the thread at the start of its task"""
    queue: Queue | None = None
    """the stream of its task"""

    def begin(self, queue: Queue) -> None:
        """Record the start of a task of this stream."""
        self.queue = queue
        self.used_s = self._cpu_s()
        self.since = time.monotonic()

    def waits(self, now: float) -> bool:
        """Return whether its task has run for `PATIENCE_S` and used hardly any CPU time."""
        took_s = now - self.since
        if not self.since or self.clock is None or took_s < PATIENCE_S:
            return False
        return self._cpu_s() - self.used_s < _BUSY_SHARE * took_s

    def _cpu_s(self) -> float:
        with suppress(OSError):
            if self.clock is not None:
                return time.clock_gettime(self.clock)
        return 0.0


class Pool:
    """Worker threads. Started work goes before new frames; new frames are taken from the streams in turn."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._wanted = size
        self._wake = threading.Condition()
        self._ready: deque[tuple[Queue, Task]] = deque()
        self._queues: deque[Queue] = deque()
        self._workers: list[_Worker] = []
        self._waiting = WaitingThreads(_MOST_WAITING)
        self._closed = False

    @property
    def size(self) -> int:
        """Number of workers at the moment."""
        return len(self._workers)

    def start(self) -> None:
        """Start the workers."""
        with self._wake:
            for _ in range(self._size):
                self._spawn()

    def submit(self, queue: Queue, task: Task) -> None:
        """Run a task that follows from earlier ones: before any new frame, or on a thread that may wait."""
        if task.stage.kind == "waiting":
            self._waiting.submit(lambda: queue.runner.run(task))
            return
        with self._wake:
            self._ready.append((queue, task))
            self._wake.notify()

    def add(self, queue: Queue) -> None:
        """Take frames from this queue from now on."""
        with self._wake:
            self._queues.append(queue)

    def remove(self, queue: Queue) -> None:
        """Take no more frames from this queue."""
        with self._wake:
            if queue in self._queues:
                self._queues.remove(queue)

    def put(self, queue: Queue, item: Item) -> None:
        """Add an item to its queue."""
        with self._wake:
            queue.waiting.append((time.monotonic(), item))
            self._wake.notify()

    def drop_oldest(self, queue: Queue) -> FrameItem | None:
        """Remove and return the oldest waiting frame, if there is one; other items stay."""
        with self._wake:
            for place, (_, item) in enumerate(queue.waiting):
                if isinstance(item, FrameItem):
                    del queue.waiting[place]
                    return item
        return None

    def relieve(self, now: float) -> None:
        """Start workers in place of those that wait, and one more for each stream that starves."""
        with self._wake:
            waiting = [worker for worker in self._workers if worker.waits(now)]
            for worker in waiting:
                if worker.queue is not None:
                    worker.queue.waits = True
            starving = sum(queue.starves(now) for queue in self._queues)
            self._wanted = self._size + min(_MOST_RELIEF, len(waiting) + min(starving, self._size))
            if len(self._workers) > self._wanted:
                self._wake.notify_all()  # those that are too many end
            if self._ready or any(queue.waiting for queue in self._queues):
                while len(self._workers) < self._wanted and not self._closed:
                    self._spawn()

    def abandon(self, queue: Queue, thread: threading.Thread) -> None:
        """Replace a thread that is stuck in a call for good."""
        with self._wake:
            stuck = [worker for worker in self._workers if worker.thread is thread]
            for worker in stuck:
                self._workers.remove(worker)
                queue.running -= 1
                if not self._closed:
                    self._spawn()
        self._waiting.abandon(thread)

    def close(self) -> None:
        """End the workers once nothing is left to do; wait for those that can end."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
            threads = [worker.thread for worker in self._workers]
        for thread in threads:
            thread.join()
        self._waiting.close()

    def _spawn(self) -> None:
        name = f"streamproc-worker-{len(self._workers)}"
        worker = _Worker(threading.Thread(target=lambda: self._work(worker), name=name, daemon=True))
        self._workers.append(worker)
        worker.thread.start()

    def _work(self, worker: _Worker) -> None:
        if hasattr(time, "pthread_getcpuclockid"):
            worker.clock = time.pthread_getcpuclockid(threading.get_ident())
        done: Queue | None = None
        while True:
            with self._wake:
                if done is not None:
                    done.running -= 1
                    worker.since = 0.0
                work = self._next(worker)
                while work is None and not self._closed and len(self._workers) <= self._wanted:
                    self._wake.wait()
                    work = self._next(worker)
                if work is None:
                    if worker in self._workers:
                        self._workers.remove(worker)
                    return
            done, task = work
            try:
                done.runner.run(task)
            except Abandoned:
                return

    def _next(self, worker: _Worker) -> tuple[Queue, Task] | None:
        found = self._ready.popleft() if self._ready else self._next_frame()
        if found is not None:
            found[0].running += 1
            worker.begin(found[0])
        return found

    def _next_frame(self) -> tuple[Queue, Task] | None:
        for _ in range(len(self._queues)):
            queue = self._queues[0]
            self._queues.rotate(-1)
            if queue.waiting:
                return queue, queue.runner.admit(queue.waiting.popleft()[1])
        return None


class WaitingThreads:
    """Threads for calls that wait for others, bounded in number; each ends when there is no work left."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._work: deque[Callable[[], None]] = deque()
        self._threads: set[threading.Thread] = set()

    def submit(self, work: Callable[[], None]) -> None:
        """Run `work` on one of the threads."""
        with self._lock:
            self._work.append(work)
            if len(self._threads) < self._most:
                thread = threading.Thread(target=self._run, name="streamproc-waiting", daemon=True)
                self._threads.add(thread)
                thread.start()

    def abandon(self, thread: threading.Thread) -> None:
        """Stop counting a thread that is stuck."""
        with self._lock:
            self._threads.discard(thread)

    def close(self) -> None:
        """Wait for the threads that can end."""
        while True:
            with self._lock:
                thread = next(iter(self._threads), None)
            if thread is None:
                return
            thread.join()

    def _run(self) -> None:
        me = threading.current_thread()
        while True:
            with self._lock:
                if not self._work:
                    self._threads.discard(me)
                    return
                work = self._work.popleft()
            try:
                work()
            except Abandoned:
                return


__all__ = ["PATIENCE_S", "Pool", "Queue", "Runner", "WaitingThreads"]
