"""Any order of completion gives the same records: thousands of random orders, with failures, hangs and breakers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeVar

import numpy as np
import pytest

from streamproc.chain.core import ChainCore
from streamproc.chain.item import Attempt, Barrier, End, Failure, FrameItem, Item, Output, Snapshot, Task, TimeMark
from streamproc.chain.step import Due, Step
from streamproc.chain.task import run_task
from streamproc.config.plan import FlowPlan, PluginPlan
from streamproc.events import Event, Moment
from streamproc.frames import Frame
from streamproc.options import Field, Options
from streamproc.plugin import FramePlugin, Results, StreamPlugin
from streamproc.plugin import Output as PluginOutput
from streamproc.record import Record
from streamproc.results import Caption
from streamproc.testing import make_frame, make_info

T = TypeVar("T")

CHAINS = 60
ORDERS = 50
FRAMES = 24
INFO = make_info()


class Hangs(BaseException):
    """Stands for a call that never returns."""


class ScriptOptions(Options):
    seed: int = Field(description="what the plugin does at which frame follows from it")
    fails: float = Field(description="share of frames at which it fails")
    hangs: float = Field(description="share of frames at which it hangs")


class Scripted:
    """Fails, hangs, answers and emits as its seed says, by frame alone."""

    options: Any

    def answer(self, index: int, past: Results) -> Iterator[Any]:
        dice = random.Random(f"{self.options.seed}/{index}")
        chance = dice.random()
        if chance < self.options.hangs:
            raise Hangs
        if chance < self.options.hangs + self.options.fails:
            raise ValueError(f"no {index}")
        earlier = "+".join(found.text for found in past.all(Caption).values())
        if dice.random() < 0.7:
            yield Caption(text=f"{index}({earlier})"[:200])
        for number in range(dice.choice((0, 0, 1, 2))):
            yield Event(type="a.b", phase="instant", start_ns=0, end_ns=0, frame_index=0, pts_ns=0, data={"n": number})


class Pure(Scripted, FramePlugin[ScriptOptions]):
    gives = (Caption,)

    def process(self, frame: Frame, past: Results) -> PluginOutput:
        return self.answer(frame.index, past)


class Waiting(Pure):
    waits: ClassVar[bool] = True


class Ordered(Scripted, StreamPlugin[ScriptOptions]):
    gives = (Caption,)

    def __init__(self, options: ScriptOptions) -> None:
        super().__init__(options)
        self.count = 0

    def process(self, frame: Frame, past: Results) -> PluginOutput:
        self.count += 1
        yield Event.instant(frame, "count.now", n=self.count)
        yield from self.answer(frame.index, past)

    def on_time(self, moment: Moment, reason: Any) -> PluginOutput:
        yield from self.answer(10_000 + moment.frame_index, Results())

    def flush(self, moment: Moment) -> PluginOutput:
        return [Event(type="at.end", phase="instant", start_ns=0, end_ns=0, frame_index=0, pts_ns=0)]

    def state(self) -> dict[str, Any]:
        return {"count": self.count}


def watched(step: Step, function: Callable[[], T], /) -> T:
    """A caller for plugins whose hang is an exception that the guard lets pass."""
    del step
    return function()


def steps_of(dice: random.Random) -> tuple[Step, ...]:
    kinds = [dice.choice((Pure, Ordered, Waiting)) for _ in range(dice.randint(1, 6))]
    steps = []
    for index, kind in enumerate(kinds):
        options = ScriptOptions(
            seed=dice.randrange(10**6), fails=dice.choice((0, 0.1, 0.6)), hangs=dice.choice((0, 0, 0.05))
        )
        plan = PluginPlan(
            name=f"p{index}", cls=kind, options=options, max_failures=dice.randint(1, 4),
            on_error=dice.choice(("skip", "skip", "disable")),
        )  # fmt: skip
        steps.append(Step(index=index, plan=plan, plugin=kind(options)))
    return tuple(steps)


def items_of(dice: random.Random, steps: int) -> list[Item]:
    items: list[Item] = []
    for index in range(FRAMES):
        frame = replace(make_frame(info=INFO), index=index, pts_ns=index * 100)
        due = Due(frozenset(n for n in range(steps) if dice.random() < 0.85), {})
        items.append(FrameItem(moment=Moment.of(frame), frame=frame, due=due))
        if dice.random() < 0.1:
            items.append(TimeMark(moment=Moment.of(frame), reason="gap"))
        if dice.random() < 0.1:
            items.append(Barrier(moment=Moment.of(frame), number=index))
    return [*items, End(moment=Moment(pts_ns=FRAMES * 100, frame_index=FRAMES), flush=True)]


@dataclass
class World:
    """Everything a driver could do next, one thing at a time, in an order that dice choose."""

    core: ChainCore
    items: list[Item]
    dice: random.Random | None
    """None: the order of the stream, one item after the other"""
    tasks: list[Task] = field(default_factory=list)
    done: list[Callable[[], Iterator[Output]]] = field(default_factory=list)
    out: list[Any] = field(default_factory=list)

    def play(self) -> list[Any]:
        while self.items or self.tasks or self.done:
            choices = [name for name in ("done", "tasks", "items") if getattr(self, name)]
            choice = choices[0] if self.dice is None else self.dice.choice(choices)
            if choice == "items":
                self.tasks.append(self.core.admit(self.items.pop(0)))
            elif choice == "tasks":
                self.run(self.take(self.tasks))
            else:
                self.handle(self.take(self.done))
        return self.out

    def take(self, things: list[Any]) -> Any:
        return things.pop(0 if self.dice is None else self.dice.randrange(len(things)))

    def run(self, task: Task) -> None:
        busy: list[Step] = []

        def caller(step: Step, function: Callable[[], T], /) -> T:
            busy.append(step)
            return function()

        try:
            attempt: Attempt = run_task(task, INFO, FlowPlan(), caller, lambda _: None)
        except Hangs:
            self.done.append(lambda: self.core.hung(task, busy[-1]))
        else:
            self.done.append(lambda: self.core.complete(task, attempt))

    def handle(self, work: Callable[[], Iterator[Output]]) -> None:
        try:
            for output in work():
                self.note(output)
        except Hangs:
            self.handle(lambda: self.core.resume_after_hang(self.busy))

    @property
    def busy(self) -> Step:
        """The ordered step that hangs."""
        return CALLS[-1]

    def note(self, output: Output) -> None:
        if isinstance(output, Task):
            self.tasks.append(output)
        else:
            self.out.append(described(output))


CALLS: list[Step] = []


def in_order(step: Step, function: Callable[[], T], /) -> T:
    CALLS.append(step)
    return function()


def described(output: Record | Snapshot | Failure) -> Any:
    if isinstance(output, Failure):
        given = output.given
        return ("failure", output.step.name, given.moment.frame_index, output.outcome.verdict, output.disabled)
    if isinstance(output, Snapshot):
        return ("snapshot", output.number, str(output.states))
    results = {name: found.text for (name, _), found in output.results.items()}
    return (
        "record", output.index, output.reason, dict(output.verdicts), results,
        [(event.id, event.plugin, event.sequence, dict(event.data)) for event in output.events],
    )  # fmt: skip


def play(seed: int, dice: random.Random | None) -> list[Any]:
    build = random.Random(seed)
    steps = steps_of(build)
    core = ChainCore(INFO, steps, in_order)
    return World(core, items_of(build, len(steps)), dice).play()


@pytest.fixture(autouse=True)
def _calls_that_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard contains whatever a plugin raises: let the one exception through that stands for a hang."""
    from streamproc.chain import call, core, guard, task

    def passing(name: str, plugin: Any, function: Any, stamp: Any) -> Any:
        outcome = guard.call(name, plugin, function, stamp)
        if isinstance(outcome.cause, Hangs):
            raise outcome.cause
        return outcome

    del call
    monkeypatch.setattr(core, "call", passing)
    monkeypatch.setattr(task, "call", passing)


@pytest.mark.parametrize("seed", range(CHAINS))
def test_any_completion_order_gives_the_same_records(seed: int) -> None:
    expected = by_kind(play(seed, None))
    for order in range(ORDERS):
        assert by_kind(play(seed, random.Random(1000 * seed + order))) == expected


def by_kind(found: list[Any]) -> dict[str, list[Any]]:
    """Records and snapshots in their one order; failures of each step in theirs (those of other stages run beside)."""
    ordered = [each for each in found if each[0] != "failure"]
    failures = sorted((each for each in found if each[0] == "failure"), key=lambda each: (each[1], each[2]))
    return {"ordered": ordered, "failures": failures}


def test_the_random_chains_fail_hang_and_go_off() -> None:
    found = [each for seed in range(CHAINS) for each in play(seed, None)]
    verdicts = {verdict for each in found if each[0] == "record" for verdict in each[3].values()}
    assert verdicts == {"ok", "failed", "off", "hung"}
    assert sum(each[0] == "snapshot" for each in found) > CHAINS
    assert any(each[0] == "failure" and each[4] for each in found)
    assert np.mean([len(each[5]) for each in found if each[0] == "record"]) > 1
