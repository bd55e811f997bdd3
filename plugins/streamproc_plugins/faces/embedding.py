"""Aligned faces to unit vectors, by any net of the store whose decode is `embedding`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc import ModelError
from streamproc.models import InputSpec, ModelEntry, ModelStore, Net, to_input
from streamproc_plugins.faces.alignment import SIDE
from streamproc_plugins.faces.operating import UNDECLARED

F32 = NDArray[np.float32]


def unit(vectors: NDArray[Any]) -> F32:
    """Rows (N, D) scaled to length 1, float32; rows of zeros stay."""
    values = np.asarray(vectors, np.float64)
    length = np.linalg.norm(values, axis=-1, keepdims=True)
    return np.asarray(values / np.maximum(length, 1e-12), np.float32)


def embedding_input(entry: ModelEntry) -> InputSpec:
    """The input of a net that embeds aligned faces; `ModelError` where the model isn't one."""
    if entry.decode != "embedding" or entry.input is None or entry.input.hw != (SIDE, SIDE):
        size = "no picture" if entry.input is None else f"{entry.input.height}x{entry.input.width}"
        raise ModelError(
            f"{entry.name} is for {entry.task} (decode {entry.decode!r}, input {size}), expected a net "
            f"whose decode is 'embedding' with an input of {SIDE}x{SIDE}, such as mobileface or sface"
        )
    return entry.input


class FaceEmbedder:
    """An embedding net and its input; may be used from several threads.

    Raises `ModelError` where the model isn't one for aligned faces.
    """

    def __init__(self, models: ModelStore, name: str, threads: int = 1) -> None:
        entry = models.entry(name)
        self._spec = embedding_input(entry)
        self.strangers = entry.strangers or UNDECLARED
        self._net: Net = models.load(name, threads=threads)
        self._net.expect(entry.decode, {"#0": (1, None)})
        width = self._net.outputs[0].shape[1]
        if width is None:
            raise ModelError(f"{entry.name} doesn't say how many values it gives; expected an output (1, D)")
        self.width = int(width)

    @property
    def model(self) -> str:
        """The model's name: embeddings of two models can't be compared."""
        return self._net.entry.name

    def __call__(self, faces: Sequence[NDArray[np.uint8]]) -> F32:
        """Unit vectors float32 (N, D) of aligned faces, each uint8 (112, 112, 3)."""
        if not faces:
            return np.zeros((0, self.width), np.float32)
        raw = np.stack([self._one(face) for face in faces])
        if not np.isfinite(raw).all():
            raise ModelError(f"{self.model} answered numbers that are not finite; its weights or its input are wrong")
        return unit(raw)

    def _one(self, face: NDArray[np.uint8]) -> F32:
        tensor = self._net.outputs[0]
        return tensor.dequantise(self._net(to_input(face, self._spec))[0]).reshape(-1)
