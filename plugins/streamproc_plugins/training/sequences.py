"""`streamproc train action --base`: a net over the features of another, computed once for each clip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamproc.models import ModelStore
from streamproc_plugins.action.nets.features import FEATURE_KINDS, build_over_features, step_over_features
from streamproc_plugins.search.features import PictureEmbedder
from streamproc_plugins.training.batches import Batch, class_weights
from streamproc_plugins.training.clips import ClipSettings
from streamproc_plugins.training.course import TrainingOutcome, TrainingProgress, prepare_split, start_random, train
from streamproc_plugins.training.data import Dataset, TrainingError, TrainingSample
from streamproc_plugins.training.export import ExportTarget, prepare_folder
from streamproc_plugins.training.loading import sampled_pictures

F32 = NDArray[np.float32]

_WINDOWS = 4
"""of a long segment so many clips' length is read, from its middle"""


@dataclass(frozen=True, kw_only=True, eq=False)
class SequenceFeed:
    """Sequences of features as batches: a window anywhere in each, the middle one for held-out samples."""

    training: Sequence[F32]
    """(T', D) each"""
    validation: Sequence[F32]
    training_ids: NDArray[np.int64]
    validation_ids: NDArray[np.int64]
    weights: F32
    """by class, float32 (C,)"""
    frames: int
    size: int
    seed: int

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return -(-len(self.training) // self.size)

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of this epoch, from 0, in an order of its own."""
        rng = np.random.default_rng([self.seed, number])
        order = rng.permutation(len(self.training))
        for row in np.array_split(order, self.steps):
            windows = [self._window(self.training[i], rng) for i in row]
            ids = self.training_ids[row]
            yield Batch(np.stack(windows), ids, self.weights[ids])

    def held_back(self) -> Iterator[Batch]:
        """The held-out samples, in their order."""
        for start in range(0, len(self.validation), self.size):
            part = self.validation[start : start + self.size]
            ids = self.validation_ids[start : start + self.size]
            yield Batch(np.stack([self._window(values, None) for values in part]), ids, np.ones(len(ids), np.float32))

    def _window(self, values: F32, rng: np.random.Generator | None) -> F32:
        room = max(0, len(values) - self.frames)
        start = room // 2 if rng is None else int(rng.integers(room + 1))
        return values[np.arange(start, start + self.frames) % len(values)]


def train_sequences(
    data: Dataset, settings: ClipSettings, base: str, progress: TrainingProgress, store: ModelStore | None = None
) -> TrainingOutcome:
    """Train and write the model folder, a streaming net that `action_stream` runs behind `embed` with the same base.

    base: a net of the store for single pictures. Raises `TrainingError` or `ModelError` where something is in the way.
    """
    settings.check()
    if settings.net not in FEATURE_KINDS:
        raise TrainingError(f"--base goes with --net {' or '.join(FEATURE_KINDS)}, got {settings.net}")
    prepare_folder(settings.out)
    made = prepare_split(data, settings.course, progress)
    embedder = PictureEmbedder(store or ModelStore(), base)
    training, validation = data.take(made.training), data.take(made.validation)
    progress.say(f"features of {len(training) + len(validation)} clips by {embedder.model} ...")
    sequences = _features([*training, *validation], settings, embedder, progress)
    ids = data.class_ids
    counts = np.bincount(ids[list(made.training)], minlength=len(data.labels))
    feed = SequenceFeed(
        training=sequences[: len(training)],
        validation=sequences[len(training) :],
        training_ids=ids[list(made.training)],
        validation_ids=ids[list(made.validation)],
        weights=class_weights(counts, settings.course.balanced),
        frames=settings.frames,
        size=settings.course.batch,
        seed=settings.course.seed,
    )
    start_random(settings.course)
    depth = sequences[0].shape[1]
    model = build_over_features(
        settings.net, frames=settings.frames, depth=depth, classes=len(data.labels), width=settings.width
    )
    return train(model, feed, _target(data, settings, embedder), settings.course, progress, export=step_over_features)


def _features(
    samples: Sequence[TrainingSample], settings: ClipSettings, embedder: PictureEmbedder, progress: TrainingProgress
) -> list[F32]:
    most, found = _WINDOWS * settings.frames, []
    for done, sample in enumerate(samples, start=1):
        span = (sample.start_s, sample.end_s)
        # pictures of full size, as `embed` gets them in a run
        values = [embedder(rgb) for rgb in sampled_pictures(sample.path, None, settings.rate, span)]
        if not values:
            raise TrainingError(f"{sample.path} has no picture in {span} s; mend it or take it out of the data")
        start = max(0, (len(values) - most) // 2)
        found.append(np.stack(values[start : start + most]))
        progress.batch(done, len(samples))
    return found


def _target(data: Dataset, settings: ClipSettings, embedder: PictureEmbedder) -> ExportTarget:
    note = f"{settings.net} over features of {embedder.model}, {settings.rate:g} pictures a second; behind `embed`"
    return ExportTarget(
        folder=settings.out, name=settings.name, task="action", labels=data.labels, input=None, decode="logits",
        note=note,
    )  # fmt: skip


__all__ = ["SequenceFeed", "train_sequences"]
