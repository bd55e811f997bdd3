"""Scores of several classifiers combined: functions of arrays.

Averages and votes: Kittler et al., On Combining Classifiers, IEEE PAMI 1998. Learned weights: a logarithmic opinion
pool whose weights and class offsets are those of a multinomial logistic regression (stacking, Wolpert 1992).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamproc import Classification

Method = Literal["mean", "geometric", "max", "vote", "logistic"]
F64 = NDArray[np.float64]

_LEAST = 1e-4


def matrix(found: Sequence[Classification]) -> tuple[tuple[str, ...], NDArray[np.int64], F64]:
    """Labels by the alphabet, their class ids, scores (M, C) of M classifications; 0 where one doesn't name a label."""
    ids: dict[str, int] = {}
    for one in found:
        for label, number in zip(one.label, one.class_id.tolist(), strict=True):
            ids.setdefault(label, number)
    labels = tuple(sorted(ids))
    place = {label: column for column, label in enumerate(labels)}
    scores = np.zeros((len(found), len(labels)))
    for row, one in enumerate(found):
        for label, score in zip(one.label, one.score.tolist(), strict=True):
            scores[row, place[label]] = max(score, scores[row, place[label]])
    return labels, np.array([ids[label] for label in labels], np.int64), scores


def fused(scores: F64, weights: F64, method: Method, bias: F64 | None = None) -> F64:
    """One score for each class, (C,), 0..1, of M classifiers' (M, C).

    weights: (M,), >= 0; for the first two and `vote` only their proportions count. bias: (C,), for `logistic`.
    mean: the weighted mean. geometric: the weighted geometric mean, scaled to sum to 1. max: the highest. vote: the
    part of the weights that have the class as their best. logistic: softmax of `weights @ log(scores) + bias`.
    """
    share = weights / max(float(weights.sum()), 1e-12)
    if method == "mean":
        return np.asarray(np.clip(share @ scores, 0, 1))
    if method == "max":
        return np.asarray(scores[weights > 0].max(axis=0) if (weights > 0).any() else scores.max(axis=0) * 0)
    if method == "vote":
        won = np.zeros_like(scores)
        won[np.arange(len(scores)), scores.argmax(axis=1)] = scores.max(axis=1) > 0
        return np.asarray(np.clip(share @ won, 0, 1))
    logs = np.log(np.maximum(scores, _LEAST))
    logits = share @ logs if method == "geometric" else weights @ logs + (0 if bias is None else bias)
    return _softmax(logits)


def fit_logistic(scores: NDArray[Any], label: NDArray[np.int64], penalty: float = 1e-3) -> tuple[F64, F64]:
    """Weights (M,), >= 0, and class offsets (C,) for `logistic` that make N known answers most likely.

    scores: (N, M, C), 0..1. label: int64 (N,), the right class. penalty: on the squares of the parameters, against 1/M
    and 0; more where there are few examples. Convex, so there is one answer. Raises `ValueError` for arrays that don't
    fit each other.
    """
    from scipy.optimize import minimize

    if scores.ndim != 3 or label.shape != scores.shape[:1] or not len(label):
        raise ValueError(
            f"scores {scores.shape} and labels {label.shape} don't fit; expected (N, M, C) and (N,), N > 0"
        )
    if not 0 <= int(label.min()) <= int(label.max()) < scores.shape[2]:
        raise ValueError(f"labels go from {label.min()} to {label.max()}, but there are {scores.shape[2]} classes")
    count, models, classes = scores.shape
    logs = np.log(np.maximum(np.asarray(scores, np.float64), _LEAST))
    truth = np.eye(classes)[label]
    start = np.concatenate([np.full(models, 1 / models), np.zeros(classes)])

    def loss(at: F64) -> tuple[float, F64]:
        logits = np.einsum("m,nmc->nc", at[:models], logs) + at[models:]
        said = _softmax(logits)
        off = at - start
        value = -float(np.log(np.maximum((said * truth).sum(axis=1), 1e-300)).mean()) + penalty * float(off @ off)
        wrong = (said - truth) / count
        slope = np.concatenate([np.einsum("nc,nmc->m", wrong, logs), wrong.sum(axis=0)]) + 2 * penalty * off
        return value, slope

    bounds = [(0, None)] * models + [(None, None)] * classes
    best = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return np.asarray(best[:models]), np.asarray(best[models:])


def offsets(labels: Sequence[str], bias: Mapping[str, float]) -> F64:
    """The class offsets (C,) of these labels, 0 for those without one."""
    return np.array([bias.get(label, 0.0) for label in labels])


def _softmax(logits: F64) -> F64:
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


__all__ = ["Method", "fit_logistic", "fused", "matrix", "offsets"]
