"""A frame of an annotated video and the report of a run: the job of the offline demo, by the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np

from scripts.pictures.browser import screenshot
from scripts.pictures.catalogue import Picture, Studio, picture

CONFIG = """
version: 1
streams:
  yard:
    source:
      type: synthetic
      options: {width: 960, height: 540, rate: 15, duration: 30s, seed: 4, figures: 9, noise: 2}
    chain: [objects, tracks, rules, video]
    sinks: [log]
plugins:
  objects: {type: motion}
  tracks: {type: tracking}
  rules:
    type: rules
    options:
      zones: {pavement: {polygon: [[0.02, 0.55], [0.98, 0.55], [0.98, 0.98], [0.02, 0.98]], dwell: 3s}}
      lines: {middle: {points: [[0.5, 0.2], [0.5, 1.0]]}}
  video: {type: annotate, options: {path: annotated.mp4}}
sinks:
  log: {type: jsonl, options: {path: events.jsonl}}
"""


@picture("annotated.jpg")
def annotated(studio: Studio) -> Picture:
    """A frame of the video just after somebody crossed the line."""
    folder = _job(studio)
    return frame_at(folder / "annotated.mp4", lively_s(folder / "events.jsonl"))


@picture("report.jpg")
def report(studio: Studio) -> Picture:
    """The upper part of the report."""
    folder = _job(studio)
    return screenshot(folder / "report.html", studio.folder, wide=1120, high=765, whole=True)


def _job(studio: Studio) -> Path:
    """The folder of the job's output; it runs once."""

    def work(folder: Path) -> None:
        (folder / "job.yaml").write_text(CONFIG)
        words = ["-m", "streamproc", "run", "job.yaml", "--report", "report.html"]
        subprocess.run([sys.executable, *words], cwd=folder, check=True, capture_output=True)

    return studio.once("job", work)


def lively_s(events: Path) -> float:
    """Media seconds just after the first crossing while at least three are in the zone."""
    told = [json.loads(line) for line in events.read_text().splitlines()]
    visits = [
        (record["data"]["start_s"], record["data"]["end_s"])
        for record in told
        if record["type"] == "zone.entered" and record["data"]["phase"] == "end"
    ]
    crossings: list[float] = [record["data"]["start_s"] for record in told if record["type"] == "line.crossed"]
    for at in crossings:
        if sum(start <= at <= end for start, end in visits) >= 3:
            return at + 0.3
    raise SystemExit("nobody crosses the line while others are in the zone: look at the configuration")


def frame_at(video: Path, at_s: float) -> Picture:
    """The first frame from this time on."""
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            if frame.time is not None and frame.time >= at_s:
                return np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
    raise SystemExit(f"{video} ends before {at_s} s")


__all__ = ["annotated", "report"]
