"""Labelled scores from a net's outputs, as functions of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamproc import Classification, ModelError
from streamproc.models import Net, Tensor

Activation = Literal["softmax", "sigmoid", "none"]

ACTIVATIONS: Mapping[str, Activation] = {
    "softmax": "none",
    "sigmoid": "none",
    "logits": "softmax",
    "multilabel-logits": "sigmoid",
}
"""activation still to apply to the outputs, by a manifest's `decode`; the first two nets apply it themselves"""


def activate(logits: NDArray[Any], activation: Activation) -> NDArray[np.float32]:
    """Scores float32 (C,) in 0..1 from a net's last layer (C,): `none` where the net has them already."""
    values = np.asarray(logits, np.float64)
    if activation == "softmax":
        shifted = np.exp(values - values.max())
        values = shifted / shifted.sum()
    elif activation == "sigmoid":
        values = 1 / (1 + np.exp(-np.clip(values, -500, 500)))
    return np.asarray(np.clip(values, 0, 1), np.float32)


def scores_of(
    net: Net, output: NDArray[Any], activation: Activation, tensor: Tensor | None = None
) -> NDArray[np.float32]:
    """Scores float32 (C,), 0..1, of a net's output (1, C), quantised or not; by default its first.

    Raises `ModelError` for NaN or infinity.
    """
    values = (tensor or net.outputs[0]).dequantise(output).reshape(-1)
    if not np.isfinite(values).all():
        raise ModelError(
            f"{net.entry.name} answered scores that are not finite; its weights or its input scale are wrong"
        )
    return activate(values, activation)


def best(scores: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Class ids of the `count` best scores, best first, ties by class id."""
    return np.argsort(-scores, kind="stable")[:count].astype(np.int64)


def activation_of(wanted: Literal["auto", "softmax", "sigmoid", "none"], decode: str) -> Activation:
    """The activation to apply; `auto`: by the manifest's `decode`, softmax where that is silent."""
    return ACTIVATIONS.get(decode, "softmax") if wanted == "auto" else wanted


def best_labels(scores: NDArray[np.float32], labels: Sequence[str], count: int) -> Classification:
    """The `count` best of scores (C,), best first, by their labels."""
    ids = best(scores, count)
    return Classification(label=tuple(labels[i] for i in ids), score=scores[ids], class_id=ids)
