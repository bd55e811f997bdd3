"""From a net's outputs to labelled scores, as functions of arrays."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Activation = Literal["softmax", "sigmoid", "none"]


def activate(logits: NDArray[Any], activation: Activation) -> NDArray[np.float32]:
    """Scores float32 (C,) in 0..1 from a net's last layer (C,): `none` where the net has them already."""
    values = np.asarray(logits, np.float64)
    if activation == "softmax":
        shifted = np.exp(values - values.max())
        values = shifted / shifted.sum()
    elif activation == "sigmoid":
        values = 1 / (1 + np.exp(-values))
    return np.asarray(np.clip(values, 0, 1), np.float32)


def best(scores: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Class ids of the `count` best scores, best first, ties by class id."""
    return np.argsort(-scores, kind="stable")[:count].astype(np.int64)
