"""The tracker on the public detections of MOT17, against plain SORT on the same detections."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import tracking
from streamproc.evaluation.mot import MotReport

pytestmark = pytest.mark.real

SEQUENCES = ("MOT17-02", "MOT17-05")


@pytest.fixture(scope="module")
def reports(shared: Path) -> dict[str, MotReport]:
    folder = shared / "data" / "mot"
    return tracking.compare([tracking.read_sequence(folder / name) for name in SEQUENCES])


def test_the_floor_is_the_published_one(reports: dict[str, MotReport]) -> None:
    floor = reports["plain SORT"]
    assert [round(100 * floor[name].mota, 1) for name in SEQUENCES] == [32.0, 45.1]


@pytest.mark.parametrize("name", SEQUENCES)
@pytest.mark.parametrize("method", ["ours, online", "ours, back-filled"])
def test_identities_and_accuracy_are_well_above_plain_sort(
    reports: dict[str, MotReport], method: str, name: str
) -> None:
    ours, floor = reports[method][name], reports["plain SORT"][name]
    assert 100 * (ours.idf1 - floor.idf1) >= 8
    assert 100 * (ours.mota - floor.mota) >= 3
    assert ours.switches < floor.switches
