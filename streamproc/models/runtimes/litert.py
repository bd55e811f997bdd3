"""Nets in LiteRT. An interpreter may not be shared, so each thread has its own over the same model bytes."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from streamproc.errors import ModelError
from streamproc.models import edits
from streamproc.models.entries import ModelEntry
from streamproc.models.net import Array, Net, Tensor
from streamproc.models.runtimes import Job

_GREETING = b"INFO: Created TensorFlow Lite"
_greeting = threading.Lock()
_greeted = False


class LiteRtNet(Net):
    """One LiteRT model, with an interpreter per thread."""

    def __init__(self, entry: ModelEntry, model: bytes, threads: int) -> None:
        self._model = model
        self._threads = threads
        self._local = threading.local()
        interpreter = self._interpreter()
        given, made = _signature(interpreter)
        super().__init__(
            entry, _tensors(interpreter.get_input_details(), given), _tensors(interpreter.get_output_details(), made)
        )
        self._in = {d["name"]: d["index"] for d in interpreter.get_input_details()}
        self._closed = {tensor.name: tensor.shape for tensor in self.inputs}
        self._out = {d["name"]: d["index"] for d in interpreter.get_output_details()}

    def _interpreter(self) -> Any:
        found = getattr(self._local, "interpreter", None)
        if found is None:
            from ai_edge_litert.interpreter import Interpreter

            with _without_greeting():
                found = Interpreter(model_content=self._model, num_threads=self._threads)
                found.allocate_tensors()
            self._local.interpreter = found
        return found

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        interpreter = self._interpreter()
        self._resize(interpreter, inputs)
        for name, index in self._in.items():
            interpreter.set_tensor(index, inputs[name])
        interpreter.invoke()
        return {name: interpreter.get_tensor(index) for name, index in self._out.items()}

    def _resize(self, interpreter: Any, inputs: Mapping[str, Array]) -> None:
        """Make room where an open length (the batch, say) differs from that of this thread's last call."""
        shapes = {name: inputs[name].shape for name in self._in}
        if shapes == getattr(self._local, "shapes", self._closed):
            return
        for name, shape in shapes.items():
            interpreter.resize_tensor_input(self._in[name], list(shape))
        interpreter.allocate_tensors()
        self._local.shapes = shapes


@contextmanager
def _without_greeting() -> Iterator[None]:
    """Silence LiteRT's greeting on stderr, once a process, which doesn't belong between JSON log lines.

    Whatever else was written meanwhile is passed on.
    """
    global _greeted  # noqa: PLW0603 - once a process
    if _greeted:
        yield
        return
    with _greeting:
        _greeted = True
        sys.stderr.flush()
        original = os.dup(2)
        with tempfile.TemporaryFile() as caught:
            os.dup2(caught.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(original, 2)
                os.close(original)
                caught.seek(0)
                for line in caught:
                    if not line.startswith(_GREETING):
                        os.write(2, line)


def _signature(interpreter: Any) -> tuple[dict[int, str], dict[int, str]]:
    """Names of inputs and outputs by tensor index, where the model has exactly one signature."""
    keys = list(interpreter.get_signature_list())
    if len(keys) != 1:
        return {}, {}
    runner = interpreter.get_signature_runner(keys[0])
    given, made = runner.get_input_details(), runner.get_output_details()
    return {d["index"]: name for name, d in given.items()}, {d["index"]: name for name, d in made.items()}


def _tensors(details: list[dict[str, Any]], signature: Mapping[int, str]) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(
            name=d["name"],
            shape=tuple(None if n < 0 else int(n) for n in d.get("shape_signature", d["shape"])),
            dtype=np.dtype(d["dtype"]).name,
            scale=float(d["quantization"][0]),
            zero_point=int(d["quantization"][1]),
            signature=signature.get(int(d["index"]), ""),
        )
        for d in details
    )


def load(job: Job) -> Net:
    """The model, checked by building its first interpreter."""
    model = job.main.read_bytes()
    try:
        if "litert_strip_custom" in job.entry.edits:
            model = edits.strip_custom_op(model)
        return LiteRtNet(job.entry, model, job.threads)
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{job.main} is not a model that LiteRT can load: {reason}") from error
