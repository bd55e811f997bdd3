"""What every plugin must do, run over all that is registered: one without a case here fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamproc import Classification, ClipPlugin, Flow, Poses, Registry
from streamproc.frames import Clip, Frame
from streamproc.testing import (
    check_plugin_contract,
    make_clip,
    make_detections,
    make_frame,
    make_info,
    make_tracks,
    run_plugin,
)
from tests.nets import (
    answering_net,
    brightness_classes,
    brightness_clips,
    brightness_net,
    fading_net,
    model_folder,
)

COUNT = 12
INFO = make_info(width=96, height=64, rate=10)


@dataclass(frozen=True)
class Case:
    """How a plugin is set up in the suite."""

    options: Callable[[Path], dict[str, Any]] = lambda _: {}
    subjects: Callable[[], Sequence[Frame | Clip]] | None = None
    """None: `scene`"""
    past: Sequence[Sequence[Any]] | None = field(default=None)


def scene() -> list[Frame]:
    """A white block that moves to the right over noise."""
    rng = np.random.default_rng(2)
    frames = []
    for index in range(COUNT):
        rgb = rng.integers(30, 60, (64, 96, 3), dtype=np.uint8)
        rgb[16:32, 4 * index : 4 * index + 16] = 240
        frames.append(make_frame(rgb=rgb, index=index, info=INFO))
    return frames


BOXES = [make_detections([4 * i, 16, 4 * i + 16, 32]) for i in range(COUNT)]
TRACKS = [make_tracks({1: [4 * i, 16, 4 * i + 16, 32]}) for i in range(COUNT)]
NAMED = [
    Classification(label=("day",), score=np.array([i / COUNT], np.float32), class_id=np.zeros(1, np.int64))
    for i in range(COUNT)
]
FLOWS = [Flow(uv=np.full((32, 48, 2), 2, np.float32), dt_ns=100_000_000, scale=0.5) for _ in range(COUNT)]


def detector(folder: Path) -> dict[str, Any]:
    net = brightness_net(64, 96, 2)
    spec = {"height": 64, "width": 96, "layout": "NCHW", "colour": "bgr", "resize": "letterbox"}
    model = model_folder(folder / "spots", net, task="detection", decode="yolox", labels=["spot", "other"], input=spec)
    return {"model": str(model)}


def embedder(folder: Path) -> dict[str, Any]:
    net = answering_net({"embedding": np.eye(1, 8, dtype=np.float32)}, (1, 3, 32, 16))
    spec = {"height": 32, "width": 16, "layout": "NCHW", "colour": "rgb"}
    return {"model": str(model_folder(folder / "looks", net, task="re-identification", input=spec))}


def clip_net(folder: Path) -> dict[str, Any]:
    net = answering_net({"scores": np.array([[2.0, 1.0]], np.float32)}, (1, 4, 16, 16, 3))
    spec = {"height": 16, "width": 16, "layout": "NDHWC", "colour": "rgb", "frames": 4}
    return {"model": str(model_folder(folder / "clips", net, task="action", labels=["a", "b"], input=spec))}


POSES = [
    Poses(
        keypoints=np.random.default_rng(i).uniform(0, 1, (1, 17, 3)).astype(np.float32),
        score=np.ones(1, np.float32),
        track_id=np.array([3], np.int64),
    )
    for i in range(COUNT)
]
WAYS = {"task": "action", "decode": "sigmoid", "labels": ["bright", "dark"]}


def stepping_net(folder: Path) -> dict[str, Any]:
    spec = {"height": 16, "width": 16, "layout": "NHWC", "colour": "rgb"}
    return {"model": str(model_folder(folder / "steps", fading_net(16, 16), input=spec, **WAYS))}


def person_net(folder: Path) -> dict[str, Any]:
    spec = {"height": 16, "width": 16, "layout": "NDHWC", "colour": "rgb", "frames": 4}
    model = model_folder(folder / "people", brightness_clips(4, 16, 16), input=spec, **WAYS)
    return {"model": str(model), "rate": 10, "stride": "200ms", "min_height": 8}


def keypoint_net(folder: Path) -> dict[str, Any]:
    net = answering_net({"scores": np.array([[2.0, 1.0]], np.float32)}, (1, 4, 17, 3))
    model = model_folder(folder / "points", net, task="action", labels=["wave", "stand"])
    return {"model": str(model), "rate": 10, "stride": "200ms"}


def picture_net(folder: Path) -> dict[str, Any]:
    net = brightness_classes(16, 16)
    spec = {"height": 16, "width": 16, "layout": "NCHW", "colour": "rgb", "resize": "crop"}
    model = model_folder(
        folder / "levels", net, task="classification", decode="sigmoid", labels=["bright", "dark"], input=spec
    )
    return {"model": str(model), "views": ["whole", "centre", [0.0, 0.0, 0.3, 0.5]]}


CASES: dict[str, Case] = {
    "action": Case(clip_net, lambda: [make_clip(4, seed=seed) for seed in range(4)]),
    "action_stream": Case(stepping_net),
    "fusion": Case(lambda _: {"max_age": "300ms"}, past=[[n] for n in NAMED]),
    "pose_action": Case(keypoint_net, past=[[p] for p in POSES]),
    "segments": Case(lambda _: {"covers": "0s"}, past=[[n] for n in NAMED]),
    "track_action": Case(person_net, past=[[t] for t in TRACKS]),
    "annotate": Case(lambda folder: {"path": str(folder / "{stream}.mp4")}, past=[[t] for t in TRACKS]),
    "appearance": Case(embedder, past=[[b] for b in BOXES]),
    "camera_motion": Case(past=[[f] for f in FLOWS]),
    "classification": Case(picture_net),
    "camera_health": Case(lambda _: {"every": "100ms", "after": "200ms"}),
    "detection": Case(detector),
    "labels": Case(lambda _: {"window": "300ms", "min_duration": "0s"}, past=[[n] for n in NAMED]),
    "motion": Case(),
    "rules": Case(
        lambda _: {"zones": {"half": {"polygon": [[0.4, 0], [1, 0], [1, 1], [0.4, 1]]}}}, past=[[t] for t in TRACKS]
    ),
    "shots": Case(),
    "tracking": Case(past=[[b] for b in BOXES]),
}


def ours() -> list[str]:
    return [item.name for item in Registry().listings("plugin") if item.package.startswith("streamproc ")]


def test_every_registered_plugin_has_a_case() -> None:
    assert sorted(CASES) == sorted(ours())


@pytest.mark.parametrize("name", sorted(CASES))
def test_it_holds_to_the_contract_of_its_kind(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    cls = Registry().plugin(name)
    check_plugin_contract(cls, (case.subjects or scene)(), past=case.past, **case.options(tmp_path))


@pytest.mark.parametrize("name", sorted(CASES))
def test_it_runs_in_the_engine_without_a_failure(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    cls = Registry().plugin(name)
    subjects = scene() if issubclass(cls, ClipPlugin) else (case.subjects or scene)()
    flow_comes_from_the_engine = name == "camera_motion"
    past = None if flow_comes_from_the_engine else case.past
    report = run_plugin(cls, subjects, past=past, **case.options(tmp_path)).report
    (stream,) = report.streams
    assert stream.plugins[-1].verdicts.get("failed", 0) == 0
    assert stream.plugins[-1].verdicts["ok"] > 0
    assert stream.ledger.closed


@pytest.mark.parametrize("name", sorted(CASES))
def test_its_options_explain_themselves(name: str) -> None:
    schema = Registry().plugin(name).options_type.model_json_schema()
    assert all(part.get("description") for part in schema.get("properties", {}).values())
    assert (Registry().plugin(name).__doc__ or "").strip()
