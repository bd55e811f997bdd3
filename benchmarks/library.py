"""What the library's loop costs beside `streamproc run`: the same job, with and without a loop over its records.

    python -m benchmarks.library [CLIP] [--rounds N] [--frames N]

CLIP defaults to the sample clip (768x432). Neither side has a sink.

real    YOLOX-nano (384x640), tracking, a zone and a line
cheap   a plugin that does nothing, so that only the framework and the decoder are left

engine      the engine as `streamproc run` starts it
library     a loop over `streamproc.run` that reads the boxes and events of each record
library px  the same loop, which also reads one pixel of each frame (the real job has them in RGB already)
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import Spread, interleaved
from benchmarks.pipeline import MODEL, sample, scaled
from streamproc import Frame, FramePlugin, Options, Output, Results

SIZE = (768, 432)
REAL = [
    {"type": "detection", "name": "people", "options": {"model": MODEL, "labels": ["person"], "min_score": 0.1}},
    {"type": "tracking", "name": "tracks"},
    {
        "type": "rules",
        "name": "fence",
        "options": {
            "zones": {
                "floor": {"polygon": [[0.02, 0.02], [0.98, 0.02], [0.98, 0.98], [0.02, 0.98]], "labels": ["person"]}
            },
            "lines": {"middle": {"points": [[0.5, 0], [0.5, 1]]}},
        },
    },
]
CHEAP = [{"type": "benchmarks.library:Nothing", "name": "nothing"}]
JOBS: dict[str, list[dict[str, Any]]] = {"real": REAL, "cheap": CHEAP}
MOST_SLOWER = 1.03
"""of the real job"""


class Nothing(FramePlugin[Options]):
    """Gives nothing and reads no pixels."""

    def process(self, frame: Frame, past: Results) -> Output:
        """No output."""
        return ()


def engine(clip: Path, job: str, models: Any) -> Callable[[], int]:
    """As `streamproc run`, without a sink."""
    from streamproc.config import load_text
    from streamproc.engine import Engine
    from streamproc.engine.process import prepare_process

    prepare_process()
    chain = [entry["name"] for entry in JOBS[job]]
    plugins = {entry["name"]: {key: entry[key] for key in entry if key != "name"} for entry in JOBS[job]}
    config = {"version": 1, "streams": {"clip": {"source": str(clip), "chain": chain}}, "plugins": plugins}
    plan = load_text(json.dumps(config))  # JSON is YAML too

    def run() -> int:
        report = Engine(plan, models=models).run()
        assert report.exit_code == 0, report
        return report.streams[0].ledger.total("processed")

    return run


def library(clip: Path, job: str, models: Any, *, pixels: bool = False) -> Callable[[], int]:
    """A loop as a user writes it."""
    import streamproc

    def run() -> int:
        count = boxes = events = light = 0
        for record in streamproc.run(clip, JOBS[job], models=models):
            boxes += sum(len(found) for found in record.all(streamproc.Tracks).values())
            events += len(record.events)
            if record.frame is not None:
                count += 1
                light += int(record.frame.rgb[0, 0, 0]) if pixels else 0
        return count

    return run


def child(variant: str, job: str, clip: Path) -> None:
    """Warm up once, then measure."""
    from streamproc.models import ModelStore

    store = ModelStore()
    run = engine(clip, job, store) if variant == "engine" else library(clip, job, store, pixels=variant == "library px")
    run()
    wall, cpu = time.perf_counter(), time.process_time()
    frames = run()
    print(json.dumps({"frames": frames, "wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}))


def report(job: str, found: dict[str, list[dict[str, float]]]) -> tuple[float, float]:
    """Show a job's figures; the median ratios of wall and CPU time of the loop without pixels."""
    print(f"{job:12} {'frames/s':>26} {'CPU-ms a frame':>24} {'wall / engine':>22} {'CPU / engine':>22}")
    ratios = (1.0, 1.0)
    for name, runs in found.items():
        fps = Spread.of([run["frames"] / run["wall_s"] for run in runs])
        cpu = Spread.of([1000 * run["cpu_s"] / run["frames"] for run in runs])
        pairs = list(zip(runs, found["engine"], strict=True))
        walls = Spread.of([ours["wall_s"] / its["wall_s"] for ours, its in pairs])
        cpus = Spread.of([ours["cpu_s"] / its["cpu_s"] for ours, its in pairs])
        print(f"{name:12} {fps!s:>26} {cpu!s:>24} {walls!s:>22} {cpus!s:>22}")
        if name == "library":
            ratios = (walls.median, cpus.median)
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--jobs", nargs="*", default=list(JOBS), choices=list(JOBS))
    parser.add_argument("--child", nargs=2, metavar=("VARIANT", "JOB"))
    arguments = parser.parse_args()
    if arguments.child:
        child(*arguments.child, arguments.clip)
        return
    with tempfile.TemporaryDirectory() as folder:
        for job in arguments.jobs:
            # a frame of the cheap job costs a fiftieth of one of the real job
            most = arguments.frames * (8 if job == "cheap" else 1)
            clip = Path(folder) / f"{job}.mp4"
            scaled(arguments.clip or sample(), clip, most, SIZE)
            variants = ("engine", "library", "library px") if job == "real" else ("engine", "library")
            script = ["-m", "benchmarks.library", str(clip), "--child"]
            wall, cpu = report(job, interleaved({name: [*script, name, job] for name in variants}, arguments.rounds))
            if job == "real":
                print(f"the loop: {wall:.3f} of the engine's time, {cpu:.3f} of its CPU time (at most {MOST_SLOWER})")


if __name__ == "__main__":
    sys.exit(main())
