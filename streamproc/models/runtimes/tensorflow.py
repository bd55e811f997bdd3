"""Nets in Keras files and TensorFlow SavedModels. TensorFlow is slow to import: a second or more, 600 MB."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from streamproc.errors import ModelError
from streamproc.models.entries import ModelEntry
from streamproc.models.net import Array, Net, Tensor
from streamproc.models.runtimes import Job

_threads_set = threading.Lock()

# operators with which a graph can run Python or touch files: a model needs none of them. (Those of the saving functions
# that every SavedModel carries are not among them; nothing calls these.)
_REFUSED_OPS = frozenset(
    {
        "PyFunc", "PyFuncStateless", "EagerPyFunc", "ReadFile", "WriteFile", "MatchingFiles", "PrintV2", "SaveSlices",
        "DebugIdentity", "DebugIdentityV2", "TextLineReader", "TextLineReaderV2", "WholeFileReader",
        "WholeFileReaderV2", "GenerateVocabRemapping",
    }
)  # fmt: skip


class TensorFlowNet(Net):
    """A callable over named tensors."""

    def __init__(self, entry: ModelEntry, call: Any, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> None:
        super().__init__(entry, inputs, outputs)
        self._call = call

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        results = self._call({tensor.name: inputs[tensor.name] for tensor in self.inputs})
        return {tensor.name: np.asarray(results[tensor.name].numpy()) for tensor in self.outputs}


def library(threads: int = 1) -> Any:
    """TensorFlow, its threads set if this is its first use in the process; a later call finds them set."""
    # else it warns on every machine without a GPU; real failures are raised
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    with _threads_set:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        except RuntimeError:
            pass
    return tf


def load(job: Job) -> Net:
    """A Keras file (safe mode: no code in it is run) or the default signature of a SavedModel."""
    tf = library(job.threads)
    return _load_keras(tf, job) if job.entry.runtime == "keras" else _load_saved(tf, job)


def _load_keras(tf: Any, job: Job) -> Net:
    try:
        model = tf.keras.models.load_model(str(job.main), compile=False, safe_mode=True)
    except (ValueError, TypeError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{job.main} is not a model that Keras loads in safe mode: {reason}") from error
    inputs = tuple(_tensor(t.name, t) for t in model.inputs)
    names = [f"output_{i}" for i in range(len(model.outputs))]
    outputs = tuple(_tensor(name, t) for name, t in zip(names, model.outputs, strict=True))

    # as a graph: layer by layer a net of many small ones takes several times as long
    @tf.function(input_signature=[[tf.TensorSpec(t.shape, t.dtype) for t in model.inputs]], autograph=False)  # type: ignore[untyped-decorator]
    def graph(given: list[Any]) -> list[Any]:
        results = model(given[0] if len(given) == 1 else given, training=False)
        return list(results) if isinstance(results, list | tuple) else [results]

    def forward(feed: dict[str, Array]) -> dict[str, Array]:
        return dict(zip(names, graph([tf.constant(feed[tensor.name]) for tensor in inputs]), strict=True))

    return TensorFlowNet(job.entry, forward, inputs, outputs)


def _load_saved(tf: Any, job: Job) -> Net:
    folder = job.main.parent
    _check_ops(folder / "saved_model.pb")
    try:
        model = tf.saved_model.load(str(folder))
        call = model.signatures["serving_default"]
    except (ValueError, OSError, KeyError) as error:
        raise ModelError(f"{folder} is not a SavedModel with the signature 'serving_default': {error}") from error
    given = call.structured_input_signature[1]
    inputs = tuple(_tensor(name, given[name]) for name in sorted(given))
    outputs = tuple(_tensor(name, call.structured_outputs[name]) for name in sorted(call.structured_outputs))

    def forward(feed: dict[str, Array]) -> Any:
        _keep = model  # the signature holds its variables weakly
        return call(**{name: tf.constant(value) for name, value in feed.items()})

    return TensorFlowNet(job.entry, forward, inputs, outputs)


def _check_ops(path: Path) -> None:
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    tree = SavedModel()
    try:
        tree.ParseFromString(path.read_bytes())
    except Exception as error:  # noqa: BLE001 - protobuf's error class differs between its implementations
        raise ModelError(f"{path} is not a SavedModel: {error}") from None
    for graph in tree.meta_graphs:
        used = {node.op for node in graph.graph_def.node}
        used |= {node.op for function in graph.graph_def.library.function for node in function.node_def}
        refused = sorted(used & _REFUSED_OPS)
        if refused:
            raise ModelError(f"{path} can run code or touch files ({', '.join(refused)}); such a model is not loaded")


def _tensor(name: str, spec: Any) -> Tensor:
    dtype = spec.dtype if isinstance(spec.dtype, str) else spec.dtype.name
    return Tensor(name=name, shape=tuple(spec.shape), dtype=dtype)
