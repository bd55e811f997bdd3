"""Detection, tracking and rules together, on real footage with known visits and crossings."""

from __future__ import annotations

import importlib.util
import itertools
import json
from pathlib import Path
from typing import ClassVar

import av
import numpy as np
import pytest

from streamproc import Detections, Event, Frame, FramePlugin, Options, Output, Results
from streamproc.chain.sampling import Beat
from streamproc.models import ModelStore
from streamproc.testing import make_frame, plugin_plan, run_chain, run_plugin
from streamproc_plugins.detection import Detection
from streamproc_plugins.rules import Rules
from streamproc_plugins.tracking import Tracking
from tests.plugins.real import run_text

pytestmark = pytest.mark.real

CHAIN = """
version: 1
streams:
  hall:
    source: {{type: file, options: {{path: "{path}"}}}}
    rate: {rate}
    chain: [people, tracks, fence]
plugins:
  people: {{type: detection, options: {{model: {model}, labels: [person]}}}}
  tracks: {{type: tracking}}
  fence:
    type: rules
    options:
      zones: {{picture: {{polygon: [[0, 0], [1, 0], [1, 1], [0, 1]], labels: [person], dwell: 2s}}}}
      lines: {{gate: {{points: [[{line}, 0], [{line}, 1]]}}}}
"""


def of(events: list[Event], type_: str, phase: str) -> list[Event]:
    return [event for event in events if event.type == type_ and event.phase == phase]


@pytest.fixture(scope="module")
def one_by_one(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    """Six people walk through a hall, one at a time; at 5 frames a second, the fewest that must do."""
    path = shared / "media" / "cctv_one_by_one.mp4"
    text = CHAIN.format(path=path, rate=5, model="yolox-nano", line=640 / 768)
    return run_text(text, tmp_path_factory.mktemp("state"), shared / "models")


def test_six_people_are_six_visits(one_by_one: list[Event], shared: Path) -> None:
    truth = json.loads((shared / "media" / "truth.json").read_text())["cctv_one_by_one.mp4"]
    expected = [(visit["first"] / truth["fps"], visit["last"] / truth["fps"]) for visit in truth["visits"]]
    for type_ in ("zone.entered", "zone.dwell"):
        ends = of(one_by_one, type_, "end")
        assert len(ends) == len(of(one_by_one, type_, "start")) == 6
        for event, (first, last) in zip(ends, expected, strict=True):
            assert event.start_ns / 1e9 == pytest.approx(first, abs=0.7)
            assert (event.end_ns or 0) / 1e9 == pytest.approx(last, abs=0.7)
    assert len(of(one_by_one, "zone.left", "instant")) == 6


def test_six_people_cross_the_line_once_each(one_by_one: list[Event]) -> None:
    crossed = of(one_by_one, "line.crossed", "instant")
    # from the upper end of the line to the lower, its left is the right of the screen
    assert [(event.data["direction"], event.data["count"]) for event in crossed] == [("left", n) for n in range(1, 7)]
    assert [event.start_ns / 1e9 for event in crossed] == pytest.approx([19.1, 44.1, 69.2, 86, 119, 135.2], abs=0.2)


def test_empty_scene_gives_no_event(one_by_one: list[Event], shared: Path) -> None:
    truth = json.loads((shared / "media" / "truth.json").read_text())["cctv_one_by_one.mp4"]
    for first, last in truth["empty"]:
        assert not [
            event for event in one_by_one for moment in (event.start_ns, event.end_ns)
            if moment is not None and first / 10 <= moment / 1e9 <= last / 10
        ]  # fmt: skip


@pytest.fixture(scope="module")
def first_leaves(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Frame, Detections]]:
    """Detections, frame by frame, of the first person, standing, setting off and out within two seconds."""
    store = ModelStore(mirrors=[shared / "models"], cache=tmp_path_factory.mktemp("cache"), download=False)
    frames = []
    with av.open(str(shared / "media" / "cctv_one_by_one.mp4")) as container:
        for index, picture in enumerate(itertools.islice(container.decode(video=0), 150, 215)):
            rgb = np.asarray(picture.to_ndarray(format="rgb24"), np.uint8)
            frames.append(make_frame(rgb=rgb, index=index, pts_s=picture.time - 15.0))
    run = run_plugin(Detection, frames, models=store, model="yolox-nano", labels=["person"])
    return list(zip(frames, run.all(Detections), strict=True))


class Known(FramePlugin[Options]):
    """Gives the detections of that time."""

    gives = (Detections,)
    found: ClassVar[dict[int, Detections]] = {}

    def process(self, frame: Frame, past: Results) -> Output:
        return [self.found[frame.pts_ns]]


@pytest.mark.parametrize("later", [0, 1])
@pytest.mark.parametrize("rate", [3, 3.5, 4, 5, 5.5, 6, 6.5, 7, 7.5, 8, 10])
def test_half_hidden_starter_crosses_at_every_rate(
    rate: float, later: int, first_leaves: list[tuple[Frame, Detections]]
) -> None:
    observed = first_leaves[later:]
    start_ns = observed[0][0].pts_ns
    known = type("Known", (Known,), {"found": {frame.pts_ns - start_ns: found for frame, found in observed}})
    beat = Beat.of(rate, observed[1][0].pts_ns - start_ns)
    assert beat is not None
    frames = [frame for frame, _ in observed if beat.takes(frame.pts_ns)]
    fence = plugin_plan(
        Rules, lines={"gate": {"points": [[640 / 768, 0], [640 / 768, 1]]}},
        zones={"picture": {"polygon": [[0, 0], [1, 0], [1, 1], [0, 1]], "labels": ["person"]}},
    )  # fmt: skip
    events = run_chain([plugin_plan(known), plugin_plan(Tracking), fence], frames).events
    assert len(of(events, "zone.entered", "start")) == 1
    (crossed,) = of(events, "line.crossed", "instant")
    assert (crossed.start_ns + start_ns) / 1e9 + 15 == pytest.approx(19.1, abs=0.2)


@pytest.mark.parametrize(("model", "rate"), [("yolox-nano", 6), ("person-vehicle-bike", 3)])
def test_one_person_on_the_parking_lot_crosses_once(model: str, rate: float, shared: Path, tmp_path: Path) -> None:
    if model == "person-vehicle-bike" and importlib.util.find_spec("openvino") is None:
        pytest.skip("OpenVINO is not installed: pip install 'streamproc[openvino]'")
    path = shared / "media" / "cctv_parking_person_7s.mp4"
    events = run_text(
        CHAIN.format(path=path, rate=rate, model=model, line=650 / 768), tmp_path, shared / "models"
    )  # fmt: skip
    (visit,) = of(events, "zone.entered", "end")
    assert visit.start_ns / 1e9 == pytest.approx(15 / 12, abs=0.7)
    assert (visit.end_ns or 0) / 1e9 == pytest.approx(83 / 12, abs=0.7)
    (crossed,) = of(events, "line.crossed", "instant")
    assert crossed.data["direction"] == "left"
    assert crossed.start_ns * 12 / 1e9 == pytest.approx(56, abs=3)
