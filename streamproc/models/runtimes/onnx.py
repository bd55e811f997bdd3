"""Nets in ONNX Runtime. A session is shared between threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from streamproc.errors import ModelError
from streamproc.models import edits, rewrites
from streamproc.models.entries import Edit, ModelEntry
from streamproc.models.net import Array, Net, Tensor
from streamproc.models.runtimes import Job

_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}

_CHANGES: dict[Edit, Callable[[bytes], bytes]] = {
    "onnx_mvn_epsilon": edits.add_mvn_epsilon,
    "onnx_focus_conv": rewrites.merge_focus,
    "onnx_pool_chain": rewrites.chain_pools,
    "onnx_columns": rewrites.keep_columns,
}


class OnnxNet(Net):
    """One ONNX Runtime session."""

    def __init__(self, entry: ModelEntry, session: Any) -> None:
        super().__init__(entry, _tensors(session.get_inputs()), _tensors(session.get_outputs()))
        self._session = session
        self._names = [tensor.name for tensor in self.outputs]

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        feed = {tensor.name: inputs[tensor.name] for tensor in self.inputs}
        return dict(zip(self._names, self._session.run(self._names, feed), strict=True))


def _tensors(described: list[Any]) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(
            name=d.name,
            shape=tuple(n if isinstance(n, int) else None for n in d.shape),
            dtype=_TYPES.get(d.type, d.type),
        )
        for d in described
    )


def load(job: Job) -> Net:
    """A session that runs each call on `job.threads` threads and doesn't spin while it waits."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = job.threads
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 3  # exporters leave hundreds of harmless warnings
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(_content(job), options, providers=["CPUExecutionProvider"])
    except ModelError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{job.main} is not a model that ONNX Runtime {ort.__version__} can load: {reason}") from error
    return OnnxNet(job.entry, session)


def _content(job: Job) -> bytes:
    return edited(job.entry, job.main.read_bytes(), job.input_hw)


def edited(entry: ModelEntry, model: bytes, input_hw: tuple[int, int] | None = None) -> bytes:
    """An ONNX model with the edits of its entry, for an input (height, width) other than its own where it allows it."""
    for name, change in _CHANGES.items():
        if name in entry.edits:
            model = change(model)
    if "onnx_input_size" in entry.edits and entry.input is not None:
        model = edits.set_input_size(model, *(input_hw or entry.input.hw))
    return model
