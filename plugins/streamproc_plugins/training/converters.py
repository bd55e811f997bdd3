"""Files of nets turned into others with smaller numbers, by the libraries' own converters."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamproc.models import ModelEntry
from streamproc_plugins.training.data import TrainingError

To = Literal["float16", "dynamic", "int8"]
Inputs = Sequence[NDArray[Any]]

_PER_CHANNEL = 13
"""operator set from which on ONNX has a scale for each channel"""
_LEAST_WEIGHTS = 64
"""smaller kernels save nothing"""
_ROWS_OPS = ("MatMul", "Gemm", "Attention", "LSTM", "Gather", "EmbedLayerNormalization")
"""operators that ONNX Runtime quantises dynamically, without convolutions"""
_ONNX_OPS = (
    "Add", "AveragePool", "Clip", "Concat", "Conv", "Gemm", "GlobalAveragePool", "LeakyRelu", "MatMul", "MaxPool",
    "Mul", "Relu", "Resize", "Sigmoid",
)  # fmt: skip


def to_litert(path: Path, entry: ModelEntry, to: To, inputs: Inputs) -> bytes:
    """A LiteRT file of a Keras file or SavedModel, for one picture or clip at a time.

    With `int8` the values inside are integers, input and output stay float32, so that no reader has to know of it.
    """
    import tensorflow as tf

    call = _signature(tf, path, entry, inputs[0].shape)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([call])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if to == "float16":
        converter.target_spec.supported_types = [tf.float16]
    elif to == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: ([value] for value in inputs)
    try:
        with warnings.catch_warnings():  # it warns of ranges that it is about to measure itself
            warnings.simplefilter("ignore", UserWarning)
            return bytes(converter.convert())
    except Exception as error:  # the converter's errors have no class of their own
        raise TrainingError(f"{entry.name} can't be turned into {to}: {_first_line(error)}") from error


def _signature(tf: Any, path: Path, entry: ModelEntry, shape: tuple[int, ...]) -> Any:
    """The net as a function of one input of this shape, its weights constants."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    if entry.runtime == "keras":
        model = tf.keras.models.load_model(str(path), compile=False, safe_mode=True)

        def forward(images: Any) -> Any:
            return model(images, training=False)
    else:
        loaded = tf.saved_model.load(str(path.parent))
        call = loaded.signatures["serving_default"]
        (name,) = call.structured_input_signature[1]

        def forward(images: Any) -> Any:
            _reference = loaded  # the signature holds its variables weakly
            return call(**{name: images})

    spec = tf.TensorSpec(shape, tf.float32, name="images")
    return convert_variables_to_constants_v2(tf.function(forward, input_signature=[spec]).get_concrete_function())


def to_onnx(path: Path, to: To, inputs: Inputs) -> bytes:
    """An ONNX file with 8-bit weights (`dynamic`), or 8-bit weights and values (`int8`)."""
    from onnxruntime import quantization

    if to == "float16":
        raise TrainingError("ONNX Runtime computes in float32 on a CPU; choose --to dynamic or --to int8")
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "source.onnx", Path(folder) / "target.onnx"
        try:
            quantization.quant_pre_process(str(_raised(path, Path(folder))), str(source), skip_symbolic_shape=True)
            if to == "dynamic":
                _small_kernels(source)
                quantization.quantize_dynamic(
                    str(source),
                    str(target),
                    op_types_to_quantize=list(_ROWS_OPS),
                    weight_type=quantization.QuantType.QUInt8,
                )
            else:
                quantization.quantize_static(
                    str(source),
                    str(target),
                    _reader(quantization, path, inputs),
                    op_types_to_quantize=list(_ONNX_OPS),
                    per_channel=_opset(source) >= _PER_CHANNEL,
                    activation_type=quantization.QuantType.QUInt8,
                    weight_type=quantization.QuantType.QInt8,
                )
        except Exception as error:  # likewise
            raise TrainingError(f"{path.name} can't be turned into {to}: {_first_line(error)}") from error
        return target.read_bytes()


def _small_kernels(path: Path) -> None:
    """Write the kernels of convolutions with 8 bits and a scale for each channel; the net computes in float32.

    ONNX Runtime's own dynamic convolution has one scale for all channels, in which separable nets such as YOLOX-nano
    lose their answers. Nets below operator set 13 have no scale for each channel and stay as they are.
    """
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(str(path))
    graph = model.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    kernels = {node.input[1] for node in graph.node if node.op_type == "Conv" and node.input[1] in stored}
    if _opset(path) < _PER_CHANNEL:
        return
    made = []
    for name in sorted(kernels):
        weights = numpy_helper.to_array(stored[name])
        if weights.dtype != np.float32 or weights.size < _LEAST_WEIGHTS:
            continue
        scale = np.maximum(np.abs(weights).reshape(len(weights), -1).max(axis=1), 1e-12).astype(np.float32) / 127
        small = np.round(weights / scale.reshape(-1, *[1] * (weights.ndim - 1))).astype(np.int8)
        graph.initializer.remove(stored[name])
        graph.initializer.append(numpy_helper.from_array(small, f"{name}_int8"))
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}_scale"))
        made.append(helper.make_node("DequantizeLinear", [f"{name}_int8", f"{name}_scale"], [name], axis=0))
    nodes = [*made, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, str(path))


def _raised(path: Path, folder: Path) -> Path:
    """The net in the operator set that has a scale for each channel, where it can be converted; else as it is."""
    import onnx
    from onnx import version_converter

    if _opset(path) >= _PER_CHANNEL:
        return path
    try:
        raised = version_converter.convert_version(onnx.load(str(path)), _PER_CHANNEL)
    except Exception:  # noqa: BLE001 - the converter has no class of its own for unknown operators
        return path
    onnx.save(raised, str(folder / "raised.onnx"))
    return folder / "raised.onnx"


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), repr(error)).strip()


def _opset(path: Path) -> int:
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    return max((int(one.version) for one in model.opset_import if one.domain in ("", "ai.onnx")), default=0)


def _reader(quantization: Any, path: Path, inputs: Inputs) -> Any:
    import onnx

    name = onnx.load(str(path), load_external_data=False).graph.input[0].name

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        """Gives one input after the other."""

        def __init__(self) -> None:
            self._rows: Iterator[NDArray[Any]] = iter(inputs)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            value = next(self._rows, None)
            return None if value is None else {name: value}

    return Reader()


__all__ = ["to_litert", "to_onnx"]
