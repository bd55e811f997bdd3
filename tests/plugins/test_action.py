"""The `action` plugin with a small 3-D convolution net whose answer follows from its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from streamproc import Classification, Frame, ModelError, PluginError
from streamproc.testing import (
    check_plugin_contract,
    make_clip,
    make_frame,
    make_info,
    plugin_plan,
    run_chain,
    run_plugin,
)
from streamproc_plugins.action import Action, ActionOptions
from streamproc_plugins.action.flow import flow_levels, flow_of_levels, net_flow
from streamproc_plugins.action.scores import activate, activation_of, best
from tests.nets import answering_net, model_folder

T, SIDE = 6, 24


@pytest.fixture(scope="module")
def direction_net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keras: two Conv3D filters that follow a bar, one pixel a picture to the right or left, then the maximum."""
    import keras

    right = np.zeros((T, 1, T + 2, 3, 1), np.float32)
    for t in range(T):
        right[t, 0, t : t + 3] = 1 / (9 * T)
    left = right[::-1]
    clip = keras.Input((T, SIDE, SIDE, 3))
    observed = keras.layers.Conv3D(2, (T, 1, T + 2), activation="relu", use_bias=False, name="follow")(clip)
    out = keras.layers.GlobalMaxPooling3D()(observed)
    model = keras.Model(clip, out)
    model.get_layer("follow").set_weights([np.concatenate([right, left], axis=-1)])
    folder = tmp_path_factory.mktemp("models") / "direction"
    folder.mkdir()
    model.save(folder / "net.keras")
    manifest = {
        "name": "direction",
        "task": "action",
        "runtime": "keras",
        "labels": ["right", "left"],
        "input": {
            "height": SIDE, "width": SIDE, "layout": "NDHWC", "colour": "rgb", "frames": T, "scale": [0.05, 0.05, 0.05],
        },
        "files": [{"name": "net.keras"}],
    }  # fmt: skip
    (folder / "model.json").write_text(json.dumps(manifest))
    return folder


def moving_bar(step: int, count: int = 21) -> list[Frame]:
    """A bar three pixels wide that moves by `step` pixels a frame, at 10 frames a second."""
    info = make_info(width=SIDE, height=SIDE, rate=10)
    frames = []
    for i in range(count):
        rgb = np.zeros((SIDE, SIDE, 3), np.uint8)
        start = i if step > 0 else SIDE - 3 - i
        rgb[:, start : start + 3] = 255
        frames.append(make_frame(rgb=rgb, index=i, info=info))
    return frames


@pytest.mark.parametrize(("step", "label"), [(1, "right"), (-1, "left")])
def test_direction_shown_only_by_time_is_recognised(direction_net: Path, step: int, label: str) -> None:
    options: dict[str, Any] = {"model": str(direction_net), "rate": 10, "stride": "500ms"}
    run = run_chain([plugin_plan(Action, **options)], moving_bar(step), watch=Action)
    found = run.all(Classification)
    assert len(found) == 4
    assert all(result.label[0] == label and result.score[0] > 0.9 for result in found)
    assert [event.data["label"] for event in run.events] == [label] * 4
    first = run.events[0]
    assert (first.start_ns, first.end_ns) == (0, 500_000_000)


def test_ignored_labels_and_low_scores_are_no_events(direction_net: Path) -> None:
    options: dict[str, Any] = {"model": str(direction_net), "rate": 10, "ignore": ["right"]}
    assert run_chain([plugin_plan(Action, **options)], moving_bar(1)).types == []


def test_plugin_meets_the_clip_contract(direction_net: Path) -> None:
    clips = [make_clip(T, width=SIDE, height=SIDE, seed=seed) for seed in range(4)]
    check_plugin_contract(Action, clips, model=str(direction_net))


def test_single_picture_model_is_refused_at_open(tmp_path: Path) -> None:
    spec = {"height": 8, "width": 8, "layout": "NCHW", "colour": "rgb"}
    folder = model_folder(tmp_path / "still", answering_net({"y": np.zeros((1, 3))}, (1, 3, 8, 8)), input=spec)
    with pytest.raises(PluginError, match="needs a model of clips"):
        run_plugin(Action, moving_bar(1, 3), model=str(folder))


def test_unfit_labels_are_refused_with_both_shapes(direction_net: Path, tmp_path: Path) -> None:
    folder = tmp_path / "wrong"
    folder.mkdir()
    (folder / "net.keras").write_bytes((direction_net / "net.keras").read_bytes())
    manifest = json.loads((direction_net / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**manifest, "name": "wrong", "labels": ["a", "b", "c"]}))
    with pytest.raises(PluginError, match=r"2\).*\(1, 3\)"):
        run_plugin(Action, moving_bar(1, 3), model=str(folder))
    assert issubclass(ModelError, Exception)


def test_scores_from_logits() -> None:
    assert activate(np.array([0.0, 0.0]), "softmax").tolist() == [0.5, 0.5]
    assert activate(np.array([1000.0, 0.0]), "softmax").tolist() == [1.0, 0.0]
    assert activate(np.array([0.0]), "sigmoid").tolist() == [0.5]
    assert best(np.array([0.1, 0.5, 0.5, 0.2], np.float32), 3).tolist() == [1, 2, 3]
    assert activate(np.array([-1000.0]), "sigmoid").tolist() == [0]
    assert activation_of("auto", "multilabel-logits") == "sigmoid"
    assert activation_of("auto", "softmax") == "none"
    assert activation_of("auto", "shufflenet3d") == "softmax"
    assert activation_of("none", "logits") == "none"


def test_quantised_flow_is_off_by_half_a_step() -> None:
    uv = np.linspace(-30, 30, 601, dtype=np.float32)[:, None].repeat(2, axis=1)
    levels = flow_levels(uv)
    assert (levels[0, 0], levels[-1, 0]) == (0, 255)
    back = flow_of_levels(levels)
    inside = np.abs(uv) <= 20
    assert np.abs(back - uv)[inside].max() <= 20 / 255 + 1e-5
    assert np.abs(back).max() == pytest.approx(20)
    assert net_flow(uv, "unit").max() == pytest.approx(1)
    assert net_flow(uv, "pixels") is uv


def test_region_is_read_at_its_own_resolution(direction_net: Path) -> None:
    wide = make_info(width=3 * SIDE, height=2 * SIDE, rate=10)
    frames = []
    for frame in moving_bar(1):
        rgb = np.zeros((2 * SIDE, 3 * SIDE, 3), np.uint8)
        rgb[SIDE:, SIDE : 2 * SIDE] = frame.rgb
        frames.append(make_frame(rgb=rgb, index=frame.index, info=wide))
    options: dict[str, Any] = {"model": str(direction_net), "rate": 10, "stride": "500ms"}
    inside = run_plugin(Action, frames, **options, region=[1 / 3, 0.5, 2 / 3, 1]).all(Classification)
    plain = run_plugin(Action, moving_bar(1), **options).all(Classification)
    assert [one.score.tolist() for one in inside] == [one.score.tolist() for one in plain]
    beside = run_plugin(Action, frames, **options, region=[0, 0, 1 / 3, 0.5]).all(Classification)
    assert all(one.score.tolist() == [0.5, 0.5] for one in beside)


def test_an_empty_region_is_refused() -> None:
    with pytest.raises(ValidationError, match="is empty"):
        ActionOptions(model="any", region=(0.5, 0, 0.5, 1))


@pytest.fixture(scope="module")
def flow_net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ONNX with pictures and flow as inputs; scores are the mean flow to the right, and that to the left."""
    from onnx import TensorProto, helper, numpy_helper

    rgb = helper.make_tensor_value_info("rgb", TensorProto.FLOAT, [1, T, SIDE, SIDE, 3])
    uv = helper.make_tensor_value_info("uv", TensorProto.FLOAT, [1, T, SIDE, SIDE, 2])
    out = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 2])
    ways = numpy_helper.from_array(np.array([[400, -400], [0, 0]], np.float32), "ways")
    nodes = [
        helper.make_node("ReduceMean", ["uv"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "ways"], ["moved"]),
        helper.make_node("ReduceMean", ["rgb"], ["grey"], axes=[1, 2, 3, 4], keepdims=0),
        helper.make_node("Mul", ["grey", "nothing"], ["none"]),
        helper.make_node("Add", ["moved", "none"], ["logits"]),
    ]
    nothing = numpy_helper.from_array(np.zeros(1, np.float32), "nothing")
    graph = helper.make_graph(nodes, "flow", [rgb, uv], [out], initializer=[ways, nothing])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    spec = {"height": SIDE, "width": SIDE, "layout": "NDHWC", "colour": "rgb", "frames": T}
    folder = tmp_path_factory.mktemp("models") / "flow"
    return model_folder(folder, model.SerializeToString(), task="action", labels=["right", "left"], input=spec)


@pytest.mark.parametrize(("step", "label"), [(1, "right"), (-1, "left")])
def test_two_channel_net_gets_flow(flow_net: Path, step: int, label: str) -> None:
    run = run_plugin(Action, moving_bar(step), model=str(flow_net), rate=10)
    assert [one.label[0] for one in run.all(Classification)] == [label, label]
    assert all(one.score[0] > 0.9 for one in run.all(Classification))


def test_net_without_numbers_fails_with_a_reason(tmp_path: Path) -> None:
    spec = {"height": SIDE, "width": SIDE, "layout": "NDHWC", "colour": "rgb", "frames": T}
    net = answering_net({"y": np.array([[np.nan, 1]], np.float32)}, (1, T, SIDE, SIDE, 3))
    folder = model_folder(tmp_path / "nan", net, task="action", labels=["a", "b"], input=spec)
    with pytest.raises(ModelError, match="not finite"):
        run_plugin(Action, moving_bar(1, T), model=str(folder), rate=10)


def test_inputs_without_clips_are_refused_with_shapes(tmp_path: Path) -> None:
    spec = {"height": SIDE, "width": SIDE, "layout": "NDHWC", "colour": "rgb", "frames": T}
    net = answering_net({"y": np.zeros((1, 2), np.float32)}, (1, T + 1, SIDE, SIDE, 3))
    folder = model_folder(tmp_path / "long", net, task="action", labels=["a", "b"], input=spec)
    with pytest.raises(PluginError, match=rf"\(1, {T + 1}, .*\(1, {T}, {SIDE}, {SIDE}, 3\)"):
        run_plugin(Action, moving_bar(1, 3), model=str(folder))


def test_arrays_of_an_unknown_net_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "arrays"
    folder.mkdir()
    np.savez(folder / "net.npz", w=np.zeros(3))
    spec = {"height": SIDE, "width": SIDE, "layout": "NDHWC", "colour": "rgb", "frames": T}
    manifest = {"name": "arrays", "task": "action", "runtime": "arrays", "labels": ["a"], "input": spec}
    for decode, message in (("resnet", "only shufflenet3d is known"), ("shufflenet3d", "conv1.0.weight")):
        (folder / "model.json").write_text(json.dumps({**manifest, "decode": decode, "files": [{"name": "net.npz"}]}))
        with pytest.raises(PluginError, match=message):
            run_plugin(Action, moving_bar(1, 3), model=str(folder))
