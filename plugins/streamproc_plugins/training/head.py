"""A linear classifier over the features of a trained net, fitted to the optimum: a few pictures are enough.

`logistic`: multinomial logistic regression. `svm`: linear support vector machines, one class against the others, with
the squared hinge loss (Cortes and Vapnik 1995; Fan et al., LIBLINEAR, JMLR 2008). Both with a quadratic penalty, by
L-BFGS. The scale of the scores is then set on the held-out samples (temperature scaling: Guo et al., On Calibration of
Modern Neural Networks, ICML 2017), so that a probability of 0.9 means about that.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamproc_plugins.training.fit import cross_entropy
from streamproc_plugins.training.surgery import Head

F64 = NDArray[np.float64]
Ids = NDArray[np.int64]
HeadKind = Literal["logistic", "svm"]

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def fit_head(
    features: F64, ids: Ids, weight: F64, held_out: tuple[F64, Ids], kind: HeadKind = "logistic"
) -> tuple[Head, float]:
    """The head with the best cross-entropy on the held-out samples, over several penalties; and its penalty.

    features: (N, D). ids: class ids (N,). weight: of each sample, (N,). held_out: features and ids held out. The
    features are standardised for fitting; the head takes them as they are.
    """
    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 1e-6 * (spread.max() or 1), spread, 1.0)
    classes = int(max(ids.max(), held_out[1].max())) + 1
    inputs, tests = (features - mean) / spread, (held_out[0] - mean) / spread
    tries = []
    for penalty in PENALTIES:
        raw = _minimise(inputs, ids, weight, classes, penalty, kind)
        logits = tests @ raw[:-1] + raw[-1]
        scale = temperature(logits, held_out[1])
        tries.append((cross_entropy(logits * scale, held_out[1]), -penalty, raw * scale))
    _, penalty, best = min(tries, key=lambda row: row[:2])
    weights = best[:-1] / spread[:, None]
    bias = best[-1] - mean @ weights
    return Head(weights.astype(np.float32), bias.astype(np.float32)), -penalty


def _minimise(inputs: F64, ids: Ids, weight: F64, classes: int, penalty: float, kind: HeadKind) -> F64:
    """Weights and, in the last row, bias: (D + 1, C)."""
    from scipy.optimize import minimize

    loss = _softmax_loss if kind == "logistic" else _hinge_loss
    shape = (inputs.shape[1] + 1, classes)
    truth = np.zeros((len(ids), classes))
    truth[np.arange(len(ids)), ids] = 1
    share = weight / weight.sum()

    def value(flat: F64) -> tuple[float, F64]:
        parameters = flat.reshape(shape)
        cost, slope = loss(inputs @ parameters[:-1] + parameters[-1], truth, share)
        gradient = np.vstack([inputs.T @ slope + penalty * parameters[:-1], slope.sum(axis=0)])
        return cost + penalty / 2 * float((parameters[:-1] ** 2).sum()), gradient.ravel()

    found: Any = minimize(value, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 300})
    return np.asarray(found.x).reshape(shape)


def _softmax_loss(logits: F64, truth: F64, share: F64) -> tuple[float, F64]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    total = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    cost = share @ (total[:, 0] - (shifted * truth).sum(axis=1))
    return float(cost), share[:, None] * (np.exp(shifted - total) - truth)


def _hinge_loss(margins: F64, truth: F64, share: F64) -> tuple[float, F64]:
    side = 2 * truth - 1
    short = np.maximum(0, 1 - side * margins)
    return float(share @ (short**2).sum(axis=1)), share[:, None] * (-2 * side * short)


def temperature(logits: F64, ids: Ids) -> float:
    """The factor of the logits with the least cross-entropy, 0.05 to 20; 1 where all classes but one are missing."""
    from scipy.optimize import minimize_scalar

    if len(set(ids.tolist())) < 2:
        return 1.0
    found: Any = minimize_scalar(
        lambda power: cross_entropy(logits * np.exp(power), ids), bounds=(-3.0, 3.0), method="bounded"
    )
    return float(np.exp(found.x))


__all__ = ["PENALTIES", "HeadKind", "fit_head", "temperature"]
