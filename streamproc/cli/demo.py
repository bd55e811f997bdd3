"""`streamproc demo`: the CCTV job on a clip, with whatever is at hand."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streamproc.cli.console import say
from streamproc.cli.modelling import download_bar
from streamproc.cli.running import RunSettings, run_plan
from streamproc.cli.samples import find_sample, samples
from streamproc.config import guess_source, load_text
from streamproc.engine import RunReport
from streamproc.errors import ModelError, redact_values, writing
from streamproc.models import ModelStore

MODEL = "yolox-nano"
SAMPLE = "cctv-one-by-one"
LABELS = ("person", "bicycle", "car", "motorcycle", "bus", "truck")


def run_demo(source: str | None, folder: Path, *, quiet: bool) -> RunReport:
    """Run the job and say what it wrote; the configuration it ran stands among the results."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    store = ModelStore()
    chosen, detector = _choose(source, store)
    job = _config(chosen, detector, folder)
    # the file is for people to look at and change: a camera's password stays out of it
    with writing(folder / "config.yaml"):
        (folder / "config.yaml").write_text(_yaml(redact_values(job)), encoding="utf-8")
    report = run_plan(load_text(_yaml(job)), RunSettings(report=folder / "report.html", quiet=quiet, models=store))
    written = [
        name for name in ("events.jsonl", "annotated.mp4", "report.html", "config.yaml") if (folder / name).exists()
    ]
    say("\n".join(["written:", *(f"  {folder / name}" for name in written)]))
    return report


def _choose(source: str | None, store: ModelStore) -> tuple[dict[str, Any], str]:
    """Choose the video and the model: the best that this machine can get within seconds."""
    motion = "motion detection does the job instead of a net"
    if source is not None:
        missing = _model_trouble(store)
        if missing:
            say(f"{MODEL} can't be had, so {motion} ({missing})")
        return guess_source(source), "motion" if missing else "detection"
    try:
        sample = samples()[SAMPLE]
        with download_bar() as progress:
            clip = find_sample(sample, progress)
    except ModelError as error:
        say(f"no sample clip can be had here, so a synthetic scene is shown and {motion} ({error})")
        options = {"width": 960, "height": 540, "rate": 15, "duration": "30s", "seed": 4, "figures": 9}
        return {"type": "synthetic", "options": options}, "motion"
    say(f"sample clip: {sample.note}; {sample.credit}, {sample.licence}")
    missing = _model_trouble(store)
    if missing:
        say(f"{MODEL} can't be had, so {motion} ({missing})")
    return {"type": "file", "options": {"path": str(clip)}}, "motion" if missing else "detection"


def _model_trouble(store: ModelStore) -> str:
    try:
        with download_bar() as progress:
            store.files(MODEL, progress=progress)
    except ModelError as error:
        return str(error)
    return ""


def _config(source: Mapping[str, Any], detector: str, folder: Path) -> dict[str, Any]:
    """The job: detection or motion, tracking, a zone, a line, an annotated video."""
    detection = {"type": "detection", "options": {"model": MODEL, "labels": list(LABELS), "min_score": 0.1}}
    rules = {
        "zones": {
            "floor": {"polygon": [[0.02, 0.02], [0.98, 0.02], [0.98, 0.98], [0.02, 0.98]], "dwell": "5s"},
        },
        "lines": {"line": {"points": [[0.7, 0.0], [0.7, 1.0]]}},
    }  # fmt: skip
    return {
        "version": 1,
        "streams": {
            "camera": {
                "source": dict(source),
                "rate": 10,
                "chain": ["objects", "tracks", "rules", "video"],
                "sinks": ["log"],
            }
        },
        "plugins": {
            "objects": detection if detector == "detection" else {"type": "motion"},
            "tracks": {"type": "tracking"},
            "rules": {"type": "rules", "options": rules},
            "video": {"type": "annotate", "options": {"path": str(folder / "annotated.mp4")}},
        },
        "sinks": {"log": {"type": "jsonl", "options": {"path": str(folder / "events.jsonl"), "mode": "replace"}}},
        "runtime": {"state": str(folder / "state")},
    }


def _yaml(config: Mapping[str, Any]) -> str:
    from ruamel.yaml import YAML

    text = io.StringIO()
    YAML().dump(dict(config), text)
    return text.getvalue()


__all__ = ["run_demo"]
