"""Nets in OpenVINO (an extra). One compiled model, an infer request per thread."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from streamproc.cores import usable_cores
from streamproc.errors import ModelError
from streamproc.models.entries import ModelEntry
from streamproc.models.net import Array, Net, Tensor
from streamproc.models.runtimes import Job


class OpenVinoNet(Net):
    """One compiled model."""

    def __init__(self, entry: ModelEntry, compiled: Any) -> None:
        super().__init__(entry, _tensors(compiled.inputs), _tensors(compiled.outputs))
        self._compiled = compiled
        self._local = threading.local()

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        request = getattr(self._local, "request", None)
        if request is None:
            request = self._local.request = self._compiled.create_infer_request()
        results = request.infer({tensor.name: inputs[tensor.name] for tensor in self.inputs})
        # the request's own buffers are used again by the next call
        return {tensor.name: np.array(results[i]) for i, tensor in enumerate(self.outputs)}


def _tensors(ports: list[Any]) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(
            name=port.any_name,
            shape=tuple(d.get_length() if d.is_static else None for d in port.partial_shape),
            dtype=np.dtype(port.element_type.to_dtype()).name,
        )
        for port in ports
    )


def load(job: Job) -> Net:
    """The model compiled for the CPU: one stream per core, each call on `job.threads` threads, in float32."""
    ov = _library(job.entry)
    streams = usable_cores()
    settings = {
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": streams * job.threads,
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": "f32",  # bfloat16, the default where the CPU has it, gives other scores
    }
    try:
        core = ov.Core()
        compiled = core.compile_model(core.read_model(str(job.main)), "CPU", settings)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ModelError(f"{job.main} is not a model that OpenVINO can load: {reason}") from error
    return OpenVinoNet(job.entry, compiled)


def _library(entry: ModelEntry) -> Any:
    # without its telemetry package OpenVINO uses its own empty stand-in, so nothing is ever sent
    hidden = "openvino_telemetry" not in sys.modules
    if hidden:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        import openvino
    except ImportError:
        raise ModelError(
            f"{entry.name} needs OpenVINO, which isn't installed; run: pip install 'streamproc[openvino]'"
        ) from None
    finally:
        if hidden:
            del sys.modules["openvino_telemetry"]
    return openvino
