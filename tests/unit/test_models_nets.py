"""Nets in each runtime: shapes, refusals, threads, graph edits."""

from __future__ import annotations

import importlib.util
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamproc.errors import ModelError
from streamproc.models import ModelStore, Net
from streamproc.models.edits import add_mvn_epsilon
from streamproc.models.net import Tensor
from tests.nets import _finish, doubling_net, model_folder, pooling_net

INPUT = {"height": 8, "width": 8, "layout": "NCHW", "colour": "rgb"}


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(mirrors=(), cache=tmp_path / "cache", download=False)


@pytest.fixture
def real(shared: Path, tmp_path: Path) -> ModelStore:
    return ModelStore(mirrors=(shared / "models",), cache=tmp_path / "cache", download=False)


def on_threads(net: Net, inputs: list[Any]) -> list[Any]:
    """The first output for each input, each computed on a thread of its own at the same time."""
    answers: dict[int, Any] = {}

    def work(index: int) -> None:
        for _ in range(3):
            answers[index] = net(inputs[index])[0]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [answers[i] for i in range(len(inputs))]


def test_a_wrong_input_is_refused_with_both_shapes(store: ModelStore, tmp_path: Path) -> None:
    net = store.load(str(model_folder(tmp_path / "m", doubling_net())))
    with pytest.raises(ModelError, match=r"m wants the input x float32 \(1, 4\), got float32 \(1, 5\)"):
        net(np.zeros((1, 5), np.float32))
    with pytest.raises(ModelError, match=r"wants the input x float32 \(1, 4\), got float64 \(1, 4\)"):
        net(np.zeros((1, 4)))
    with pytest.raises(ModelError, match=r"wants the input x .*got z"):
        net.run({"z": np.zeros((1, 4), np.float32)})


def test_an_open_length_takes_any(store: ModelStore, tmp_path: Path) -> None:
    net = store.load(str(model_folder(tmp_path / "m", doubling_net(["batch", 4]))))
    assert net.inputs[0].shape == (None, 4)
    assert net(np.ones((3, 4), np.float32))[0].shape == (3, 4)


def test_outputs_that_misfit_are_refused_with_shapes(store: ModelStore, tmp_path: Path) -> None:
    net = store.load(str(model_folder(tmp_path / "m", doubling_net())))
    net.expect("mine", {"y": (1, None), "#0": (None, 4)})
    with pytest.raises(
        ModelError, match=r"decoder 'mine': it gives y float32 \(1, 4\), expected output #0 .*\(1, any, 85\)"
    ):
        net.expect("mine", {"#0": (1, None, 85)})


def test_another_input_size_where_the_model_allows_it(store: ModelStore, tmp_path: Path) -> None:
    spec = INPUT | {"multiple": 4}
    folder = model_folder(tmp_path / "m", pooling_net(8, 8), input=spec, edits=["onnx_input_size"])
    net = store.load(str(folder), input_hw=(4, 12))
    assert net.input_hw == (4, 12)
    assert net.outputs[0].shape == (1, 3, 2, 6)
    picture = np.arange(3 * 4 * 12, dtype=np.float32).reshape(1, 3, 4, 12)
    wanted = picture.reshape(1, 3, 2, 2, 6, 2).mean(axis=(3, 5))
    np.testing.assert_allclose(net(picture)[0], wanted, rtol=1e-6)
    assert store.load(str(folder)).input_hw == (8, 8)
    assert store.load(str(folder), input_hw=(4, 12)) is net
    with pytest.raises(ModelError, match="input size 6x8 for m: height and width must be multiples of 4"):
        store.load(str(folder), input_hw=(6, 8))


def test_other_input_size_is_refused_for_fixed_models(store: ModelStore, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m", pooling_net(8, 8), input=INPUT)
    with pytest.raises(ModelError, match="m has 8x8 only, got the input size 4x12"):
        store.load(str(folder), input_hw=(4, 12))


@pytest.mark.parametrize("wrong", [{"height": 6}, {"layout": "NHWC"}, {"layout": "NDHWC"}])
def test_net_that_differs_from_its_entry_is_refused(wrong: dict[str, Any], store: ModelStore, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m", pooling_net(8, 8), input=INPUT | wrong)
    with pytest.raises(ModelError, match=r"m wants the input x float32 \(1, 3, 8, 8\), its entry says N.*\dx8"):
        store.load(str(folder))


def test_mean_variance_normalisation_of_flat_map_gives_zeros() -> None:
    import onnxruntime as ort
    from onnx import TensorProto, helper

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 2, 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 2, 2])
    node = helper.make_node("MeanVarianceNormalization", ["x"], ["y"], axes=[2, 3])
    session = ort.InferenceSession(add_mvn_epsilon(_finish([node], [x], [y])), providers=["CPUExecutionProvider"])
    maps = np.array([[[[5, 5], [5, 5]], [[0, 4], [0, 4]]]], np.float32)
    answer = session.run(None, {"x": maps})[0]
    assert answer[0, 0].tolist() == [[0, 0], [0, 0]]  # (5 - 5) / sqrt(0 + epsilon)
    np.testing.assert_allclose(answer[0, 1], [[-1, 1], [-1, 1]], atol=1e-5)  # mean 2, deviation 2


def test_quantised_values_become_real_ones() -> None:
    tensor = Tensor(name="q", shape=(3,), dtype="uint8", scale=0.5, zero_point=10)
    assert tensor.dequantise(np.array([10, 12, 0], np.uint8)).tolist() == [0, 1, -5]


def test_a_file_of_another_kind_is_refused(store: ModelStore, tmp_path: Path) -> None:
    for runtime, library in (("onnx", "ONNX Runtime"), ("litert", "LiteRT")):
        folder = model_folder(tmp_path / runtime, b"not a model", runtime=runtime)
        with pytest.raises(ModelError, match=f"is not a model that {library}"):
            store.load(str(folder))


def test_missing_openvino_is_named_with_its_extra(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)  # what an import finds where the package is absent
    folder = model_folder(tmp_path / "m", b"<net/>", runtime="openvino")
    with pytest.raises(ModelError, match=r"pip install 'streamproc\[openvino\]'"):
        store.load(str(folder))


def test_an_onnx_net_is_shared_between_threads(store: ModelStore, tmp_path: Path) -> None:
    net = store.load(str(model_folder(tmp_path / "m", doubling_net())))
    answers = on_threads(net, [np.full((1, 4), i, np.float32) for i in range(4)])
    assert [a[0, 0] for a in answers] == [0, 2, 4, 6]


@pytest.mark.real
def test_litert_net_answers_alike_on_every_thread(real: ModelStore) -> None:
    net = real.load("mobilenet-v1-tiny")
    rng = np.random.default_rng(3)
    pictures = [rng.integers(0, 256, (1, 128, 128, 3), dtype=np.uint8) for _ in range(3)]
    alone = [net(picture)[0] for picture in pictures]
    for got, wanted in zip(on_threads(net, pictures), alone, strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert net.outputs[0].scale == 1 / 256


@pytest.mark.real
def test_litert_net_with_open_batch_takes_several(real: ModelStore) -> None:
    net = real.load("mobileface-fp16")
    faces = np.random.default_rng(4).integers(0, 256, (3, 112, 112, 3)).astype(np.float32)
    together = net(faces)[0]
    assert together.shape == (3, 256)
    for face, wanted in zip(faces, together, strict=True):
        np.testing.assert_allclose(net(face[None])[0][0], wanted, atol=2e-2)


@pytest.mark.real
def test_bodypix_loses_its_custom_operator(real: ModelStore) -> None:
    net = real.load("bodypix")
    assert {tensor.name for tensor in net.outputs} == {
        "float_heatmaps", "float_short_offsets", "float_mid_offsets", "float_long_offsets", "float_segments",
        "float_part_heatmaps",
    }  # fmt: skip
    assert net(np.zeros((1, 512, 512, 3), np.uint8))[0].shape == (1, 33, 33, 17)


@pytest.mark.real
def test_reid_0267_gives_numbers_for_a_flat_picture(real: ModelStore) -> None:
    net = real.load("reid-0267")
    flat = net(np.full((1, 3, 256, 128), 90, np.float32))[0]
    assert np.isfinite(flat).all()
    noise = np.random.default_rng(5).uniform(0, 255, (1, 3, 256, 128)).astype(np.float32)
    assert np.abs(net(noise)[0]).max() > 0


@pytest.mark.real
def test_openvino_net_answers_alike_on_every_thread(real: ModelStore) -> None:
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("OpenVINO is not installed: pip install 'streamproc[openvino]'")
    net = real.load("person-vehicle-bike")
    rng = np.random.default_rng(6)
    pictures = [rng.uniform(0, 255, (1, 3, 480, 864)).astype(np.float32) for _ in range(2)]
    alone = [net(picture)[0] for picture in pictures]
    for got, wanted in zip(on_threads(net, pictures), alone, strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert "openvino_telemetry" not in sys.modules


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras 3 with NumPy 2, when saving
def test_keras_files_are_loaded_in_safe_mode_only(store: ModelStore, tmp_path: Path) -> None:
    keras = pytest.importorskip("tensorflow").keras
    layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    good = model_folder(tmp_path / "good", b"", runtime="keras", files=[{"name": "net.keras"}])
    keras.Sequential([keras.Input((3,)), layer]).save(good / "net.keras")
    assert store.load(str(good))(np.array([[1, 2, 3]], np.float32))[0].tolist() == [[6]]

    evil = model_folder(tmp_path / "evil", b"", runtime="keras", files=[{"name": "net.keras"}])
    keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x * 2)]).save(evil / "net.keras")
    with pytest.raises(ModelError, match="safe mode"):
        store.load(str(evil))


def test_saved_model_is_loaded_unless_it_runs_code(store: ModelStore, tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    given = [tf.TensorSpec([None, 2], tf.float32, name="x")]
    files = [{"name": name} for name in ("saved_model.pb", "fingerprint.pb")]

    double = tf.Module()
    double.call = tf.function(lambda x: {"y": 2 * x}, input_signature=given)
    good = model_folder(tmp_path / "good", b"", runtime="savedmodel", files=files)
    tf.saved_model.save(double, str(good), signatures=double.call)
    assert store.load(str(good))(np.array([[1, 2]], np.float32))[0].tolist() == [[2, 4]]

    python = tf.Module()
    python.call = tf.function(lambda x: {"y": tf.py_function(abs, [x], tf.float32)}, input_signature=given)
    evil = model_folder(tmp_path / "evil", b"", runtime="savedmodel", files=files)
    tf.saved_model.save(python, str(evil), signatures=python.call)
    with pytest.raises(ModelError, match=r"can run code or touch files \(EagerPyFunc\)"):
        store.load(str(evil))
