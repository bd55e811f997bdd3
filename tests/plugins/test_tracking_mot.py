"""The tracker on the public detections of MOT17, against plain SORT on the same detections."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import tracking
from streamproc.evaluation.mot import MotBoxes, MotReport

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


@pytest.mark.parametrize("name", ["TUD-Campus", "TUD-Stadtmitte"])
def test_coasting_costs_no_accuracy(shared: Path, name: str) -> None:
    sequence = tracking.read_sequence(shared / "data" / "mot" / name)
    reports = {method: report[name] for method, report in tracking.compare([sequence]).items()}
    floor = reports.pop("plain SORT")
    for method, ours in reports.items():
        assert ours.mota >= floor.mota, method
        assert 100 * (ours.idf1 - floor.idf1) >= 3, method


def observed_by_a_turning_camera(sequence: tracking.MotSequence) -> tracking.MotSequence:
    """The same people before a camera that turns to and fro; nearer ones move further in the picture."""

    def moved(boxes: MotBoxes) -> MotBoxes:
        nearness = np.clip(boxes.xyxy[:, 3] / 480 - 0.3, 0.02, 2)
        shift = 400 * np.sin(boxes.frame / 15) * nearness
        return replace(boxes, xyxy=boxes.xyxy + shift[:, None] * np.array([1, 0, 1, 0]))

    return replace(sequence, truth=moved(sequence.truth), detections=moved(sequence.detections), size=None)


def test_tracking_beats_sort_with_a_moving_camera(shared: Path) -> None:
    sequence = observed_by_a_turning_camera(tracking.read_sequence(shared / "data" / "mot" / "MOT17-05"))
    reports = {name: report[sequence.name] for name, report in tracking.compare([sequence]).items()}
    floor = reports.pop("plain SORT")
    for name, ours in reports.items():
        assert 100 * (ours.mota - floor.mota) >= 1, name
        assert 100 * (ours.idf1 - floor.idf1) >= 1, name
