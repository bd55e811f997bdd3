"""A training from split data to a finished model folder, the same for pictures and clips."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc.errors import counted
from streamproc.evaluation.classification import ClassificationReport, evaluate
from streamproc_plugins.training.advice import diagnose
from streamproc_plugins.training.augment import Augmentation
from streamproc_plugins.training.batches import Feed, class_weights
from streamproc_plugins.training.charts import confusion_picture, curves, save_png
from streamproc_plugins.training.content import grouped_by_content
from streamproc_plugins.training.data import Dataset, TrainingError
from streamproc_plugins.training.export import CURVES, ExportTarget, save_keras, save_report
from streamproc_plugins.training.fit import Epoch, FitCallbacks, FitSettings, History, compile_net, cross_entropy, fit
from streamproc_plugins.training.loading import Cache, Load
from streamproc_plugins.training.logs import ScalarLog
from streamproc_plugins.training.splits import Split, split


@dataclass(frozen=True, kw_only=True)
class TrainingProgress:
    """Callbacks for the progress of a training."""

    say: Callable[[str], None] = lambda _: None
    batch: Callable[[int, int], None] = lambda _done, _of: None


@dataclass(frozen=True, slots=True, kw_only=True)
class CourseSettings:
    """Settings common to all nets."""

    validation: float = 0.2
    """part of the samples that is held out"""
    batch: int = 32
    balanced: bool = True
    """rare classes weigh more in the loss"""
    seed: int = 0
    fit: FitSettings = field(default_factory=FitSettings)
    augmentation: Augmentation = field(default_factory=Augmentation)

    def check(self) -> None:
        """Raise `TrainingError` for invalid settings."""
        if not 0 < self.validation <= 0.5:
            raise TrainingError(f"--validation is {self.validation}, expected more than 0 and at most 0.5")
        if self.batch < 1 or self.fit.epochs < 1 or self.fit.patience < 1 or not self.fit.rate > 0:
            raise TrainingError("--batch, --epochs, --patience and --rate must be positive")


def check_width(width: float) -> None:
    """`TrainingError` for a factor of the number of channels that leaves none."""
    if not 0 < width < math.inf:
        raise TrainingError(f"--width is {width:g}, expected more than 0, such as 0.5 for half the channels")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOutcome:
    """Result of a training."""

    folder: Path
    report: ClassificationReport
    """on the held-out samples"""
    history: History | None
    """None where the optimum was computed at once"""
    notes: tuple[str, ...]

    def table(self) -> str:
        """A table for the terminal."""
        return "\n".join([self.report.table(), "", *self.notes, "", f"model folder: {self.folder}"])


def prepare_split(data: Dataset, settings: CourseSettings, progress: TrainingProgress) -> Split:
    """Split so that samples of equal content are on one side, and report the split."""
    settings.check()
    data, notes = grouped_by_content(data)
    for note in notes:
        progress.say(note)
    made = split(data, settings.validation, settings.seed)
    groups = len({sample.group for sample in data.samples})
    progress.say(
        f"{counted(len(data.samples), 'sample')} of {len(data.labels)} classes in {counted(groups, 'group')}: "
        f"{len(made.training)} for training, {len(made.validation)} held out"
    )
    if made.alone:
        progress.say(
            f"nothing could be held out of {', '.join(made.alone)}: one group only; their scores aren't measured"
        )
    return made


def start_random(settings: CourseSettings) -> None:
    """Set all that is random, before the net is built: its first weights are."""
    import keras

    keras.utils.set_random_seed(settings.seed)


def make_feed(data: Dataset, made: Split, load: Load, settings: CourseSettings) -> Feed:
    """Batches of the two sides, of pictures; `dataclasses.replace` makes clips of them."""
    ids = data.class_ids
    training, validation = list(made.training), list(made.validation)
    counts = np.bincount(ids[training], minlength=len(data.labels))
    return Feed(
        load=Cache(load, samples=data.samples),
        training=data.take(training),
        validation=data.take(validation),
        training_ids=ids[training],
        validation_ids=ids[validation],
        weights=class_weights(counts, settings.balanced),
        size=settings.batch,
        seed=settings.seed,
        augmentation=settings.augmentation,
    )


def answers(model: Any, feed: Any) -> NDArray[np.float32]:
    """Logits (N, C) of the held-out samples."""
    return np.concatenate([np.asarray(model.predict_on_batch(batch.x), np.float32) for batch in feed.held_back()])


def train(
    model: Any,
    feed: Any,
    target: ExportTarget,
    settings: CourseSettings,
    progress: TrainingProgress,
    export: Callable[[Any], Any] = lambda model: model,
) -> TrainingOutcome:
    """Fit the net and write it: the best so far after each epoch, figures and pictures at the end.

    feed: as `Feed`. export: makes of the net that is trained the one that is written.
    """
    compile_net(model, settings.fit)
    started = time.monotonic()

    def score(net: Any) -> tuple[float, float]:
        logits = answers(net, feed)
        right = logits.argmax(axis=1) == feed.validation_ids
        return cross_entropy(logits, feed.validation_ids), float(right.mean())

    with ScalarLog(target.folder / CURVES) as log:

        def note(epoch: Epoch) -> None:
            progress.say(_line(epoch, settings.fit.epochs))
            values = asdict(epoch)
            log.scalars(values.pop("number"), values)

        watch = FitCallbacks(batch=progress.batch, epoch=note, best=lambda net, _: save_keras(target, export(net)))
        history = fit(model, feed, score, settings.fit, watch)
    save_keras(target, export(model))  # once more: an interruption may have come between the best epoch and its file
    report = report_of(answers(model, feed), feed.validation_ids, target.labels)
    best = history.epochs[history.best - 1]
    notes = (
        f"ended ({history.ended}) after {counted(len(history.epochs), 'epoch')} and "
        f"{time.monotonic() - started:.0f} s; the best was epoch {history.best}",
        diagnose(best.accuracy, best.val_accuracy),
    )
    save_png(target.folder / "curves.png", curves(history))
    finish(target.folder, report, history, settings, notes)
    return TrainingOutcome(folder=target.folder, report=report, history=history, notes=notes)


def finish(
    folder: Path,
    report: ClassificationReport,
    history: History | None,
    settings: CourseSettings,
    notes: tuple[str, ...],
) -> None:
    """Write the figures and the confusion matrix."""
    import json

    save_png(folder / "confusion.png", confusion_picture(report.confusion, report.labels))
    save_report(
        folder,
        {
            "held_out": json.loads(report.to_json()),
            "history": history.to_json() if history else None,
            "settings": asdict(settings),
            "notes": notes,
        },
    )


def report_of(scores: NDArray[np.float32], ids: NDArray[np.int64], labels: tuple[str, ...]) -> ClassificationReport:
    """Scores (N, C) against class ids (N,)."""
    order = np.argsort(-scores, axis=1, kind="stable")
    return evaluate(ids.tolist(), order.tolist(), labels)


def _line(epoch: Epoch, of: int) -> str:
    return (
        f"epoch {epoch.number}/{of}: loss {epoch.loss:.3f}, accuracy {epoch.accuracy:.3f}; "
        f"held out: loss {epoch.val_loss:.3f}, accuracy {epoch.val_accuracy:.3f}; rate {epoch.rate:g}"
    )


__all__ = [
    "CourseSettings",
    "TrainingOutcome",
    "TrainingProgress",
    "answers",
    "check_width",
    "finish",
    "make_feed",
    "prepare_split",
    "report_of",
    "start_random",
    "train",
]
