"""Quantisation: smaller files, the same answers, and a report that says so; and both commands as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from streamproc import Detections
from streamproc.cli import app
from streamproc.errors import StreamprocError
from streamproc.media.stills import require_picture
from streamproc.models import ModelStore, add
from streamproc.testing import make_frame, run_plugin
from streamproc_plugins.detection import Detection
from streamproc_plugins.training.data import TrainingError
from streamproc_plugins.training.quantize import evenly, quantize
from tests.nets import answering_net, brightness_classes, model_folder
from tests.videos import Recipe, encode

SIDE = 32
SPEC: dict[str, Any] = {"height": SIDE, "width": SIDE, "layout": "NHWC", "colour": "rgb"}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bright and dark ones."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for number in range(12):
        low = 160 if number % 2 else 0
        (folder / f"{number % 2}").mkdir(exist_ok=True)
        cv2.imwrite(
            str(folder / f"{number % 2}" / f"{number}.png"), rng.integers(low, low + 90, (40, 40, 3), dtype=np.uint8)
        )
    return folder


@pytest.fixture(scope="module")
def levels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keras: convolutions of random weights, then a layer that separates bright from dark."""
    import keras

    keras.utils.set_random_seed(1)
    layers = keras.layers
    images = keras.Input((SIDE, SIDE, 3))
    x = layers.Rescaling(1 / 255)(images)
    x = layers.Conv2D(32, 3, strides=2, activation="relu")(x)
    x = layers.Conv2D(64, 3, strides=2, activation="relu")(x)
    mean = layers.GlobalAveragePooling2D()(layers.Rescaling(1 / 255)(images))
    both = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), mean])
    out = layers.Dense(2, name="out")(both)
    model = keras.Model(images, out)
    weights = np.zeros((67, 2), np.float32)
    weights[-3:] = [[-1, 1]] * 3
    model.get_layer("out").set_weights([weights, np.array([1.5, -1.5], np.float32)])
    folder = tmp_path_factory.mktemp("models") / "levels"
    folder.mkdir()
    model.save(folder / "net.keras")
    manifest = {
        "name": "levels", "task": "classification", "runtime": "keras", "decode": "logits",
        "labels": ["dark", "bright"], "input": SPEC, "files": [{"name": "net.keras"}],
    }  # fmt: skip
    (folder / "model.json").write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize(("to", "size"), [("float16", 0.9), ("dynamic", 0.6), ("int8", 0.6)])
def test_quantised_keras_net_is_smaller_and_agrees(
    levels: Path, pictures: Path, tmp_path: Path, to: Any, size: float
) -> None:
    report = quantize(str(levels), to, tmp_path / "out", store=ModelStore(), data=pictures)
    assert report.size_ratio < size
    assert (report.same_best, report.inputs, report.measured_on) == (1, 12, "data")
    assert report.most_difference < 0.1 * report.spread + 0.05
    assert report.cosine > 0.99
    assert json.loads((tmp_path / "out" / "quantization.json").read_text())["to"] == to
    store = ModelStore(mirrors=[], cache=tmp_path / "cache")
    entry = add(store, tmp_path / "out")
    assert (entry.name, entry.runtime, entry.decode) == (f"levels-{to}", "litert", "logits")
    bright = np.full((1, SIDE, SIDE, 3), 200, np.float32)
    assert store.load(entry.name)(bright)[0].argmax() == 1


@pytest.mark.parametrize("to", ["dynamic", "int8"])
def test_an_onnx_net_stays_onnx(pictures: Path, tmp_path: Path, to: Any) -> None:
    spec = SPEC | {"layout": "NCHW"}
    entry = {"task": "classification", "decode": "sigmoid", "labels": ["bright", "dark"], "input": spec}
    model = model_folder(tmp_path / "grey", brightness_classes(SIDE, SIDE), **entry)
    report = quantize(str(model), to, tmp_path / "out", store=ModelStore(), data=pictures)
    assert report.same_best == 1
    assert json.loads((tmp_path / "out" / "model.json").read_text())["runtime"] == "onnx"


def test_clip_or_noise_serves_as_data(levels: Path, tmp_path: Path) -> None:
    clip = encode(tmp_path / "clip.mp4", Recipe(frames=60, size=(64, 48)))
    report = quantize(str(levels), "int8", tmp_path / "a", store=ModelStore(), data=clip)
    assert report.inputs == 3  # one a second of 2.4 s
    assert quantize(str(levels), "float16", tmp_path / "b", store=ModelStore()).measured_on == "noise"


def test_unquantisable_net_is_refused_with_advice(levels: Path, tmp_path: Path) -> None:
    store = ModelStore()
    with pytest.raises(TrainingError, match="int8 needs pictures like those of a run"):
        quantize(str(levels), "int8", tmp_path / "out", store=store)
    with pytest.raises(TrainingError, match="does not exist, expected a folder of pictures"):
        quantize(str(levels), "int8", tmp_path / "out", store=store, data=tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainingError, match="holds no pictures or clips"):
        quantize(str(levels), "int8", tmp_path / "out", store=store, data=tmp_path / "empty")
    net = answering_net({"y": np.zeros((1, 2), np.float32)}, (1, 3, 8, 8))
    spec = {"height": 8, "width": 8, "layout": "NCHW", "colour": "rgb"}
    with pytest.raises(TrainingError, match="computes in float32 on a CPU; choose --to dynamic"):
        quantize(str(model_folder(tmp_path / "a", net, input=spec)), "float16", tmp_path / "out", store=store)
    folder = model_folder(tmp_path / "b", net, input=spec | {"dtype": "uint8"})
    with pytest.raises(TrainingError, match="is quantised already"):
        quantize(str(folder), "dynamic", tmp_path / "out", store=store)
    with pytest.raises(TrainingError, match="says nothing of its input"):
        quantize(str(model_folder(tmp_path / "c", net)), "dynamic", tmp_path / "out", store=store)


def test_the_model_itself_is_not_written_over(tmp_path: Path) -> None:
    net = brightness_classes(SIDE, SIDE)
    folder = model_folder(tmp_path / "grey", net, labels=["bright", "dark"], input=SPEC | {"layout": "NCHW"})
    before = (folder / "model.json").read_bytes()
    (tmp_path / "same").symlink_to(folder)
    for model, out in ((folder, folder), (folder / "net.onnx", folder / ".." / "grey"), (folder, tmp_path / "same")):
        with pytest.raises(TrainingError, match="is the folder of the model itself"):
            quantize(str(model), "dynamic", out, store=ModelStore())
    assert (folder / "model.json").read_bytes() == before


def test_the_new_folder_may_be_one_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = brightness_classes(SIDE, SIDE)
    model = model_folder(tmp_path / "grey", net, labels=["bright", "dark"], input=SPEC | {"layout": "NCHW"})
    monkeypatch.chdir(tmp_path)
    assert quantize(str(model), "dynamic", Path("q8"), store=ModelStore()).after.name == "grey-dynamic"


def test_inputs_are_taken_evenly() -> None:
    assert evenly(range(100), 3) == [0, 50, 99]
    assert evenly([1, 2], 5) == [1, 2]


def call(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def test_the_command_prints_a_table_or_json(levels: Path, pictures: Path, tmp_path: Path) -> None:
    given = ("models", "quantize", levels, "--to", "dynamic", "--data", pictures, "--samples", 5)
    emitted = call(*given, "--out", tmp_path / "a")
    assert emitted.exit_code == 0
    assert "after / before" in emitted.stdout
    assert "100.0%" in emitted.stdout
    assert json.loads(call(*given, "--out", tmp_path / "b", "--json").stdout)["inputs"] == 5


def test_command_trains_a_model_usable_by_name(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMPROC_CACHE", str(tmp_path / "cache"))
    given = ("--data", pictures, "--size", 32, "--epochs", 2, "--width", 0.25, "--validation", 0.3, "--json")
    done = call("train", "classification", *given, "--out", tmp_path / "light")
    assert done.exit_code == 0
    figures = json.loads(done.stdout)
    assert figures["labels"] == ["0", "1"]
    assert "12 samples of 2 classes in 12 groups" in " ".join(done.stderr.split())
    assert "light can now be used by its name" in call("models", "add", tmp_path / "light").stdout
    scored = call("eval", "classification", pictures, "--model", "light", "--json")
    assert json.loads(scored.stdout)["accuracy"]["top1"] >= 0.5


@pytest.mark.parametrize("width", [0, -1, "nan", "inf"])
def test_a_net_without_channels_is_refused(pictures: Path, tmp_path: Path, width: Any) -> None:
    for kind in "ab":
        (tmp_path / "data" / kind).mkdir(parents=True)
        (tmp_path / "data" / kind / "1.avi").touch()
    for command, data in (("classification", pictures), ("action", tmp_path / "data")):
        given = ("train", command, "--data", data, "--out", tmp_path / "out", "--width", width)
        with pytest.raises(StreamprocError, match=f"--width is {width}, expected more than 0"):
            call(*given, *(("--net", "c3d") if command == "action" else ()))
    assert not (tmp_path / "out").exists()


def test_wrong_data_is_reported_by_the_command(tmp_path: Path) -> None:
    with pytest.raises(StreamprocError, match="does not exist, expected a folder per class"):
        call("train", "classification", "--data", tmp_path / "none", "--out", tmp_path / "out")
    for kind in "ab":
        (tmp_path / "data" / kind).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "data" / kind / "1.png"), np.zeros((8, 8, 3), np.uint8))
    given = ("train", "classification", "--data", tmp_path / "data", "--out", tmp_path / "out")
    with pytest.raises(StreamprocError, match=r"--validation is 0\.9"):
        call(*given, "--validation", 0.9)
    (tmp_path / "data" / "a" / "1.avi").write_bytes(b"")
    (tmp_path / "data" / "b" / "1.avi").write_bytes(b"")
    with pytest.raises(StreamprocError, match="one group only"):
        call("train", "action", "--data", tmp_path / "data", "--out", tmp_path / "clips", "--net", "c3d")


@pytest.mark.real
@pytest.mark.parametrize(("to", "most_size"), [("dynamic", 0.35), ("int8", 0.4)])
def test_quantised_default_detector_still_detects(shared: Path, tmp_path: Path, to: Any, most_size: float) -> None:
    """YOLOX-nano is changed as it is loaded; the new file holds the changes and takes any size of input still."""
    store = ModelStore(mirrors=[shared / "models"], cache=tmp_path / "cache", download=False)
    report = quantize("yolox-nano", to, tmp_path / "small", store=store, data=shared / "models/pictures", samples=8)
    assert report.size_ratio <= most_size
    assert json.loads((tmp_path / "small" / "model.json").read_text())["edits"] == ["onnx_input_size"]
    rgb = require_picture(shared / "models/pictures/squat.bmp")
    for size in ("auto", [416, 416]):
        run = run_plugin(Detection, [make_frame(rgb=rgb)], model=str(tmp_path / "small"), input_size=size)
        (found,) = run.all(Detections)
        assert found.label[0] == "person"
        assert np.abs(found.xyxy[0] - [104, 136, 366, 590]).max() < 20
