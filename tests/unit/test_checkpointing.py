"""Barriers of checkpoints: each is known by a number of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from streamproc.delivery.delivery import Delivery
from streamproc.engine.checkpoint import CheckpointStore
from streamproc.engine.checkpointing import Checkpointing, Exits
from streamproc.engine.intake import Intake
from streamproc.engine.loop import RecordQueue
from streamproc.source import Position
from streamproc.testing import make_records

STREAM = make_records(1)[0].stream.name

Then = Callable[[Any, dict[str, Any]], None]


class Barriers:
    """An intake that holds its barriers up."""

    def __init__(self) -> None:
        self.held: dict[int, Then] = {}

    def barrier(self, number: int, then: Then) -> None:
        assert number not in self.held
        self.held[number] = then


def test_a_barrier_in_flight_outlives_a_failed_checkpoint(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "checkpoints.sqlite")
    committed: list[Any] = []
    checkpoints = Checkpointing(
        "tape",
        (),
        Exits(Delivery(cast(Any, None)), None),
        lambda: store,
        lambda positions: committed.append(dict(positions)),
    )
    checkpoints.read(Position(partition="0", offset=4))
    fast, slow = Barriers(), Barriers()
    intakes = {"fast": cast(Intake, fast), "slow": cast(Intake, slow)}
    checkpoints.begin(intakes, ["fast", "slow"])
    (failed,) = fast.held
    fast.held.pop(failed)(None, {})  # a plugin's state can't be read
    checkpoints.finish()
    checkpoints.begin(intakes, ["fast", "slow"])
    slow.held.pop(failed)({}, {})
    for intake in (fast, slow):
        (number,) = intake.held
        intake.held.pop(number)({}, {})
    checkpoints.finish()
    assert committed == [{"0": 5}]
    store.close()


def test_positions_wait_for_the_loop_over_the_records(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "checkpoints.sqlite")
    committed: list[Any] = []
    queue = RecordQueue()
    exits = Exits(Delivery(cast(Any, None)), queue)
    checkpoints = Checkpointing("tape", (), exits, lambda: store, lambda found: committed.append(dict(found)))
    barriers = Barriers()
    records = iter(queue)
    for offset in (0, 1):
        queue.record(make_records(3)[offset])
        checkpoints.read(Position(partition="0", offset=offset))
    checkpoints.begin({STREAM: cast(Intake, barriers)}, [STREAM])
    (then,) = barriers.held.values()
    then({}, {})
    next(records)
    next(records)
    checkpoints.finish()
    assert committed == []  # the loop is still at the second record
    queue.finish()
    assert next(records, None) is None
    checkpoints.finish()
    assert committed == [{"0": 2}]
    store.close()


def test_left_loop_commits_nothing(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "checkpoints.sqlite")
    committed: list[Any] = []
    queue = RecordQueue()
    exits = Exits(Delivery(cast(Any, None)), queue)
    checkpoints = Checkpointing("tape", (), exits, lambda: store, lambda found: committed.append(dict(found)))
    barriers = Barriers()
    queue.record(make_records(2)[0])
    checkpoints.read(Position(partition="0", offset=0))
    checkpoints.begin({STREAM: cast(Intake, barriers)}, [STREAM])
    (then,) = barriers.held.values()
    then({}, {})
    queue.close()
    checkpoints.finish()
    assert not checkpoints.pending
    assert committed == []
    store.close()
