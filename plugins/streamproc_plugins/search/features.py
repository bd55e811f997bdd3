"""Any net of the store as a maker of vectors: embedding nets as they are, classifiers without their last layer.

The features before the last layer of a classifier separate pictures far beyond its own classes (Babenko et al.,
Neural Codes for Image Retrieval, ECCV 2014).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamproc import ModelError
from streamproc.models import InputSpec, ModelEntry, ModelStore, Net, prepare

F32 = NDArray[np.float32]

_CLASSIFIERS = frozenset({"softmax", "sigmoid", "logits", "multilabel-logits"})


class PictureEmbedder:
    """A picture to a unit vector; may be called from several threads."""

    def __init__(self, models: ModelStore, name: str, threads: int = 1) -> None:
        """Load the net. Raises `ModelError` or one of its kinds where it is none for pictures, or can't be cut."""
        entry = models.entry(name)
        self._spec = embedder_input(entry)
        self.model = entry.name
        if entry.decode == "embedding":
            self._net = models.load(name, threads=threads)
        else:
            self._net = _without_last_layer(models, name, entry, threads)

    def __call__(self, rgb: NDArray[np.uint8]) -> F32:
        """float32 (D,) of unit length, of a picture uint8 (h, w, 3)."""
        tensor, _ = prepare(rgb, self._spec)
        values = self._net.outputs[0].dequantise(self._net(tensor)[0]).reshape(-1)
        length = float(np.linalg.norm(values))
        if not np.isfinite(length) or length == 0:
            raise ModelError(f"{self.model} answered a vector of the length {length}; its weights or input are wrong")
        return np.asarray(values / np.float32(length), np.float32)


def embedder_input(entry: ModelEntry) -> InputSpec:
    """The input of a net that embeds or classifies pictures; `ModelError` where the model isn't one."""
    if entry.input is None or entry.input.layout == "NDHWC":
        raise ModelError(f"{entry.name} is for {entry.task} and takes no single pictures; choose another model")
    if entry.decode != "embedding" and entry.decode not in _CLASSIFIERS:
        raise ModelError(
            f"{entry.name} is for {entry.task} (decode {entry.decode!r}); expected a net whose decode is "
            f"'embedding', or a classifier ({', '.join(sorted(_CLASSIFIERS))})"
        )
    return entry.input


def _without_last_layer(models: ModelStore, name: str, entry: ModelEntry, threads: int) -> Net:
    """The net without its last layer, stored in the cache."""
    from streamproc_plugins.training.export import save_entry
    from streamproc_plugins.training.surgery import without_head

    path = models.files(name)[entry.files[0].name]
    content = path.read_bytes()
    folder = models.cache / "features" / f"{entry.name}-{hashlib.sha256(content).hexdigest()[:12]}"
    if not (folder / "model.json").is_file():
        file = f"net{Path(entry.files[0].name).suffix}"
        bare = without_head(content, entry.runtime, classifier=True)
        folder.mkdir(parents=True, exist_ok=True)
        changed = {"name": f"{entry.name}-features", "decode": "embedding", "labels": (), "edits": ()}
        save_entry(folder, entry.model_copy(update=changed), file, bare)
    return models.load(str(folder), threads=threads)


__all__ = ["PictureEmbedder", "embedder_input"]
