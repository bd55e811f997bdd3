"""Barriers of checkpoints: each is known by a number of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from streamproc.delivery.delivery import Delivery
from streamproc.engine.checkpoint import CheckpointStore
from streamproc.engine.checkpointing import Checkpointing
from streamproc.engine.intake import Intake
from streamproc.source import Position

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
        "tape", (), Delivery(cast(Any, None)), lambda: store, lambda positions: committed.append(dict(positions))
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
