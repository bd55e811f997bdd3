"""A trained net without its last layer, and with another one: LiteRT and ONNX files as bytes.

The result is an ordinary net: the plugin that runs it knows nothing of this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc.errors import ModelError

F32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A linear layer and softmax: `softmax(features @ weights + bias)`.

    weights: float32 (D, C). bias: float32 (C,).
    """

    weights: F32
    bias: F32

    def __post_init__(self) -> None:
        if self.weights.ndim != 2 or self.bias.shape != self.weights.shape[1:]:
            raise ValueError(f"weights {self.weights.shape} and bias {self.bias.shape}, expected (D, C) and (C,)")
        if not (np.isfinite(self.weights).all() and np.isfinite(self.bias).all()):
            raise ValueError("the head has values that are not finite")


def without_head(model: bytes, runtime: str, *, classifier: bool) -> bytes:
    """The net with its features as the only output.

    classifier: it ends in a layer of classes, which is taken off; otherwise its first output are the features. Raises
    `ModelError` where no such layer is found, or the runtime is another than `litert` and `onnx`.
    """
    return _edit(model, runtime, None, classifier)


def with_head(model: bytes, runtime: str, head: Head, *, classifier: bool) -> bytes:
    """The net with the last layer replaced by `head` (or `head` put behind it where it isn't a classifier).

    Its output is float32 (1, C): probabilities.
    """
    return _edit(model, runtime, head, classifier)


def _edit(model: bytes, runtime: str, head: Head | None, classifier: bool) -> bytes:
    if runtime == "litert":
        return _edit_litert(model, head, classifier)
    if runtime == "onnx":
        return _edit_onnx(model, head, classifier)
    raise ModelError(f"a net for {runtime} can't be cut, expected one for litert or onnx; choose another --base")


def _edit_litert(model: bytes, head: Head | None, classifier: bool) -> bytes:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    tree = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = tree.subgraphs[0]
    out = _litert_features(schema, tree, graph) if classifier else int(graph.outputs[0])
    if head is not None:
        out = _LiteRtEnd(schema, tree, graph).add(out, head)
    graph.outputs = [out]
    tree.signatureDefs = None  # they name the old output
    builder = flatbuffers.Builder(len(model))
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _code(tree: Any, operator: Any) -> int:
    code = tree.operatorCodes[operator.opcodeIndex]
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))


def _litert_features(schema: Any, tree: Any, graph: Any) -> int:
    """The tensor that the layer of classes reads; that layer and all behind it are taken off."""
    layers = {schema.BuiltinOperator.FULLY_CONNECTED, schema.BuiltinOperator.CONV_2D}
    wanted = int(graph.outputs[0])
    for place in range(len(graph.operators) - 1, -1, -1):
        operator = graph.operators[place]
        if wanted not in [int(i) for i in operator.outputs]:
            continue
        wanted = int(operator.inputs[0])
        if _code(tree, operator) in layers:
            shape = [int(n) for n in graph.tensors[wanted].shape]
            if int(np.prod(shape)) != max(shape):
                raise ModelError(f"its last layer reads a map {shape}, expected features; choose another --base")
            graph.operators = graph.operators[:place]
            return wanted
    raise ModelError("no layer of classes was found at its end; choose another --base")


class _LiteRtEnd:
    """Adds operators to the end of a graph."""

    def __init__(self, schema: Any, tree: Any, graph: Any) -> None:
        self._schema, self._tree, self._graph = schema, tree, graph

    def add(self, features: int, head: Head) -> int:
        """The tensor of the probabilities."""
        ops = self._schema.BuiltinOperator
        kinds = self._schema.TensorType
        classes = head.weights.shape[1]
        tensor = self._graph.tensors[features]
        if tensor.type != kinds.FLOAT32:
            real = self._tensor("features", [int(n) for n in tensor.shape])
            features = self._operator(ops.DEQUANTIZE, [features], real)
        weights = self._constant("head_weights", np.ascontiguousarray(head.weights.T, np.float32))
        bias = self._constant("head_bias", np.asarray(head.bias, np.float32))
        options = self._schema.FullyConnectedOptionsT()
        logits = self._operator(
            ops.FULLY_CONNECTED, [features, weights, bias], self._tensor("logits", [1, classes]),
            (self._schema.BuiltinOptions.FullyConnectedOptions, options),
        )  # fmt: skip
        softmax = self._schema.SoftmaxOptionsT()
        softmax.beta = 1.0
        return self._operator(
            ops.SOFTMAX, [logits], self._tensor("scores", [1, classes]),
            (self._schema.BuiltinOptions.SoftmaxOptions, softmax),
        )  # fmt: skip

    def _tensor(self, name: str, shape: list[int], buffer: int = 0) -> int:
        made = self._schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name.encode(), shape, self._schema.TensorType.FLOAT32, buffer
        self._graph.tensors.append(made)
        return len(self._graph.tensors) - 1

    def _constant(self, name: str, values: F32) -> int:
        made = self._schema.BufferT()
        made.data = np.frombuffer(values.tobytes(), np.uint8)
        self._tree.buffers.append(made)
        return self._tensor(name, list(values.shape), len(self._tree.buffers) - 1)

    def _operator(self, code: int, inputs: list[int], output: int, options: tuple[int, Any] | None = None) -> int:
        kind = self._schema.OperatorCodeT()
        kind.builtinCode, kind.deprecatedBuiltinCode, kind.version = code, min(code, 127), 1
        self._tree.operatorCodes.append(kind)
        made = self._schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = len(self._tree.operatorCodes) - 1, inputs, [output]
        if options is not None:
            made.builtinOptionsType, made.builtinOptions = options
        self._graph.operators.append(made)
        return output


def _edit_onnx(model: bytes, head: Head | None, classifier: bool) -> bytes:
    import onnx

    proto = onnx.load_from_string(model)
    graph = proto.graph
    output = graph.output[0] if not classifier else _known_shape(proto, _onnx_features(graph))
    _end_at(graph, output)
    if head is not None:
        _add_onnx_head(graph, output.name, head)
    return bytes(proto.SerializeToString(deterministic=True))


def _add_onnx_head(graph: Any, features: str, head: Head) -> None:
    from onnx import TensorProto, helper, numpy_helper

    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    start = "head"
    while any(name.startswith(start) for name in taken):  # the net may have such a head itself
        start += "_"
    weights, bias, flat, logits, scores = (f"{start}_{n}" for n in ("weights", "bias", "features", "logits", "scores"))
    graph.initializer.append(numpy_helper.from_array(head.weights.astype(np.float32), weights))
    graph.initializer.append(numpy_helper.from_array(head.bias.astype(np.float32), bias))
    graph.node.append(helper.make_node("Flatten", [features], [flat]))
    graph.node.append(helper.make_node("Gemm", [flat, weights, bias], [logits]))
    graph.node.append(helper.make_node("Softmax", [logits], [scores], axis=1))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(scores, TensorProto.FLOAT, [1, head.weights.shape[1]]))


def _known_shape(proto: Any, name: str) -> Any:
    """The description of a value inside the net."""
    import onnx
    from onnx import TensorProto, helper

    found = onnx.shape_inference.infer_shapes(proto).graph.value_info
    shapes = {info.name: info for info in found}
    return shapes.get(name) or helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "features"])


def _onnx_features(graph: Any) -> str:
    made = {output: node for node in graph.node for output in node.output}
    constants = {tensor.name for tensor in graph.initializer}
    wanted = graph.output[0].name
    while wanted in made:
        node = made[wanted]
        given = [name for name in node.input if name not in constants]
        if not given:
            break
        wanted = str(given[0])
        if node.op_type in {"Gemm", "MatMul", "Conv"}:
            return wanted
    raise ModelError("no layer of classes was found at its end; choose another --base")


def _end_at(graph: Any, output: Any) -> None:
    """Make it the only output, and take off the nodes and weights that it doesn't need."""
    retained_output = type(output)()
    retained_output.CopyFrom(output)
    del graph.output[:]
    graph.output.append(retained_output)
    needed = {output.name for output in graph.output}
    retained = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            retained.append(node)
            needed |= set(node.input)
    weights = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(retained))
    graph.initializer.extend(weights)


__all__ = ["Head", "with_head", "without_head"]
