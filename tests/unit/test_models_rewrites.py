"""Changes of ONNX graphs that leave the answers as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from streamproc.errors import ModelError
from streamproc.models import ModelStore
from streamproc.models.rewrites import chain_pools, keep_columns, merge_focus
from tests.nets import _finish, doubling_net, model_folder

CORNERS = ((0, 0), (1, 0), (0, 1), (1, 1))
"""row and column of the first pixel, in YOLOX's order"""


def numbers(name: str, *values: int) -> Any:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def picture_in_and_out(channels: int) -> tuple[list[Any], list[Any]]:
    return (
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, "H", "W"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, channels, "h", "w"])],
    )


def focus_net(corners: Sequence[tuple[int, int]] = CORNERS, *, step: int = 2, stride: int = 1) -> bytes:
    """Slices of two channels in this order, joined, and a 3x3 convolution with five outputs."""
    rng = np.random.default_rng(5)
    weights = rng.normal(size=(5, 2 * len(corners), 3, 3)).astype(np.float32)
    constants = [
        numpy_helper.from_array(weights, "w"),
        numpy_helper.from_array(rng.normal(size=5).astype(np.float32), "b"),
        *(numbers(f"n{i}", i) for i in range(4)),
        numbers("step", step),
        numbers("end", 2**63 - 1),
    ]
    nodes = []
    for i, (row, column) in enumerate(corners):
        nodes.append(helper.make_node("Slice", ["x", f"n{row}", "end", "n2", "step"], [f"r{i}"]))
        nodes.append(helper.make_node("Slice", [f"r{i}", f"n{column}", "end", "n3", "step"], [f"p{i}"]))
    nodes.append(helper.make_node("Concat", [f"p{i}" for i in range(len(corners))], ["joined"], axis=1))
    nodes.append(helper.make_node("Conv", ["joined", "w", "b"], ["y"], pads=[1] * 4, strides=[stride] * 2))
    return _finish(nodes, *picture_in_and_out(5), constants)


def pooling_pyramid(*sides: int, stride: int = 1) -> bytes:
    """Maximum pools of these sides over one tensor, joined in this order."""
    nodes = [
        helper.make_node(
            "MaxPool", ["x"], [f"m{side}"], kernel_shape=[side] * 2, pads=[side // 2] * 4, strides=[stride] * 2
        )
        for side in sides
    ]
    nodes.insert(1, helper.make_node("Identity", [f"m{sides[0]}"], ["early"]))  # read before the other pools stand
    nodes.append(helper.make_node("Concat", ["early", *(f"m{side}" for side in sides[1:])], ["y"], axis=1))
    return _finish(nodes, *picture_in_and_out(2 * len(sides)))


def answers(model: bytes, picture: NDArray[np.float32]) -> NDArray[np.float32]:
    import onnxruntime as ort

    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: picture})[0])


def kinds(model: bytes) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load_from_string(model).graph.node)


@pytest.mark.parametrize("corners", [CORNERS, ((0, 0), (0, 1), (1, 0), (1, 1)), ((1, 1), (0, 1), (1, 0), (0, 0))])
def test_focus_layer_becomes_one_equal_convolution(corners: Sequence[tuple[int, int]]) -> None:
    model = focus_net(corners)
    merged = merge_focus(model)
    onnx.checker.check_model(merged)
    assert kinds(merged) == {"Conv": 1}
    assert {tensor.name for tensor in onnx.load_from_string(merged).graph.initializer} == {"w_focus", "b"}
    picture = np.random.default_rng(6).normal(size=(1, 2, 12, 20)).astype(np.float32)
    np.testing.assert_allclose(answers(merged, picture), answers(model, picture), atol=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        doubling_net(),
        focus_net(step=1),
        focus_net(stride=2),
        focus_net([(0, 0), (0, 0), (0, 1), (1, 1)]),
        focus_net(CORNERS[:3] * 2),
    ],
    ids=["no slices", "every pixel", "a stride", "one corner twice", "six parts"],
)
def test_other_layers_than_focus_are_refused(model: bytes) -> None:
    with pytest.raises(ModelError, match=r"no Focus layer.*'onnx_focus_conv'"):
        merge_focus(model)


@pytest.mark.parametrize("sides", [(5, 9, 13), (13, 9, 5), (3, 3)])
def test_chained_pools_give_the_same_bits(sides: tuple[int, ...]) -> None:
    model = pooling_pyramid(*sides) if len(set(sides)) == len(sides) else twice(sides[0])
    chained = chain_pools(model)
    onnx.checker.check_model(chained)
    picture = np.random.default_rng(7).normal(size=(1, 2, 9, 11)).astype(np.float32)
    np.testing.assert_array_equal(answers(chained, picture), answers(model, picture))
    found = [list(a.ints) for n in onnx.load_from_string(chained).graph.node for a in n.attribute if "kernel" in a.name]
    assert sum(side * side for side, _ in found) < sum(side * side for side in sides)


def twice(side: int) -> bytes:
    """The same pool two times."""
    pads = [side // 2] * 4
    nodes = [helper.make_node("MaxPool", ["x"], [name], kernel_shape=[side] * 2, pads=pads) for name in ("m", "n")]
    return _finish([*nodes, helper.make_node("Concat", ["m", "n"], ["y"], axis=1)], *picture_in_and_out(4))


@pytest.mark.parametrize("model", [doubling_net(), pooling_pyramid(5, 9, stride=2)], ids=["no pools", "a stride"])
def test_net_without_pools_to_chain_is_refused(model: bytes) -> None:
    with pytest.raises(ModelError, match=r"no two maximum pools.*'onnx_pool_chain'"):
        chain_pools(model)


def turning_net(perm: Sequence[int] = (0, 2, 1), *, twice: bool = False) -> bytes:
    """Doubled and turned."""
    nodes = [
        helper.make_node("Add", ["x", "x"], ["double"]),
        helper.make_node("Transpose", ["double"], ["y"], perm=list(perm)),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 3])
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [(1, 2, 3)[axis] for axis in perm])]
    outputs += [helper.make_tensor_value_info("double", TensorProto.FLOAT, [1, 2, 3])] * twice
    return _finish(nodes, [x], outputs)


def test_a_transposition_at_the_end_is_left_out() -> None:
    rewritten = keep_columns(turning_net())
    onnx.checker.check_model(rewritten)
    picture = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    np.testing.assert_array_equal(answers(rewritten, picture), answers(turning_net(), picture).transpose(0, 2, 1))


@pytest.mark.parametrize(
    "model", [doubling_net(), turning_net((2, 1, 0)), turning_net(twice=True)], ids=["none", "others", "two outputs"]
)
def test_net_without_final_transposition_is_refused(model: bytes) -> None:
    with pytest.raises(ModelError, match=r"doesn't end in a transposition.*'onnx_columns'"):
        keep_columns(model)


def test_a_manifest_asks_for_them_by_name(tmp_path: Path) -> None:
    store = ModelStore(mirrors=(), cache=tmp_path / "cache", download=False)
    models = {"onnx_focus_conv": focus_net(), "onnx_pool_chain": pooling_pyramid(5, 9), "onnx_columns": turning_net()}
    for edit, model in models.items():
        net = store.load(str(model_folder(tmp_path / edit, model, edits=[edit])))
        picture = np.ones([length or 4 for length in net.inputs[0].shape], np.float32)
        wanted = answers(model, picture)
        np.testing.assert_allclose(net(picture)[0].ravel(), wanted.ravel(), atol=1e-5)
        wrong = model_folder(tmp_path / f"{edit}-wrong", doubling_net(), edits=[edit])
        with pytest.raises(ModelError, match=edit):
            store.load(str(wrong))


@pytest.mark.real
def test_yolox_nano_answers_as_its_file_does(shared: Path, tmp_path: Path) -> None:
    store = ModelStore(mirrors=(shared / "models",), cache=tmp_path / "cache", download=False)
    (path,) = store.files("yolox-nano").values()
    picture = np.random.default_rng(8).integers(0, 256, (1, 3, 416, 416)).astype(np.float32)
    net = store.load("yolox-nano", input_hw=(416, 416))
    wanted = answers(path.read_bytes(), picture)
    assert wanted.std() > 0.1  # it did see something
    np.testing.assert_allclose(net(picture)[0].transpose(0, 2, 1), wanted, atol=2e-4, rtol=1e-4)
