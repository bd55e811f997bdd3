"""True time from file to event: a box crosses a line and enters a zone at moments known by arithmetic."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamproc import Detections, Frame, FramePlugin, Options, Output, Results
from streamproc.config import load_text
from streamproc.engine import Engine, RunReport
from streamproc.frames import SECOND_NS, Image
from tests.videos import Recipe, encode, hurt

WIDTH, HEIGHT, SIDE = 320, 180, 24
SPEED = 40.0
"""of the box, pixels per second"""
START = 21.3
"""of its centre, pixels"""
CROSSING_S = (WIDTH / 2 - START) / SPEED
SECONDS = 6.5


class FindWhite(FramePlugin[Options]):
    """The white box, between pixels."""

    gives = (Detections,)

    def process(self, frame: Frame, past: Results) -> Output:
        profile = np.clip((frame.gray[84 : 76 + SIDE].mean(axis=0) - 60) / 170, 0, 1)
        if profile.sum() < SIDE / 2:
            return [Detections.empty()]
        centre = float((profile * (np.arange(WIDTH) + 0.5)).sum() / profile.sum())
        box = [centre - SIDE / 2, 80, centre + SIDE / 2, 80 + SIDE]
        return [Detections.of(np.array([box]), np.array([0.9]), ["box"])]


def at(time_ns: int) -> Image:
    """The scene at a moment: the edges of the box lie between pixels, as a camera would have it."""
    centre = START + SPEED * time_ns / SECOND_NS
    inside = np.clip(SIDE / 2 + 0.5 - np.abs(np.arange(WIDTH) + 0.5 - centre), 0, 1)
    picture = np.full((HEIGHT, WIDTH), 40.0)
    picture[80 : 80 + SIDE] += 190 * inside
    return np.repeat(picture.astype(np.uint8)[..., None], 3, axis=2)


def steady(rate: Fraction) -> list[int]:
    return [round(i * SECOND_NS / rate) for i in range(round(SECONDS * rate))]


def variable() -> list[int]:
    steps = np.random.default_rng(5).choice([20, 33, 40, 100, 120], 200) * 1_000_000
    times = np.concatenate([[0], np.cumsum(steps)])
    return [int(t) for t in times if t < SECONDS * SECOND_NS]


def with_gap() -> list[int]:
    return [t for t in steady(Fraction(25)) if not SECOND_NS < t < 1.7 * SECOND_NS]


@dataclass(frozen=True)
class Case:
    times: Sequence[int]
    name: str = "clip.mp4"
    codec: str = "libx264"
    b_frames: int = 0


CASES = {
    "25 a second": Case(steady(Fraction(25))),
    "29.97 with B-frames": Case(steady(Fraction(30000, 1001)), b_frames=2),
    "10 a second, HEVC": Case(steady(Fraction(10)), codec="libx265"),
    "60 a second, Matroska's milliseconds": Case(steady(Fraction(60)), name="clip.mkv"),
    "variable": Case(variable()),
    "variable with B-frames": Case(variable(), b_frames=2),
    "a gap": Case(with_gap()),
}

CONFIG = """
version: 1
streams:
  s: {{source: {clip}, chain: [find, tracks, rules], sinks: [log]}}
plugins:
  find: {{type: "tests.system.test_true_time:FindWhite"}}
  tracks: {{type: tracking}}
  rules:
    type: rules
    options:
      zones: {{right: {{polygon: [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]}}}}
      lines: {{middle: {{points: [[0.5, 0], [0.5, 1]]}}}}
sinks:
  log: {{type: jsonl, options: {{path: {events}, mode: replace}}}}
runtime: {{workers: {workers}, state: {state}}}
"""


def run(clip: Path, folder: Path, workers: int = 2) -> tuple[RunReport, list[dict[str, Any]], bytes]:
    events = folder / "events.jsonl"
    text = CONFIG.format(clip=json.dumps(str(clip)), events=events, workers=workers, state=folder / "state")
    report = Engine(load_text(text)).run()
    content = events.read_bytes()
    return report, [json.loads(line) for line in content.splitlines()], content


def video(folder: Path, case: Case) -> Path:
    recipe = Recipe(
        codec=case.codec, frames=len(case.times), size=(WIDTH, HEIGHT), b_frames=case.b_frames,
        times_ns=case.times, picture=lambda number: at(case.times[number]),
    )  # fmt: skip
    return encode(folder / case.name, recipe)


@pytest.mark.parametrize("name", CASES)
def test_events_carry_the_true_time_within_one_frame(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    report, events, _ = run(video(tmp_path, case), tmp_path)
    frame_s = max(np.diff([t for t in case.times if abs(t / SECOND_NS - CROSSING_S) < 0.3])) / SECOND_NS
    (crossed,) = [event["data"] for event in events if event["type"] == "line.crossed"]
    assert crossed["start_s"] == pytest.approx(CROSSING_S, abs=frame_s)
    assert crossed["direction"] == "left"
    entered = next(event["data"] for event in events if event["type"] == "zone.entered")
    assert entered["start_s"] == pytest.approx(CROSSING_S, abs=frame_s)
    (stream,) = report.streams
    assert stream.ledger.closed
    assert stream.ledger.total("processed") == len(case.times)
    assert stream.media_s == pytest.approx((case.times[-1] - case.times[0]) / SECOND_NS, abs=0.001)


@pytest.mark.parametrize("broken", [False, True], ids=["whole", "damaged"])
def test_event_files_are_equal_in_every_run(tmp_path: Path, broken: bool) -> None:
    clip = video(tmp_path, CASES["variable with B-frames"])
    if broken:
        clip = hurt(clip, at=0.3)
    first, *others = (run(clip, tmp_path, workers) for workers in (1, 2, 5))
    assert first[1]
    for report, _, content in others:
        assert content == first[2]
        assert report.streams[0].ledger == first[0].streams[0].ledger
    if broken:
        assert first[0].streams[0].ledger.total("undecodable") > 0
    assert first[0].streams[0].ledger.closed
