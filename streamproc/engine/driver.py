"""Drives a chain core with threads: tasks run on the pool's workers, ordered work on the stream's own thread."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from streamproc.chain.core import ChainCore
from streamproc.chain.guard import Outcome
from streamproc.chain.item import Failure, Item, Output, Snapshot, Task
from streamproc.chain.step import Step
from streamproc.chain.task import run_task
from streamproc.config.plan import ChainPlan
from streamproc.engine.mailbox import Mailbox
from streamproc.engine.opening import close_plugin
from streamproc.engine.pool import Pool, Queue
from streamproc.frames import StreamInfo
from streamproc.metrics import Histogram
from streamproc.record import Record
from streamproc.waiting import is_async
from streamproc.watch import Abandoned, Call, Watch

log = logging.getLogger(__name__)

T = TypeVar("T")

_CANCELLING_S = 5.0

Work = Callable[[], Iterator[Output]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    """Callbacks for the outputs of the core, on the ordered worker of the stream."""

    record: Callable[[Record], None]
    snapshot: Callable[[Snapshot], None]
    failure: Callable[[Failure], None]
    close: Callable[[Step], None]
    """closes a plugin at the end of its stream"""
    broken: Callable[[Exception], None]
    """streamproc itself failed: settles the frames in flight"""
    hung: Callable[[Step], None]
    """called at once when a call is abandoned, on the watch's thread"""
    warn: Callable[[str], None]
    """called where flow can't be computed"""
    may_block: bool = False
    """whether a callback may wait for others: then the ordered worker is a thread of its own"""


@dataclass(slots=True, eq=False)
class WatchedCaller:
    """Makes calls under the watch and measures their time. abandon: called when one takes too long."""

    stream: str
    watch: Watch
    seconds: tuple[Histogram, ...]
    """by step"""
    abandon: Callable[[Step], None]

    def __call__(self, step: Step, function: Callable[[], T], /) -> T:
        """Make a call; raises `Abandoned` when it returns after it was abandoned."""
        # a call that is awaited is cancelled at its limit, and only abandoned where that doesn't help
        limit_s = step.timeout_s + (_CANCELLING_S if step.kind == "waiting" and is_async(step.plugin.process) else 0)
        call = Call(f"plugin {step.name} of stream {self.stream}", limit_s, partial(self.abandon, step))
        self.watch.enter(call)
        found = function()
        if not self.watch.leave():
            raise Abandoned
        if isinstance(found, Outcome):
            self.seconds[step.index].observe(found.seconds)
        return found


@dataclass(slots=True)
class _Ordered:
    """State of the ordered worker: its thread, and the plugins left to close."""

    generation: int = 0
    thread: threading.Thread | None = None
    to_close: list[Step] | None = None
    done: threading.Event = field(default_factory=threading.Event)


class Turns:
    """Runs work in order on the threads that bring it, one at a time. do: does one piece."""

    def __init__(self, do: Callable[[Work], None]) -> None:
        self._do = do
        self._waiting: deque[Work] = deque()
        self._busy = threading.Lock()

    def put(self, work: Work, *, hurry: bool = False) -> None:
        """Do this piece and those that others add meanwhile, or leave it to the thread that is working."""
        del hurry  # pieces are not grouped here
        self._waiting.append(work)
        while self._waiting and self._busy.acquire(blocking=False):
            try:
                while self._waiting:
                    self._do(self._waiting.popleft())
            finally:
                self._busy.release()

    def hurry(self) -> None:
        """Do nothing: pieces are not grouped here."""


class ThreadDriver:
    """Threads around the chain core of one stream."""

    def __init__(
        self, plan: ChainPlan, info: StreamInfo, steps: tuple[Step, ...], pool: Pool, watch: Watch, handlers: Handlers
    ) -> None:
        self.seconds = tuple(Histogram() for _ in steps)
        self.core = ChainCore(info, steps, WatchedCaller(info.name, watch, self.seconds, self._ordered_hung))
        self.queue = Queue(self)
        self._plan = plan
        self._info = info
        self._pool = pool
        self._watch = watch
        self._handlers = handlers
        self._ordered = _Ordered()
        # without ordered plugins the rest takes microseconds: no thread needs to wake up for it
        by_workers = not handlers.may_block and all(step.kind != "ordered" for step in steps)
        self._box: Mailbox[Work] | Turns = Turns(self._take) if by_workers else Mailbox()

    @property
    def done(self) -> bool:
        """Whether the stream has ended and its plugins are closed."""
        return self._ordered.done.is_set()

    def start(self) -> None:
        """Start the ordered worker, where there is work for it, and let the pool take frames."""
        if isinstance(self._box, Mailbox):
            self._spawn(lambda: iter(()))
        self._pool.add(self.queue)

    def put(self, item: Item) -> None:
        """Let an item wait for a worker."""
        self._pool.put(self.queue, item)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the stream has ended; return whether it has."""
        return self._ordered.done.wait(timeout_s)

    def join(self) -> None:
        """Wait for the ordered worker; a stuck thread is not waited for."""
        self._ordered.done.wait()
        if self._ordered.thread is not None:
            self._ordered.thread.join()

    # --- on the pool's workers ---

    def admit(self, item: Item) -> Task:
        """Number an item that a worker takes."""
        return self.core.admit(item)

    def run(self, task: Task) -> None:
        """Run a task on this thread and hand its outcome to the ordered worker."""
        caller = WatchedCaller(
            self._info.name, self._watch, self.seconds, partial(self._pure_hung, task, threading.current_thread())
        )
        try:
            attempt = run_task(task, self._info, self._plan.flow, caller, self._handlers.warn)
        except Exception as error:  # noqa: BLE001 - a bug of streamproc itself: the ordered worker reports it
            self._box.put(partial(_fail, error), hurry=True)
            return
        self._box.put(partial(self.core.complete, task, attempt))
        if self._info.live or not self.queue.waiting:  # asked after `put`, so that the last one always hurries
            self._box.hurry()

    def _pure_hung(self, task: Task, thread: threading.Thread, step: Step) -> None:
        """Let the ordered worker switch off an abandoned pure step and run its task again."""
        where = self._watch.stack
        self._handlers.hung(step)
        self._pool.abandon(self.queue, thread)
        work = partial(self.core.hung, task, step, where)
        # the watch's own thread must not wait
        threading.Thread(target=self._box.put, args=(work,), kwargs={"hurry": True}, daemon=True).start()

    # --- on the ordered worker ---

    def _spawn(self, first: Work) -> None:
        ordered = self._ordered
        ordered.generation += 1
        name = f"streamproc-ordered-{self._info.name}"
        ordered.thread = threading.Thread(target=self._work, args=(ordered.generation, first), name=name, daemon=True)
        ordered.thread.start()

    def _ordered_hung(self, step: Step) -> None:
        """Continue behind an abandoned ordered step on another thread."""
        where = self._watch.stack
        self._handlers.hung(step)
        self._spawn(partial(self.core.resume_after_hang, step, where))

    def _work(self, generation: int, work: Work) -> None:
        try:
            self._handle(work())
            while not self.core.ended and self._ordered.generation == generation:
                assert isinstance(self._box, Mailbox)
                self._handle(self._box.get()())
            self._close_plugins()
        except Abandoned:
            return
        except Exception as error:  # noqa: BLE001 - a bug of streamproc itself ends this stream, and no other
            self._break_down(error)
        self._ordered.done.set()

    def _take(self, work: Work) -> None:
        """Do a piece of ordered work on a worker of the pool, for a stream without an ordered thread."""
        if self._ordered.done.is_set():
            return
        try:
            self._handle(work())
        except Exception as error:  # noqa: BLE001 - a bug of streamproc itself ends this stream, and no other
            self._break_down(error)
            self._ordered.done.set()
            return
        if self.core.ended:
            self._spawn(lambda: iter(()))  # plugins that take long to close must not hold a worker

    def _handle(self, outputs: Iterator[Output]) -> None:
        for output in outputs:
            if isinstance(output, Task):
                self._pool.submit(self.queue, output)
            elif isinstance(output, Record):
                self._handlers.record(output)
            elif isinstance(output, Snapshot):
                self._handlers.snapshot(output)
            else:
                self._handlers.failure(output)

    def _close_plugins(self) -> None:
        if self._ordered.to_close is None:
            self._ordered.to_close = list(self.core.steps)
        while self._ordered.to_close:
            step = self._ordered.to_close.pop(0)
            if not self.core.health.hung(step.index):
                self._close(step)

    def _close(self, step: Step) -> None:
        caller = WatchedCaller(self._info.name, self._watch, self.seconds, self._ordered_hung)
        caller(step, partial(self._handlers.close, step))

    def _break_down(self, error: Exception) -> None:
        self._pool.remove(self.queue)
        self._handlers.broken(error)
        for step in self.core.steps:
            if not self.core.health.hung(step.index):
                close_plugin(step.name, step.plugin)


def _fail(error: Exception) -> Iterator[Output]:
    raise error


__all__ = ["Handlers", "ThreadDriver", "WatchedCaller"]
