"""The workers of a run: fair between streams, and replaced where a call waits or holds them for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from streamproc.chain.item import Item, Task, TimeMark
from streamproc.chain.step import Stage
from streamproc.engine.pool import PATIENCE_S, Pool, Queue
from streamproc.events import Moment

LIMIT_S = 60


class Work:
    """Work of one stream: each item is numbered, and runs `call`."""

    def __init__(self, call: Callable[[int], None]) -> None:
        self.queue = Queue(self)
        self.done: list[int] = []
        self.changed = threading.Condition()
        self._call = call
        self._count = 0

    def admit(self, item: Item) -> Task:
        self._count += 1
        return Task(sequence=self._count, place=0, stage=Stage("pure", ()), item=item, frame=None)

    def run(self, task: Task) -> None:
        self._call(task.sequence)
        with self.changed:
            self.done.append(task.sequence)
            self.changed.notify_all()

    def wait(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.done) >= count, LIMIT_S)


def item() -> Item:
    return TimeMark(moment=Moment(pts_ns=0, frame_index=0), reason="idle")


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(1)
    pool.start()
    yield pool
    pool.close()


def spin(until: threading.Event) -> None:
    while not until.is_set():
        pass


@pytest.mark.parametrize("how", [lambda gate: gate.wait(LIMIT_S), spin], ids=["waits", "computes"])
def test_long_call_does_not_starve_another_stream(how: Callable[[threading.Event], Any], pool: Pool) -> None:
    gate, started = threading.Event(), threading.Event()

    def hold(_: int) -> None:
        started.set()
        how(gate)

    slow, quick = Work(hold), Work(lambda _: None)
    for work in (slow, quick):
        pool.add(work.queue)
    pool.put(slow.queue, item())
    assert started.wait(LIMIT_S)
    for _ in range(3):
        pool.put(quick.queue, item())
    assert not quick.done  # the one worker is taken
    give_up = time.monotonic() + LIMIT_S
    while len(quick.done) < 3 and time.monotonic() < give_up:
        pool.relieve(time.monotonic() + PATIENCE_S)
        with quick.changed:
            quick.changed.wait_for(lambda: len(quick.done) >= 3, 0.02)
    assert sorted(quick.done) == [1, 2, 3]
    assert not slow.done
    gate.set()
    slow.wait(1)


def test_streams_take_turns(pool: Pool) -> None:
    order: list[str] = []
    gate = threading.Event()

    def first(number: int) -> None:
        if number == 1:
            gate.wait(LIMIT_S)
        order.append("many")

    many, one = Work(first), Work(lambda _: order.append("one"))
    for work in (many, one):
        pool.add(work.queue)
    for _ in range(5):
        pool.put(many.queue, item())
    pool.put(one.queue, item())
    gate.set()
    many.wait(5)
    one.wait(1)
    assert order.index("one") <= 2


def test_extra_workers_end_when_nobody_waits(pool: Pool) -> None:
    gates = [threading.Event() for _ in range(4)]
    started = [threading.Event() for _ in range(4)]

    def hold(number: int) -> None:
        started[number - 1].set()
        gates[number - 1].wait(LIMIT_S)

    slow = Work(hold)
    pool.add(slow.queue)
    for _ in range(4):
        pool.put(slow.queue, item())
    for place in range(4):
        while not started[place].wait(0.02):
            pool.relieve(time.monotonic() + PATIENCE_S)
    assert pool.size > 1
    for gate in gates:
        gate.set()
    slow.wait(4)
    give_up = time.monotonic() + LIMIT_S
    while pool.size > 1 and time.monotonic() < give_up:
        pool.relieve(time.monotonic())
        threading.Event().wait(0.01)
    assert pool.size == 1
