"""Drives a chain core on the caller's thread: one item after the other, without watch, so that breakpoints work."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from streamproc.chain.caller import Caller, call_plainly
from streamproc.chain.core import ChainCore
from streamproc.chain.item import Failure, Item, Snapshot, Task
from streamproc.chain.step import Step
from streamproc.chain.task import run_task
from streamproc.config.plan import ChainPlan
from streamproc.frames import StreamInfo
from streamproc.record import Record


class InlineDriver:
    """Runs the chain of one stream item by item. warn: called where optical flow can't be computed."""

    def __init__(
        self,
        plan: ChainPlan,
        info: StreamInfo,
        steps: tuple[Step, ...],
        *,
        caller: Caller = call_plainly,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.core = ChainCore(info, steps, caller)
        self._plan = plan
        self._info = info
        self._caller = caller
        self._warn = warn

    def feed(self, item: Item) -> Iterator[Record | Snapshot | Failure]:
        """Run one item and yield the outputs of the chain; a failure comes before the record of its frame."""
        tasks = deque([self.core.admit(item)])
        while tasks:
            task = tasks.popleft()
            attempt = run_task(task, self._info, self._plan.flow, self._caller, self._warn)
            for output in self.core.complete(task, attempt):
                if isinstance(output, Task):
                    tasks.append(output)
                else:
                    yield output


__all__ = ["InlineDriver"]
