"""The loop that fits a net: early stop, restore of the best weights; an error or Ctrl-C loses at most one epoch.

Written for any net and any batches (x, y, weight), so that labels and captions share it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from streamproc_plugins.training.data import TrainingError


class Batches(Protocol):
    """Interface of a feed for the loop."""

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        ...

    def epoch(self, number: int) -> Iterator[Any]:
        """Batches with `x`, `y`, `weight`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSettings:
    """Length and rate of the fit."""

    epochs: int = 30
    patience: int = 6
    """epochs without a better validation loss after which it ends; after half of them the learning rate is halved"""
    rate: float = 1e-3
    """learning rate at the start"""
    optimizer: str = "adam"
    """`adam` (Kingma and Ba, ICLR 2015) or `sgd` (momentum 0.9, for fine-tuning)"""
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """Figures of one epoch."""

    number: int
    """from 1"""
    rate: float
    """learning rate"""
    loss: float
    accuracy: float
    """in training, over varied pictures and while the weights still changed"""
    val_loss: float
    val_accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Figures of all epochs."""

    epochs: tuple[Epoch, ...]
    best: int
    """number of the epoch whose weights the net has now"""
    ended: str
    """`all epochs`, `early stop` or `interrupted`"""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"best": self.best, "ended": self.ended, "epochs": [asdict(epoch) for epoch in self.epochs]}


@dataclass(frozen=True, kw_only=True)
class FitCallbacks:
    """Callbacks for batches and epochs."""

    batch: Callable[[int, int], None] = lambda _done, _of: None
    """after each batch of an epoch"""
    epoch: Callable[[Epoch], None] = lambda _: None
    best: Callable[[Any, Epoch], None] = lambda _model, _epoch: None
    """with the net, each time that it is better than ever: the place to save it"""


@dataclass(slots=True)
class _Course:
    """State of the loop."""

    rate: float
    epochs: list[Epoch] = field(default_factory=list)
    best: Epoch | None = None
    weights: Any = None
    waited: int = 0


def compile_net(model: Any, settings: FitSettings) -> None:
    """Give a net that ends in logits (N, C) its loss and optimizer."""
    import keras

    rate = settings.rate
    choices = {"adam": keras.optimizers.Adam, "sgd": lambda r: keras.optimizers.SGD(r, momentum=0.9)}
    if settings.optimizer not in choices:
        raise TrainingError(f"optimizer {settings.optimizer!r}, expected {' or '.join(choices)}")
    model.compile(
        optimizer=choices[settings.optimizer](rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[],
        metrics=["accuracy"],
        jit_compile=False,  # compiling takes longer than it saves on a CPU
    )


def fit(
    model: Any,
    feed: Batches,
    score: Callable[[Any], tuple[float, float]],
    settings: FitSettings,
    watch: FitCallbacks | None = None,
) -> History:
    """Fit a compiled net; it ends with the weights of its best epoch.

    score: loss and accuracy on the held-out samples. Ctrl-C ends it like an early stop, once an epoch is done; before
    that `KeyboardInterrupt` goes on. Raises `TrainingError` where the loss is no number any more.
    """
    watch = watch or FitCallbacks()
    course, ended = _Course(rate=settings.rate), "all epochs"
    try:
        for number in range(1, settings.epochs + 1):
            loss, accuracy = _train(model, feed, number, watch)
            val_loss, val_accuracy = score(model)
            _check(val_loss, number, "validation loss")
            epoch = Epoch(
                number=number, rate=course.rate, loss=loss, accuracy=accuracy, val_loss=val_loss,
                val_accuracy=val_accuracy,
            )  # fmt: skip
            _note(course, epoch, model, settings, watch)
            if course.waited >= settings.patience:
                ended = "early stop"
                break
    except KeyboardInterrupt:
        if course.best is None:
            raise
        ended = "interrupted"
    assert course.best is not None, "there is at least one epoch"
    model.set_weights(course.weights)
    return History(epochs=tuple(course.epochs), best=course.best.number, ended=ended)


def _train(model: Any, feed: Batches, number: int, watch: FitCallbacks) -> tuple[float, float]:
    """Mean loss and accuracy over one epoch."""
    loss = accuracy = count = 0.0
    for done, batch in enumerate(feed.epoch(number - 1), start=1):
        found = model.train_on_batch(batch.x, batch.y, sample_weight=batch.weight, return_dict=True)
        _check(float(found["loss"]), number, "loss")
        loss += float(found["loss"]) * len(batch.y)
        accuracy += float(found.get("accuracy", math.nan)) * len(batch.y)
        count += len(batch.y)
        watch.batch(done, feed.steps)
    return loss / count, accuracy / count


def _note(course: _Course, epoch: Epoch, model: Any, settings: FitSettings, watch: FitCallbacks) -> None:
    """Record the epoch; save the weights if it is the best, else wait and slow down."""
    course.epochs.append(epoch)
    if course.best is None or epoch.val_loss < course.best.val_loss:
        course.best, course.weights, course.waited = epoch, model.get_weights(), 0
        watch.best(model, epoch)
    else:
        course.waited += 1
        if course.waited % max(1, settings.patience // 2) == 0:
            course.rate /= 2
            model.optimizer.learning_rate = course.rate
    watch.epoch(epoch)


def _check(loss: float, number: int, what: str) -> None:
    if not math.isfinite(loss):
        raise TrainingError(
            f"the {what} is {loss} in epoch {number}; use a lower learning rate, or look for data that can't be right"
        )


def cross_entropy(logits: Any, ids: Any) -> float:
    """Mean of -log softmax at the right class; logits (N, C), ids (N,)."""
    import numpy as np

    values = np.asarray(logits, np.float64)
    values = values - values.max(axis=1, keepdims=True)
    chosen = values[np.arange(len(ids)), ids]
    return float(np.mean(np.log(np.exp(values).sum(axis=1)) - chosen))


__all__ = [
    "Batches",
    "Epoch",
    "FitCallbacks",
    "FitSettings",
    "History",
    "compile_net",
    "cross_entropy",
    "fit",
]
