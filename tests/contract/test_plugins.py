"""What every plugin must do, run over all that is registered: one without a case here fails."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamproc import Classification, ClipPlugin, Flow, FramePlugin, Poses, Registry, Segmentation
from streamproc.frames import Clip, Frame
from streamproc.testing import (
    check_plugin_contract,
    make_clip,
    make_detections,
    make_frame,
    make_info,
    make_tracks,
    plugin_answers,
    run_plugin,
)
from streamproc_plugins.faces.gallery import Gallery
from tests.nets import (
    answering_net,
    brightness_classes,
    brightness_clips,
    brightness_map,
    brightness_net,
    fading_net,
    model_folder,
)
from tests.plugins.faces import detector as face_detector
from tests.plugins.faces import embedder as face_embedder
from tests.plugins.faces import make_face_tracks, make_faces, person
from tests.plugins.people import bodypix_maps, hands_up, poses, standing
from tests.servers.vision import VisionServer, vision_server

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

POSES = [poses(standing(4 * i + 20, 10, 0.4), *[hands_up(70, 10)] * (i > 3)) for i in range(COUNT)]


def detector(folder: Path) -> dict[str, Any]:
    net = brightness_net(64, 96, 2)
    spec = {"height": 64, "width": 96, "layout": "NCHW", "colour": "bgr", "resize": "letterbox"}
    model = model_folder(folder / "spots", net, task="detection", decode="yolox", labels=["spot", "other"], input=spec)
    return {"model": str(model)}


def embedder(folder: Path) -> dict[str, Any]:
    net = answering_net({"embedding": np.eye(1, 8, dtype=np.float32)}, (1, 3, 32, 16))
    spec = {"height": 32, "width": 16, "layout": "NCHW", "colour": "rgb"}
    return {"model": str(model_folder(folder / "looks", net, task="re-identification", input=spec))}


def whole_embedder(folder: Path) -> dict[str, Any]:
    spec = {"height": 16, "width": 16, "layout": "NCHW", "colour": "rgb"}
    net = brightness_classes(16, 16)
    return {"model": str(model_folder(folder / "whole", net, task="retrieval", decode="embedding", input=spec))}


def clip_net(folder: Path) -> dict[str, Any]:
    net = answering_net({"scores": np.array([[2.0, 1.0]], np.float32)}, (1, 4, 16, 16, 3))
    spec = {"height": 16, "width": 16, "layout": "NDHWC", "colour": "rgb", "frames": 4}
    return {"model": str(model_folder(folder / "clips", net, task="action", labels=["a", "b"], input=spec))}


SKELETONS = [
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


def skeleton_net(folder: Path) -> dict[str, Any]:
    net = answering_net({"scores": np.array([[2.0, 1.0]], np.float32)}, (1, 4, 17, 3))
    model = model_folder(folder / "skeletons", net, task="action", labels=["wave", "stand"])
    return {"model": str(model), "rate": 10, "stride": "200ms"}


def picture_net(folder: Path) -> dict[str, Any]:
    net = brightness_classes(16, 16)
    spec = {"height": 16, "width": 16, "layout": "NCHW", "colour": "rgb", "resize": "crop"}
    model = model_folder(
        folder / "levels", net, task="classification", decode="sigmoid", labels=["bright", "dark"], input=spec
    )
    return {"model": str(model), "views": ["whole", "centre", [0.0, 0.0, 0.3, 0.5]]}


def keypoint_net(folder: Path) -> dict[str, Any]:
    answer = np.random.default_rng(0).uniform(0.2, 0.8, (1, 1, 17, 3)).astype(np.float32)
    net = answering_net({"keypoints": answer}, (1, 3, 32, 32))
    spec = {"height": 32, "width": 32, "layout": "NCHW", "colour": "rgb"}
    return {
        "model": str(model_folder(folder / "points", net, task="pose", decode="movenet", input=spec)),
        "min_height": 8,
    }


FACES = [make_faces([4 * i, 16, 4 * i + 24, 48], embeddings=person(0, 0.1, i)) for i in range(COUNT)]
FACE_TRACKS = [
    make_face_tracks({1: [4 * i, 16, 4 * i + 24, 48], 2: [60, 0, 90, 30]}, [person(0, 0.1, i), person(3)], looks=1 + i)
    for i in range(COUNT)
]


def map_net(folder: Path) -> dict[str, Any]:
    spec = {"height": 32, "width": 48, "layout": "NCHW", "colour": "rgb"}
    net = brightness_map(32, 48, "scores")
    model = model_folder(folder / "maps", net, decode="argmax", labels=["dark", "bright"], input=spec)
    return {"model": str(model), "min_area": 0.01}


def mask_net(folder: Path) -> dict[str, Any]:
    maps = bodypix_maps([standing(40, 12, 0.5), standing(90, 12, 0.5)], (9, 9))
    spec = {"height": 128, "width": 128, "layout": "NCHW", "colour": "rgb", "resize": "letterbox"}
    net = answering_net(maps, (1, 3, 128, 128))
    return {"model": str(model_folder(folder / "masks", net, decode="bodypix", input=spec)), "mask_side": 64}


MAPS = [
    Segmentation(
        class_map=np.random.default_rng(i).integers(0, 3, (24, 32), dtype=np.uint8), labels=("background", "a", "b")
    )
    for i in range(COUNT)
]


def face_nets(folder: Path) -> dict[str, Any]:
    quality = {"min_eyes": 1, "min_sharpness": 0}
    return {"model": face_detector(folder, 64, 96, (3, 3)), "embedding": face_embedder(folder), "quality": quality}


def face_heads(folder: Path) -> dict[str, Any]:
    return {"heads": {"light": picture_net(folder)["model"]}, "min_eyes": 1}


def gallery(folder: Path) -> dict[str, Any]:
    Gallery(folder / "gallery.db").add("Ada", "ada.jpg", person(0)[None], "net")
    return {"gallery": str(folder / "gallery.db")}


def captioner(folder: Path) -> dict[str, Any]:
    net = answering_net({"regions": np.eye(2, dtype=np.float32)[None]}, (1, 4, 16, 16, 3))
    model = folder / "captioner"
    spec = {"height": 16, "width": 16, "layout": "NDHWC", "colour": "rgb", "frames": 4}
    files = [{"name": "net.onnx"}, {"name": "decoder.npz"}]
    words = ["<pad>", "<start>", "<end>", "<unknown>", "dark", "bright"]
    model_folder(
        model, net, task="captioning", decode="attention-captioner", labels=words, input=spec, files=files
    )  # fmt: skip
    shapes = {
        "embedding": (6, 2), "regions_kernel": (2, 1), "regions_bias": (1,), "state_kernel": (3, 1),
        "weigh_kernel": (1, 1), "start_h_kernel": (2, 3), "start_h_bias": (3,), "start_c_kernel": (2, 3),
        "start_c_bias": (3,), "lstm_kernel": (4, 12), "lstm_recurrent": (3, 12), "lstm_bias": (12,),
        "words_kernel": (5, 6), "words_bias": (6,),
    }  # fmt: skip
    rng = np.random.default_rng(0)
    np.savez(model / "decoder.npz", **{name: rng.normal(size=shape) for name, shape in shapes.items()})  # type: ignore[arg-type]
    return {"model": str(model), "longest": 4, "min_score": 0.0}


VISION = VisionServer(text="Something moves.")


@pytest.fixture(scope="module", autouse=True)
def _vision() -> Iterator[None]:
    with vision_server(VISION):
        yield


CASES: dict[str, Case] = {
    "blur": Case(lambda folder: {"path": str(folder / "{stream}.mp4")}, past=[[f] for f in FACES]),
    "action": Case(clip_net, lambda: [make_clip(4, seed=seed) for seed in range(4)]),
    "action_stream": Case(stepping_net),
    "fusion": Case(lambda _: {"max_age": "300ms"}, past=[[n] for n in NAMED]),
    "pose_action": Case(skeleton_net, past=[[p] for p in SKELETONS]),
    "segments": Case(lambda _: {"covers": "0s"}, past=[[n] for n in NAMED]),
    "track_action": Case(person_net, past=[[t] for t in TRACKS]),
    "annotate": Case(lambda folder: {"path": str(folder / "{stream}.mp4")}, past=[[t] for t in TRACKS]),
    "appearance": Case(embedder, past=[[b] for b in BOXES]),
    "camera_motion": Case(past=[[f] for f in FLOWS]),
    "caption_net": Case(captioner, lambda: [make_clip(4, seed=seed) for seed in range(4)]),
    "captions": Case(lambda _: {"window": "500ms"}, past=[[t] for t in TRACKS]),
    "class_areas": Case(
        lambda _: {"limits": {"a": 0.3}, "window": "300ms", "min_duration": "0s", "mask": "rle", "foreground": ["b"]},
        past=[[m] for m in MAPS],
    ),
    "classification": Case(picture_net),
    "camera_health": Case(lambda _: {"every": "100ms", "after": "200ms"}),
    "detection": Case(detector),
    "face_attributes": Case(face_heads, past=[[f] for f in FACES]),
    "face_clusters": Case(past=[[f] for f in FACE_TRACKS]),
    "face_names": Case(gallery, past=[[f] for f in FACE_TRACKS]),
    "face_tracks": Case(past=[[f] for f in FACES]),
    "faces": Case(face_nets),
    "embed": Case(whole_embedder),
    # without vectors nothing is stored: the suite opens several at once, and a folder has one writer
    "remember": Case(lambda folder: {"path": str(folder / "kept")}),
    "instances": Case(mask_net),
    "labels": Case(lambda _: {"window": "300ms", "min_duration": "0s"}, past=[[n] for n in NAMED]),
    "motion": Case(),
    "pose": Case(keypoint_net, past=[[b] for b in BOXES]),
    "pose_events": Case(lambda _: {"hands_for": "200ms"}, past=[[p] for p in POSES]),
    "pose_pooling": Case(past=[[p] for p in POSES]),
    "pose_smoothing": Case(past=[[p] for p in POSES]),
    "rules": Case(
        lambda _: {"zones": {"half": {"polygon": [[0.4, 0], [1, 0], [1, 1], [0.4, 1]]}}}, past=[[t] for t in TRACKS]
    ),
    "segmentation": Case(map_net),
    "segmentation_smoothing": Case(past=[[m, f] for m, f in zip(MAPS, FLOWS, strict=True)]),
    "shots": Case(),
    "vision_language": Case(
        lambda _: {"url": VISION.url, "model": "m", "every": "400ms", "hide": [], "per_minute": 600}
    ),
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
    # flow comes from the engine
    past = case.past and [[one for one in given if not isinstance(one, Flow)] for given in case.past]
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


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[ProcessPoolExecutor]:
    """Another process, started afresh."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(int).result()  # its threads belong to this fixture, not to the first test
        yield pool


PURE = sorted(name for name in CASES if issubclass(Registry().plugin(name), FramePlugin | ClipPlugin))


@pytest.mark.parametrize("name", PURE)
def test_pure_plugin_answers_alike_in_another_process(
    name: str, elsewhere: ProcessPoolExecutor, tmp_path: Path
) -> None:
    case, cls = CASES[name], Registry().plugin(name)
    subjects, options = (case.subjects or scene)(), case.options(tmp_path)
    here = plugin_answers(cls, subjects, past=case.past, **options)
    there = elsewhere.submit(plugin_answers, cls, subjects, past=case.past, **options).result()
    assert here == there
    assert any(answer != "[]" for answer in here)


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_built_in_class_carries_its_plugins_name(name: str) -> None:
    camel = "".join(word.capitalize() for word in name.split("_"))
    # with `Plugin` behind it where its result is called so
    assert Registry().plugin(name).__name__ in (camel, f"{camel}Plugin")
