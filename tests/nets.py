"""Small nets built by the tests, and model folders around them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


def _finish(
    nodes: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any], constants: Sequence[Any] = ()
) -> bytes:
    graph = helper.make_graph(list(nodes), "test", list(inputs), list(outputs), initializer=list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def doubling_net(shape: Sequence[int | str] = (1, 4)) -> bytes:
    """ONNX: input `x` float32, output `y` = 2 x."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, list(shape))
    return _finish([helper.make_node("Add", ["x", "x"], ["y"])], [x], [y])


def pooling_net(height: int, width: int) -> bytes:
    """ONNX, fully convolutional: (1, 3, h, w) to the means of 2x2 blocks, with its stored shapes filled in."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, height, width])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, height // 2, width // 2])
    return _finish([helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[2, 2], strides=[2, 2])], [x], [y])


def answering_net(answers: Mapping[str, NDArray[Any]], input_shape: Sequence[int]) -> bytes:
    """ONNX: whatever the picture, these outputs."""
    nodes, outputs = [], []
    for name, value in answers.items():
        nodes.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value, name + "_value")))
        kind = helper.np_dtype_to_tensor_dtype(value.dtype)
        outputs.append(helper.make_tensor_value_info(name, kind, list(value.shape)))
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, list(input_shape))
    return _finish(nodes, [image], outputs)


def brightness_net(height: int, width: int, classes: int) -> bytes:
    """ONNX with a YOLOX output of its own kind: objectness and class 0 of every 8x8 cell are its mean grey / 255.

    The box of a cell is the cell; larger strides answer nothing. So a white block in a black picture is found exactly.
    """
    cells = (height // 8) * (width // 8)
    rest = (height // 16) * (width // 16) + (height // 32) * (width // 32)
    grey = numpy_helper.from_array(np.full((1, 3, 1, 1), 1 / 765, np.float32), "grey")
    place = numpy_helper.from_array(np.tile(np.array([0.5, 0.5, 0, 0], np.float32), (1, cells, 1)), "place")
    others = numpy_helper.from_array(np.zeros((1, cells, classes - 1), np.float32), "others")
    nothing = numpy_helper.from_array(np.zeros((1, rest, 5 + classes), np.float32), "nothing")
    shape = numpy_helper.from_array(np.array([1, cells, 1], np.int64), "shape")
    nodes = [
        helper.make_node("Conv", ["images", "grey"], ["level"]),
        helper.make_node("AveragePool", ["level"], ["blocks"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Reshape", ["blocks", "shape"], ["score"]),
        helper.make_node("Concat", ["place", "score", "score", "others"], ["fine"], axis=2),
        helper.make_node("Concat", ["fine", "nothing"], ["output"], axis=1),
    ]
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, height, width])
    out = helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, cells + rest, 5 + classes])
    return _finish(nodes, [image], [out], [grey, place, others, nothing, shape])


def brightness_classes(height: int, width: int) -> bytes:
    """ONNX classifier (1, 3, h, w) to `scores` (1, 2): the mean grey level / 255, and 1 less that."""
    grey = numpy_helper.from_array(np.tile(np.array([[[[1]]], [[[-1]]]], np.float32) / 765, (1, 3, 1, 1)), "grey")
    offset = numpy_helper.from_array(np.array([0, 1], np.float32), "offset")
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["means"]),
        helper.make_node("Conv", ["means", "grey", "offset"], ["levels"]),
        helper.make_node("Flatten", ["levels"], ["scores"]),
    ]
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, height, width])
    out = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 2])
    return _finish(nodes, [image], [out], [grey, offset])


def brightness_clips(frames: int, height: int, width: int) -> bytes:
    """ONNX classifier of clips (1, frames, h, w, 3) to `scores` (1, 2): the mean grey level / 255, and 1 less that."""
    image = helper.make_tensor_value_info("clip", TensorProto.FLOAT, [1, frames, height, width, 3])
    out = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 2])
    nodes = [helper.make_node("ReduceMean", ["clip"], ["mean"], axes=[1, 2, 3, 4], keepdims=0), *_both_ways("mean")]
    return _finish(nodes, [image], [out], _BOTH_WAYS)


def fading_net(height: int, width: int) -> bytes:
    """ONNX with a state: `level` becomes half of itself and half of the picture's mean grey level.

    Inputs `level` (1, 1) and `picture` (1, h, w, 3); outputs `scores` (1, 2), the new level / 255 and 1 less that, and
    `next` (1, 1).
    """
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, height, width, 3])
    level = helper.make_tensor_value_info("level", TensorProto.FLOAT, [1, 1])
    after = helper.make_tensor_value_info("next", TensorProto.FLOAT, [1, 1])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 2])
    half = numpy_helper.from_array(np.array([[0.5]], np.float32), "half")
    square = numpy_helper.from_array(np.array([1, 1], np.int64), "square")
    nodes = [
        helper.make_node("ReduceMean", ["picture"], ["grey"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Reshape", ["grey", "square"], ["mean"]),
        helper.make_node("Add", ["mean", "level"], ["sum"]),
        helper.make_node("Mul", ["sum", "half"], ["next"]),
        *_both_ways("next"),
    ]
    return _finish(nodes, [level, picture], [scores, after], [half, square, *_BOTH_WAYS])


_BOTH_WAYS = [
    numpy_helper.from_array(np.array([[1 / 255, -1 / 255]], np.float32), "ways"),
    numpy_helper.from_array(np.array([[0, 1]], np.float32), "from"),
    numpy_helper.from_array(np.array([1, 1], np.int64), "one"),
]


def _both_ways(level: str) -> list[Any]:
    """`scores` (1, 2) from a level of 0..255."""
    return [
        helper.make_node("Reshape", [level, "one"], ["column"]),
        helper.make_node("MatMul", ["column", "ways"], ["up_down"]),
        helper.make_node("Add", ["up_down", "from"], ["scores"]),
    ]


def brightness_map(height: int, width: int, form: str) -> bytes:
    """ONNX segmentation net of pictures (1, 3, h, w): says of each pixel how bright it is.

    form: `probability`, the mean of its channels / 255 as (1, 1, h, w); `scores`, 1 less that and that as (1, 2, h, w);
    `ids`, 0 or 1, whichever of the two is higher, as int64 (1, h, w).
    """
    both = form != "probability"
    weight = np.array([[-1], [1]] if both else [[1]], np.float32) / 765
    grey = numpy_helper.from_array(np.tile(weight[..., None, None], (1, 3, 1, 1)), "grey")
    offset = numpy_helper.from_array(np.array([1, 0] if both else [0], np.float32), "offset")
    nodes = [helper.make_node("Conv", ["images", "grey", "offset"], ["map" if form != "ids" else "levels"])]
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, height, width])
    out = helper.make_tensor_value_info("map", TensorProto.FLOAT, [1, 2 if both else 1, height, width])
    if form == "ids":
        nodes.append(helper.make_node("ArgMax", ["levels"], ["map"], axis=1, keepdims=0))
        out = helper.make_tensor_value_info("map", TensorProto.INT64, [1, height, width])
    return _finish(nodes, [image], [out], [grey, offset])


def model_folder(folder: Path, content: bytes, **entry: Any) -> Path:
    """A folder with `net.onnx` and its `model.json`; `entry` overrides the manifest's keys."""
    folder.mkdir(parents=True)
    (folder / "net.onnx").write_bytes(content)
    manifest = {"name": folder.name, "task": "test", "runtime": "onnx", "files": [{"name": "net.onnx"}]} | entry
    (folder / "model.json").write_text(json.dumps(manifest))
    return folder
