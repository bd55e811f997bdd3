"""Small changes made to a model's bytes in memory: the file on disk stays what its checksum says.

They are deterministic for one version of the `onnx` and `flatbuffers` packages; another version may write the same
graph in other bytes, so it is the source file's checksum that is checked, never the result's.
"""

from __future__ import annotations

from typing import Any

from streamproc.errors import ModelError

MVN_EPSILON = 1e-5


def set_input_size(model: bytes, height: int, width: int) -> bytes:
    """An ONNX model whose first input (N, C, H, W) has this height and width; for fully convolutional nets.

    Stored shapes of everything behind the input are removed, the runtime infers them again.
    """
    import onnx

    proto = onnx.load_from_string(model)
    dims = proto.graph.input[0].type.tensor_type.shape.dim
    if len(dims) != 4:
        raise ModelError(f"the input {proto.graph.input[0].name} has {len(dims)} axes, expected 4 (N, C, H, W)")
    dims[0].dim_value, dims[2].dim_value, dims[3].dim_value = 1, height, width
    del proto.graph.value_info[:]
    for output in proto.graph.output:
        output.type.tensor_type.ClearField("shape")
    return bytes(proto.SerializeToString(deterministic=True))


def add_mvn_epsilon(model: bytes, epsilon: float = MVN_EPSILON) -> bytes:
    """An ONNX model whose MeanVarianceNormalization divides by sqrt(variance + epsilon).

    The operator's definition has no epsilon, so a constant map gives 0 / 0; the nodes are replaced by ReduceMean,
    Sub, Mul, Add, Sqrt and Div.
    """
    import numpy as np
    import onnx

    proto = onnx.load_from_string(model)
    nodes: list[Any] = []
    for node in proto.graph.node:
        nodes += _mvn_nodes(node) if node.op_type == "MeanVarianceNormalization" else [node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array([epsilon], np.float32), "mvn_epsilon"))
    return bytes(proto.SerializeToString(deterministic=True))


def _mvn_nodes(node: Any) -> list[Any]:
    from onnx import helper

    axes = next((list(a.ints) for a in node.attribute if a.name == "axes"), [0, 2, 3])
    base, source, out = f"{node.output[0]}_mvn_", node.input[0], node.output[0]

    def step(op: str, inputs: list[str], output: str, **attributes: Any) -> Any:
        return helper.make_node(op, inputs, [output], name=f"{base}{op}_{output}", **attributes)

    mean, centred, square = base + "mean", base + "centred", base + "square"
    variance, safe, deviation = base + "variance", base + "safe", base + "deviation"
    return [
        step("ReduceMean", [source], mean, axes=axes, keepdims=1),
        step("Sub", [source, mean], centred),
        step("Mul", [centred, centred], square),
        step("ReduceMean", [square], variance, axes=axes, keepdims=1),
        step("Add", [variance, "mvn_epsilon"], safe),
        step("Sqrt", [safe], deviation),
        step("Div", [centred, deviation], out),
    ]


def strip_custom_op(model: bytes) -> bytes:
    """A LiteRT model without the custom operator at its end; that operator's inputs become the first outputs.

    For nets that end in a decoder which stock LiteRT doesn't have (`PosenetDecoderOp`).
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    tree = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = tree.subgraphs[0]
    last = graph.operators[-1]
    code = tree.operatorCodes[last.opcodeIndex]
    if code.customCode is None:
        raise ModelError("the model doesn't end in a custom operator, so there is nothing to take off")
    made = {int(i) for i in last.outputs}
    others = [int(i) for i in graph.outputs if int(i) not in made]
    graph.outputs = [int(i) for i in last.inputs] + [i for i in others if i not in {int(n) for n in last.inputs}]
    graph.operators = graph.operators[:-1]
    if last.opcodeIndex == len(tree.operatorCodes) - 1:
        tree.operatorCodes = tree.operatorCodes[:-1]
    builder = flatbuffers.Builder(len(model))
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
