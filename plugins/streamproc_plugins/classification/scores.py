"""From a net's outputs to the labels that are kept: functions of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamproc import ModelError, PluginError
from streamproc.errors import nearest
from streamproc.models import Net
from streamproc_plugins.action.scores import Activation, activate, best

F32 = NDArray[np.float32]

ACTIVATIONS: Mapping[str, Activation] = {
    "softmax": "none",
    "sigmoid": "none",
    "logits": "softmax",
    "multilabel-logits": "sigmoid",
}
"""what is still to be done to the outputs, by a manifest's `decode`; the first two are what the net ends in itself"""
NEVER = 2.0


def activation_for(wanted: Literal["auto", "softmax", "sigmoid", "none"], decode: str, model: str) -> Activation:
    """The activation to apply; `ModelError` where neither the option nor the manifest names one."""
    if wanted != "auto":
        return wanted
    if decode not in ACTIVATIONS:
        raise ModelError(
            f"{model} doesn't say how its scores are read (decode {decode!r}), expected {', '.join(ACTIVATIONS)}; "
            "mend `decode` in its manifest, or set the option `activation`"
        )
    return ACTIVATIONS[decode]


def scores_of(net: Net, output: NDArray[Any], activation: Activation) -> F32:
    """Scores float32 (C,), 0..1, of a net's first output (1, C), quantised or not."""
    values = net.outputs[0].dequantise(output).reshape(-1)
    if not np.isfinite(values).all():
        raise ModelError(
            f"{net.entry.name} answered scores that are not finite; its weights or its input scale are wrong"
        )
    return activate(values, activation)


def combined(views: Sequence[F32], how: Literal["mean", "max"]) -> F32:
    """One (C,) from the scores of each view."""
    stacked = np.stack(views)
    return np.asarray(stacked.mean(axis=0) if how == "mean" else stacked.max(axis=0), np.float32)


def kept(scores: F32, floor: F32, count: int) -> NDArray[np.int64]:
    """Class ids with at least the lowest score of their class, best first, at most `count`."""
    order = best(scores, len(scores))
    return order[scores[order] >= floor[order]][:count]


def ids_of(label: str, known: Sequence[str]) -> list[int]:
    """Classes called so: the whole label or one of its synonyms ("tench" of "tench, Tinca tinca").

    A synonym counts only where no class has it as its whole label.
    """
    whole = [i for i, name in enumerate(known) if name == label]
    return whole or [i for i, name in enumerate(known) if label in name.split(", ")]


def lowest_scores(known: Sequence[str], labels: Sequence[str], default: float, scores: Mapping[str, float]) -> F32:
    """Lowest score by class, float32 (C,); above 1 for labels that aren't wanted.

    Raises `PluginError` naming each label that the model doesn't have and the nearest that it has.
    """
    found = {label: ids_of(label, known) for label in (*labels, *scores)}
    if unknown := [label for label, ids in found.items() if not ids]:
        words = [*known, *(word for name in known for word in name.split(", "))]
        told = ", ".join(f"{label!r}{nearest(label, words)}" for label in unknown)
        raise PluginError(f"the model has no label {told}; it knows {len(known)}, such as {', '.join(known[:6])}")
    floor = np.full(len(known), NEVER if labels else default, dtype=np.float32)
    for label in labels:
        floor[found[label]] = default
    for label, score in scores.items():
        wanted = [i for i in found[label] if floor[i] <= 1]
        floor[wanted] = score
    return floor
