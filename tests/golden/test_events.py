"""The events of whole runs, byte for byte: what a change of the engine may not change.

Where a change is wanted, `python -m tests.golden.write` writes the files again and prints what changed.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.events import check_record
from tests.golden.cases import CASES, KAFKA, Case, make_pictures, play, play_kafka
from tests.servers.kafka import KafkaBroker


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pictures(tmp_path_factory.mktemp("golden"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_events_equal_the_golden_file(case: Case, pictures: Path, tmp_path: Path) -> None:
    def run(workers: int) -> str:
        return play(case, tmp_path / str(workers), pictures, workers)

    with ThreadPoolExecutor(2) as both:
        first, *others = both.map(run, case.workers)
    assert first == case.golden.read_text()
    assert others == [first] * len(others)


def test_kafka_events_equal_the_golden_file(kafka: KafkaBroker, pictures: Path, tmp_path: Path) -> None:
    lines, messages = play_kafka(kafka, tmp_path / "run", pictures, workers=3)
    assert lines == KAFKA.golden.read_text()
    assert messages == lines


@pytest.mark.parametrize("case", [*CASES, KAFKA], ids=lambda case: case.name)
def test_golden_events_are_valid_and_distinct(case: Case) -> None:
    events = [json.loads(line) for line in case.golden.read_text().splitlines()]
    assert len({event["id"] for event in events}) == len(events) >= 50
    for event in events:
        check_record(event)
