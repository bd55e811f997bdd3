"""Training from generated pictures and clips to model folders that the plugins run in the engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from streamproc import Classification
from streamproc.evaluation.classification import evaluate
from streamproc.media.stills import require_picture
from streamproc.models import ModelStore, add
from streamproc.testing import make_clip, make_frame, run_plugin
from streamproc_plugins.action import Action
from streamproc_plugins.classification import ClassificationPlugin
from streamproc_plugins.training.augment import Augmentation
from streamproc_plugins.training.charts import confusion_picture
from streamproc_plugins.training.clips import ClipSettings, action_net, read_clips, train_clips
from streamproc_plugins.training.course import CourseSettings, TrainingProgress
from streamproc_plugins.training.data import TrainingError
from streamproc_plugins.training.fit import FitCallbacks, FitSettings, compile_net, fit
from streamproc_plugins.training.head import fit_head, temperature
from streamproc_plugins.training.loading import sampled_pictures
from streamproc_plugins.training.nets import build_classifier, freeze
from streamproc_plugins.training.pictures import PictureSettings, choose, read_pictures, train_pictures
from streamproc_plugins.training.surgery import Head, with_head, without_head
from tests.videos import Recipe, encode

SIDE = 32
FAST = CourseSettings(
    batch=16,
    validation=0.25,
    fit=FitSettings(epochs=20, patience=6, rate=4e-3),
    augmentation=Augmentation(zoom=0.1, shear=0),
)


def shape(kind: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A bright disc or cross in noise, uint8 (48, 64, 3)."""
    rgb = rng.integers(0, 80, (48, 64, 3), dtype=np.uint8)
    x, y, r = int(rng.integers(18, 46)), int(rng.integers(16, 32)), int(rng.integers(9, 14))
    if kind == "disc":
        cv2.circle(rgb, (x, y), r, (230, 230, 230), -1)
    else:
        cv2.line(rgb, (x - r, y - r), (x + r, y + r), (230, 230, 230), 3)
        cv2.line(rgb, (x - r, y + r), (x + r, y - r), (230, 230, 230), 3)
    return rgb


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a subfolder per class."""
    folder, rng = tmp_path_factory.mktemp("shapes"), np.random.default_rng(5)
    for kind in ("cross", "disc"):
        (folder / kind).mkdir()
        for number in range(24):
            cv2.imwrite(str(folder / kind / f"{number}.png"), shape(kind, rng))
    return folder


def best_labels(folder: Path, pictures: list[NDArray[np.uint8]], store: ModelStore | None = None) -> list[str]:
    """The answers of `classification` for each picture, in the engine."""
    name = str(folder) if store is None else folder.name
    run = run_plugin(ClassificationPlugin, [make_frame(rgb=rgb) for rgb in pictures], models=store, model=name)
    return [found.label[0] for found in run.all(Classification)]


@pytest.fixture(scope="module")
def trained(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of the net `small`."""
    out = tmp_path_factory.mktemp("models") / "shapes"
    settings = PictureSettings(out=out, name="shapes", size=(SIDE, SIDE), width=0.5, course=FAST)
    outcome = train_pictures(read_pictures(shapes), settings, TrainingProgress())
    assert outcome.report.accuracy[1] >= 0.9
    return out


def test_trained_net_classifies_in_the_engine(trained: Path, tmp_path: Path) -> None:
    store = ModelStore(mirrors=[], cache=tmp_path)
    assert add(store, trained).label_names == ("cross", "disc")
    rng = np.random.default_rng(77)
    kinds = ["disc", "cross"] * 6
    found = best_labels(trained, [shape(kind, rng) for kind in kinds], store)
    assert np.mean([a == b for a, b in zip(found, kinds, strict=True)]) > 0.8


def test_a_training_leaves_figures_curves_and_a_log(trained: Path) -> None:
    import tensorflow as tf

    report = json.loads((trained / "training.json").read_text())
    epochs = report["history"]["epochs"]
    assert epochs[report["history"]["best"] - 1]["val_loss"] == min(epoch["val_loss"] for epoch in epochs)
    assert report["held_out"]["accuracy"]["top1"] >= 0.9
    for name in ("curves.png", "confusion.png"):
        assert cv2.imread(str(trained / name)) is not None
    (log,) = (trained / "tensorboard").iterdir()
    tags = {
        value.tag: value.simple_value
        for raw in tf.data.TFRecordDataset(str(log))
        for value in tf.compat.v1.Event.FromString(raw.numpy()).summary.value
    }
    assert set(tags) == {"rate", "loss", "accuracy", "val_loss", "val_accuracy"}
    assert tags["val_loss"] == pytest.approx(epochs[-1]["val_loss"], abs=1e-5)


def test_confusion_matrix_is_darker_for_more() -> None:
    report = evaluate([0, 0, 1, 1], [[0], [0], [1], [0]], ["a", "b"])
    picture = confusion_picture(report.confusion, report.labels)
    edge = picture.shape[0] - 12 - 2 * 56
    right, wrong, empty = (int(picture[edge + y, edge + x, 2]) for x, y in ((5, 5), (5, 61), (61, 5)))
    assert right < wrong < empty == 255


class Noughts:
    """Batches of a problem that a layer solves: which half of the input is larger."""

    steps = 2

    def epoch(self, number: int) -> Iterator[Any]:
        from streamproc_plugins.training.batches import Batch

        rng = np.random.default_rng(number)
        for _ in range(self.steps):
            x = rng.normal(size=(16, 4)).astype(np.float32)
            yield Batch(x, (x[:, :2].sum(1) > x[:, 2:].sum(1)).astype(np.int64), np.ones(16, np.float32))


def tiny() -> Any:
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    compile_net(model, FitSettings(rate=0.1))
    return model


def test_an_interrupted_run_keeps_the_best_so_far() -> None:
    saved: list[int] = []
    losses = iter([0.5, 0.3, 0.4, 0.1])
    weights: list[Any] = []

    def score(model: Any) -> tuple[float, float]:
        weights.append(model.get_weights())
        if len(weights) == 4:
            raise KeyboardInterrupt
        return next(losses), 1.0

    model = tiny()
    history = fit(
        model, Noughts(), score, FitSettings(rate=0.1), FitCallbacks(best=lambda _, epoch: saved.append(epoch.number))
    )
    assert (history.ended, history.best, saved) == ("interrupted", 2, [1, 2])
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), weights[1], strict=True))


def test_an_interruption_before_the_first_epoch_goes_on() -> None:
    def score(_: Any) -> tuple[float, float]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(tiny(), Noughts(), score, FitSettings(rate=0.1))


def test_training_slows_down_and_stops_without_progress() -> None:
    model = tiny()
    history = fit(model, Noughts(), lambda _: (1.0, 0.5), FitSettings(epochs=30, patience=4, rate=0.1))
    assert (history.ended, len(history.epochs), history.best) == ("early stop", 5, 1)
    assert [epoch.rate for epoch in history.epochs] == pytest.approx([0.1, 0.1, 0.1, 0.05, 0.05])


def test_nan_loss_ends_training_with_a_reason() -> None:
    with pytest.raises(TrainingError, match=r"validation loss is nan in epoch 1; use a lower learning rate"):
        fit(tiny(), Noughts(), lambda _: (float("nan"), 0.0), FitSettings(rate=0.1))


def test_equal_data_and_seed_give_equal_nets(shapes: Path, tmp_path: Path) -> None:
    course = replace(FAST, fit=FitSettings(epochs=1))
    reports = []
    for name in ("a", "b"):
        settings = PictureSettings(out=tmp_path / name, name=name, size=(SIDE, SIDE), width=0.25, course=course)
        train_pictures(read_pictures(shapes), settings, TrainingProgress())
        reports.append(json.loads((tmp_path / name / "training.json").read_text())["history"])
    assert reports[0] == reports[1]


@pytest.mark.parametrize("kind", ["mobilenet-v2", "mobilenet-v3-small"])
def test_published_nets_get_logits_and_can_freeze(kind: Any) -> None:
    model = build_classifier(kind, size=(48, 32), classes=3, width=1.0)
    assert (model.input_shape, model.output_shape) == ((None, 32, 48, 3), (None, 3))
    whole = len(model.trainable_weights)
    assert freeze(model, 1.0) == 0
    assert len(model.trainable_weights) == 2
    freeze(model, 0.0)
    assert len(model.trainable_weights) == whole


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w.weights.h5").write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="doesn't fit mobilenet-v2"):
        build_classifier("mobilenet-v2", size=(32, 32), classes=2, weights=tmp_path / "w.weights.h5")
    with pytest.raises(TrainingError, match="don't exist"):
        build_classifier("mobilenet-v2", size=(32, 32), classes=2, weights=tmp_path / "none.h5")
    with pytest.raises(TrainingError, match="expected at least 32x32"):
        build_classifier("small", size=(16, 16), classes=2)


def test_fine_tuning_leaves_frozen_weights(tmp_path: Path) -> None:
    import keras

    source = keras.applications.MobileNetV3Small(
        input_shape=(32, 32, 3), include_top=False, weights=None, minimalistic=False, pooling="avg"
    )
    source.save_weights(tmp_path / "no_top.weights.h5")
    weights = tmp_path / "no_top.weights.h5"
    model = build_classifier("mobilenet-v3-small", size=(32, 32), classes=2, weights=weights)
    before = [layer.get_weights() for layer in source.layers]
    body = next(layer for layer in model.get_layer("trunk").layers if hasattr(layer, "layers"))
    assert all(np.array_equal(a, b) for a, b in zip(body.get_weights(), source.get_weights(), strict=True))
    left = freeze(model, 0.98)
    compile_net(model, FitSettings(optimizer="sgd", rate=0.1))
    x = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype(np.float32)
    model.train_on_batch(x, np.array([0, 1, 0, 1]))
    same = [
        all(np.array_equal(a, b) for a, b in zip(layer.get_weights(), old, strict=True))
        for layer, old in zip(body.layers, before, strict=True)
    ]
    assert all(same[:-left])
    assert not all(same)


def test_mode_without_its_input_is_refused(shapes: Path, tmp_path: Path) -> None:
    data = read_pictures(shapes)
    settings = PictureSettings(out=tmp_path, name="x")
    with pytest.raises(TrainingError, match="--mode bottleneck needs a trained net"):
        choose(data, replace(settings, mode="bottleneck"))
    with pytest.raises(TrainingError, match="--mode fine-tune needs the weights"):
        choose(data, replace(settings, mode="fine-tune"))
    assert choose(data, settings).mode == "scratch"
    assert choose(data, replace(settings, base="mobilenet-v2")).mode == "bottleneck"


def test_foreign_folder_is_left_alone(shapes: Path, tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(TrainingError, match="is there and isn't a model folder"):
        train_pictures(read_pictures(shapes), PictureSettings(out=tmp_path, name="x"), TrainingProgress())


def test_unreadable_pictures_are_reported_together(shapes: Path, tmp_path: Path) -> None:
    for kind in ("a", "b"):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for number in range(4):
            (tmp_path / "data" / kind / f"{number}.png").write_bytes(b"no picture")
    settings = PictureSettings(out=tmp_path / "out", name="x", size=(32, 32), course=FAST)
    for _ in range(2):  # files of the first try aren't in the way of the second
        with pytest.raises(TrainingError) as emitted:
            train_pictures(read_pictures(tmp_path / "data"), settings, TrainingProgress())
        head, *lines = str(emitted.value).splitlines()
        assert head == "8 files can't be used; mend them or take them out of the data:"
        data = tmp_path / "data"
        assert lines == [f"  {data / kind / f'{n}.png'} can't be read as a picture" for kind in "ab" for n in range(4)]
    assert {path.name for path in settings.out.iterdir()} == {"tensorboard"}


def pooled_net() -> bytes:
    """ONNX classifier (1, 3, 16, 16) of 4 classes whose features are the means of red, green and blue."""
    weights = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["means"]),
        helper.make_node("Flatten", ["means"], ["features"]),
        helper.make_node("Gemm", ["features", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"]),
    ]
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 16, 16])
    out = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 4])
    graph = helper.make_graph(nodes, "test", [image], [out], [numpy_helper.from_array(weights, "weights")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


def pooled_litert(*, int8: bool) -> bytes:
    """The same for LiteRT, (1, 16, 16, 3), its inside 8-bit integers where wanted."""
    import tensorflow as tf

    weights = tf.constant(np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32))

    def net(images: Any) -> Any:
        return tf.nn.softmax(tf.matmul(tf.reduce_mean(images, axis=(1, 2)), weights))

    graph = tf.function(net, input_signature=[tf.TensorSpec((1, 16, 16, 3), tf.float32)])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph.get_concrete_function()])
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        levels = [np.full((1, 16, 16, 3), n, np.float32) for n in range(0, 256, 5)]
        converter.representative_dataset = lambda: ([value] for value in levels)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return bytes(converter.convert())


def base_folder(folder: Path, kind: str) -> Path:
    """A classifier in the store's form."""
    folder.mkdir()
    spec: dict[str, Any] = {"height": 16, "width": 16, "colour": "rgb", "layout": "NCHW" if kind == "onnx" else "NHWC"}
    content = pooled_net() if kind == "onnx" else pooled_litert(int8=kind == "int8")
    name = "net.onnx" if kind == "onnx" else "net.tflite"
    (folder / name).write_bytes(content)
    manifest = {
        "name": "means", "task": "classification", "runtime": "onnx" if kind == "onnx" else "litert",
        "decode": "softmax", "labels": list("abcd"), "input": spec, "files": [{"name": name}],
    }  # fmt: skip
    (folder / "model.json").write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize(
    "kind", ["onnx", "litert", pytest.param("int8", marks=pytest.mark.filterwarnings("ignore:Statistics"))]
)
@pytest.mark.parametrize("head", ["logistic", "svm"])
def test_head_over_features_is_an_ordinary_model(kind: str, head: Any, tmp_path: Path) -> None:
    """Two folders of frames, reddish and bluish ones, which differ in the means of the channels only."""
    rng = np.random.default_rng(2)
    for label, channel in (("safe", 0), ("unsafe", 2)):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(16):
            rgb = rng.integers(0, 120, (24, 24, 3), dtype=np.uint8)
            rgb[..., channel] += 60
            cv2.imwrite(str(tmp_path / "data" / label / f"{number}.png"), rgb[..., ::-1])
    settings = PictureSettings(
        out=tmp_path / "safety", name="safety", base=str(base_folder(tmp_path / "base", kind)), head=head, course=FAST
    )
    outcome = train_pictures(read_pictures(tmp_path / "data"), settings, TrainingProgress())
    assert outcome.report.accuracy[1] == 1
    red, blue = np.zeros((2, 24, 24, 3), np.uint8)
    red[..., 0], blue[..., 2] = 150, 150
    assert best_labels(tmp_path / "safety", [red, blue, red]) == ["safe", "unsafe", "safe"]
    store = ModelStore(mirrors=[], cache=tmp_path / "cache")
    assert add(store, tmp_path / "safety").decode == "softmax"


def run_bytes(content: bytes, runtime: str, folder: Path, value: NDArray[np.float32]) -> NDArray[np.float32]:
    folder.mkdir()
    (folder / "net").write_bytes(content)
    manifest = {"name": "x", "task": "test", "runtime": runtime, "files": [{"name": "net"}]}
    (folder / "model.json").write_text(json.dumps(manifest))
    return ModelStore().load(str(folder))(value)[0]


@pytest.mark.parametrize("runtime", ["onnx", "litert"])
def test_surgery_gives_features_and_a_head(runtime: str, tmp_path: Path) -> None:
    means = np.array([10, 20, 60], np.float32)
    picture = np.ones((1, 16, 16, 3), np.float32) * means
    value = picture.transpose(0, 3, 1, 2).copy() if runtime == "onnx" else picture
    content = pooled_net() if runtime == "onnx" else pooled_litert(int8=False)
    bare = run_bytes(without_head(content, runtime, classifier=True), runtime, tmp_path / "bare", value)
    assert bare.ravel().tolist() == pytest.approx(means.tolist())
    head = Head(np.array([[0.1, 0], [0, 0.1], [0, 0]], np.float32), np.array([0, 0.5], np.float32))
    scores = run_bytes(with_head(content, runtime, head, classifier=True), runtime, tmp_path / "whole", value)
    logits = np.array([1, 2.5])
    assert scores.ravel().tolist() == pytest.approx((np.exp(logits) / np.exp(logits).sum()).tolist(), abs=1e-5)
    behind = Head(np.eye(4, dtype=np.float32), np.zeros(4, np.float32))
    stored = run_bytes(with_head(content, runtime, behind, classifier=False), runtime, tmp_path / "behind", value)
    assert stored.shape == (1, 4)
    assert stored.sum() == pytest.approx(1)


def test_onnx_nets_stay_right_after_cutting() -> None:
    onnx.checker.check_model(onnx.load_from_string(without_head(pooled_net(), "onnx", classifier=True)))


@pytest.mark.parametrize("kind", ["logistic", "svm"])
def test_head_separates_and_is_calibrated(kind: Any) -> None:
    rng = np.random.default_rng(4)
    ids = np.arange(300) % 3
    middles = np.array([[3, 0, 0], [0, 3, 0], [0, 0, 3]])
    points = middles[ids] + rng.normal(size=(300, 3)) * [1, 1, 1]
    scaled = points * [1, 100, 0.01] + [5, -900, 0.3]  # features come in any scale
    head, _ = fit_head(scaled[:200], ids[:200], np.ones(200), (scaled[200:], ids[200:]), kind)
    logits = scaled[200:] @ head.weights + head.bias
    sure = np.exp(logits - logits.max(1, keepdims=True))
    sure /= sure.sum(1, keepdims=True)
    right = sure.argmax(1) == ids[200:]
    assert right.mean() > 0.9
    assert abs(sure.max(1).mean() - right.mean()) < 0.05


def test_a_temperature_mends_scores_that_are_too_sure() -> None:
    """Right three times of four, said with logits ten times too large."""
    ids = np.array([0, 0, 0, 1] * 10)
    logits = np.tile(np.array([[10 * np.log(3), 0.0]]), (40, 1))
    assert temperature(logits, ids) == pytest.approx(0.1, rel=0.01)


def mean_motion(kind: str, *, frames: int, size: tuple[int, int], classes: int, width: float, flow: bool) -> Any:
    """A stand-in for the nets of `action`: convolution over space and time, then the mean."""
    import keras

    assert (kind, flow) == ("stand-in", False)
    layers = keras.layers
    clip = keras.Input((frames, size[1], size[0], 3))
    x = layers.Rescaling(1 / 255)(clip)
    x = layers.Conv3D(round(8 * width), (3, 3, 5), activation="relu", padding="same")(x)
    x = layers.MaxPooling3D((1, 4, 4))(x)
    x = layers.Conv3D(round(8 * width), (3, 3, 3), activation="relu")(x)
    return keras.Model(clip, layers.Dense(classes)(layers.GlobalMaxPooling3D()(x)))


def moving(step: int, start: int, count: int = 12) -> NDArray[np.uint8]:
    """A bright bar that moves by `step` pixels a picture, uint8 (count, 32, 64, 3)."""
    rgb = np.full((count, 32, 64, 3), 30, np.uint8)
    for number in range(count):
        left = (start + step * number) % 56
        rgb[number, :, left : left + 8] = 220
    return rgb


def test_action_plugin_runs_the_trained_folder(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for label, step in (("left", -4), ("right", 4)):
        (tmp_path / "data" / label).mkdir(parents=True)
        for group in range(1, 9):
            clip = moving(step, int(rng.integers(56)))
            recipe = Recipe(codec="mpeg4", frames=12, size=(64, 32), picture=lambda n, clip=clip: clip[n])  # type: ignore[misc]
            encode(tmp_path / "data" / label / f"v_Bar_g{group:02}_c01.avi", recipe)
    course = replace(
        FAST, batch=6, fit=FitSettings(epochs=40, patience=12, rate=1e-2),
        augmentation=Augmentation(flip=False, zoom=0, shear=0, shift=0, brightness=0.1),
    )  # fmt: skip
    settings = ClipSettings(
        out=tmp_path / "bars", name="bars", net="stand-in", frames=6, rate=25, size=(32, 16), course=course
    )
    outcome = train_clips(read_clips(tmp_path / "data"), settings, TrainingProgress(), build=mean_motion)
    assert outcome.report.accuracy[1] >= 0.75
    store = ModelStore(mirrors=[], cache=tmp_path / "cache")
    assert add(store, tmp_path / "bars").task == "action"
    clips = []
    for step in (-4, 4, -4, 4):
        rgb = np.stack([cv2.resize(picture, (32, 16), interpolation=cv2.INTER_AREA) for picture in moving(step, 28, 6)])
        clips.append(replace(make_clip(6, width=32, height=16), rgb=rgb))
    run = run_plugin(Action, clips, models=store, model="bars")
    found = [result.label[0] for result in run.all(Classification)]
    assert found == ["left", "right", "left", "right"]


def test_two_stream_net_trains_on_flow(tmp_path: Path) -> None:
    for label, step in (("left", -4), ("right", 4)):
        (tmp_path / "data" / label).mkdir(parents=True)
        for group in range(1, 4):
            clip = moving(step, 8 * group)
            recipe = Recipe(codec="mpeg4", frames=12, size=(64, 32), picture=lambda n, clip=clip: clip[n])  # type: ignore[misc]
            encode(tmp_path / "data" / label / f"v_Bar_g{group:02}_c01.avi", recipe)
    course = replace(FAST, batch=4, fit=FitSettings(epochs=1))
    settings = ClipSettings(
        out=tmp_path / "two", name="two", net="two_stream", frames=4, rate=25, size=(32, 16), width=0.125, course=course
    )
    train_clips(read_clips(tmp_path / "data"), settings, TrainingProgress())
    net = ModelStore().load(str(tmp_path / "two"))
    assert sorted(tensor.shape[-1] or 0 for tensor in net.inputs) == [2, 3]


def test_unfit_clip_net_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no net 'c4d' for clips, expected one of .*c3d"):
        action_net("c4d", frames=4, size=(32, 32), classes=2)


@pytest.mark.real
def test_head_separates_empty_rooms_from_new_people(shared: Path, tmp_path: Path) -> None:
    """A frame a second of six visits; whole visits and pauses are held out."""
    visits = json.loads((shared / "media" / "truth.json").read_text())["cctv_one_by_one.mp4"]["visits"]
    for second, rgb in enumerate(sampled_pictures(shared / "media" / "cctv_one_by_one.mp4", (320, 216), 1)):
        frame = 10 * second
        inside = [n for n, visit in enumerate(visits) if visit["first"] + 5 <= frame <= visit["last"] - 5]
        near = [visit for visit in visits if visit["first"] - 10 <= frame <= visit["last"] + 10]
        if near and not inside:
            continue
        name = f"person/visit{inside[0]}" if inside else f"empty/pause{sum(v['last'] < frame for v in visits)}"
        (tmp_path / "data" / name).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "data" / name / f"{second}.png"), rgb[..., ::-1])
    settings = PictureSettings(out=tmp_path / "room", name="room", base="mobilenet-v2", head="svm", course=FAST)
    store = ModelStore(mirrors=[shared / "models"], cache=tmp_path / "cache", download=False)
    outcome = train_pictures(read_pictures(tmp_path / "data"), settings, TrainingProgress(), store)
    assert outcome.report.accuracy[1] >= 0.95
    own = ModelStore(mirrors=[], cache=tmp_path / "own")
    add(own, tmp_path / "room")
    observed = [sorted((tmp_path / "data" / name).iterdir())[2] for name in ("empty/pause0", "person/visit3")]
    pictures = [require_picture(path) for path in observed]
    assert best_labels(tmp_path / "room", pictures, own) == ["empty", "person"]
