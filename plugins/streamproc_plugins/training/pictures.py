"""`streamproc train classification`: from pictures with labels to a model that `classification` runs."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamproc.models import InputSpec, ModelStore, Net, to_input
from streamproc_plugins.training.advice import Advice, advise, warn_of_little
from streamproc_plugins.training.augment import vary
from streamproc_plugins.training.batches import Feed
from streamproc_plugins.training.course import (
    CourseSettings,
    TrainingOutcome,
    TrainingProgress,
    check_width,
    finish,
    make_feed,
    prepare_split,
    report_of,
    start_random,
    train,
)
from streamproc_plugins.training.data import Dataset, Grouping, TrainingError, read_folder, read_segments
from streamproc_plugins.training.export import ExportTarget, prepare_folder, save_bytes
from streamproc_plugins.training.head import HeadKind, fit_head
from streamproc_plugins.training.loading import picture_loader
from streamproc_plugins.training.nets import Kind, build_classifier, freeze
from streamproc_plugins.training.surgery import with_head, without_head

_COPIES = 2
"""variants of each picture that a head is fitted to, the picture itself among them"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSettings:
    """Settings particular to pictures."""

    out: Path
    name: str
    mode: Literal["auto", "bottleneck", "fine-tune", "scratch"] = "auto"
    net: Kind = "small"
    size: tuple[int, int] = (128, 128)
    """(width, height)"""
    width: float = 1.0
    weights: Path | None = None
    base: str = ""
    """model of the store whose features a head is fitted to"""
    head: HeadKind = "logistic"
    alike: bool = True
    """whether the data look like those of the net that is started from"""
    resize: Literal["stretch", "crop", "letterbox"] = "stretch"
    course: CourseSettings = field(default_factory=CourseSettings)


def read_pictures(path: Path, grouping: Grouping = "auto") -> Dataset:
    """A folder with a subfolder per class, or a CSV with `path,label`."""
    return read_segments(path) if path.suffix.lower() == ".csv" else read_folder(path, grouping=grouping)


def train_pictures(
    data: Dataset, settings: PictureSettings, progress: TrainingProgress, store: ModelStore | None = None
) -> TrainingOutcome:
    """Train and write the model folder; `TrainingError` or `ModelError` gives the reason for a refusal."""
    check_width(settings.width)
    prepare_folder(settings.out)
    advice = choose(data, settings)
    progress.say(advice.reason)
    if advice.mode == "bottleneck" and settings.base:
        return _train_head(data, settings, progress, store or ModelStore())
    made = prepare_split(data, settings.course, progress)
    if settings.weights is None and (warning := warn_of_little(len(made.training), len(data.labels))):
        progress.say(warning)
    weights = None if advice.mode == "scratch" else settings.weights
    start_random(settings.course)
    model = build_classifier(
        settings.net, size=settings.size, classes=len(data.labels), width=settings.width, weights=weights
    )
    course = settings.course
    if weights is not None:
        progress.say(f"{freeze(model, advice.frozen)} layers below the last one are trained")
        course = replace(course, fit=_gently(course, advice))
    spec = InputSpec(
        width=settings.size[0], height=settings.size[1], layout="NHWC", colour="rgb", resize=settings.resize
    )
    target = _target(settings, data, spec, "logits", f"{settings.net}, {advice.mode}")
    return train(model, make_feed(data, made, picture_loader(spec), course), target, course, progress)


def choose(data: Dataset, settings: PictureSettings) -> Advice:
    """The mode, with the reason; `TrainingError` where its input is missing."""
    started = bool(settings.base) or settings.weights is not None
    if settings.mode == "auto":
        if not started:
            return Advice(
                mode="scratch", frozen=0.0, reason="no trained net to start from is named: training from nothing"
            )
        advice = advise(len(data.samples), len(data.labels), alike=settings.alike)
        if settings.base and advice.mode != "bottleneck":
            reason = f"{advice.reason}; over {settings.base} only the last layer can be trained (more: --weights)"
            return Advice(mode="bottleneck", frozen=1.0, reason=reason)
        return advice
    if settings.mode == "bottleneck" and not started:
        raise TrainingError("--mode bottleneck needs a trained net: --base mobilenet-v2, or --weights for --net")
    if settings.mode == "fine-tune" and settings.weights is None:
        raise TrainingError("--mode fine-tune needs the weights to start from: --weights FILE")
    frozen = {"bottleneck": 1.0, "fine-tune": 0.7, "scratch": 0.0}[settings.mode]
    return Advice(mode=settings.mode, frozen=frozen, reason=f"mode {settings.mode}, as asked")


def _gently(course: CourseSettings, advice: Advice) -> Any:
    """Settings for weights that are good already: slow steps with momentum, unless only the last layer is trained."""
    if advice.mode == "bottleneck":
        return course.fit
    return replace(course.fit, optimizer="sgd", rate=min(course.fit.rate, 1e-3))


def _target(settings: PictureSettings, data: Dataset, spec: InputSpec, decode: str, note: str) -> ExportTarget:
    return ExportTarget(
        folder=settings.out, name=settings.name, task="classification", labels=data.labels, input=spec, decode=decode,
        note=note,
    )  # fmt: skip


def _train_head(
    data: Dataset, settings: PictureSettings, progress: TrainingProgress, store: ModelStore
) -> TrainingOutcome:
    """A linear head over the features of a net of the store, as one file with both."""
    entry = store.entry(settings.base)
    spec = entry.input
    if spec is None or spec.layout == "NDHWC":
        raise TrainingError(f"{entry.name} isn't a net of single pictures, so it can't be a --base")
    content = store.files(settings.base)[entry.files[0].name].read_bytes()
    classifier = entry.task == "classification"
    spec = spec.model_copy(update={"resize": settings.resize})
    made = prepare_split(data, settings.course, progress)
    feed = make_feed(data, made, picture_loader(spec), settings.course)
    with tempfile.TemporaryDirectory() as folder:
        bare = _bare_net(Path(folder), entry, without_head(content, entry.runtime, classifier=classifier), spec)
        ids, values = _training_features(bare, feed, spec, progress)
        held_out = features(bare, spec, (feed.load(sample) for sample in feed.validation))
    weight = feed.weights[ids].astype(np.float64)
    head, penalty = fit_head(values, ids, weight, (held_out, feed.validation_ids), settings.head)
    target = _target(settings, data, spec, "softmax", f"{settings.head} head over {entry.name}")
    target = replace(target, licence=f"head: your own; net: {entry.licence}")
    file = f"net{Path(entry.files[0].name).suffix}"
    save_bytes(target, entry.runtime, file, with_head(content, entry.runtime, head, classifier=classifier))
    report = report_of((held_out @ head.weights + head.bias).astype(np.float32), feed.validation_ids, data.labels)
    notes = (
        f"{settings.head} over {values.shape[1]} features of {entry.name}, penalty {penalty:g} (the best of several on "
        "the held-out samples, so the figures are a little too good)",
    )
    finish(target.folder, report, None, settings.course, notes)
    return TrainingOutcome(folder=target.folder, report=report, history=None, notes=notes)


def _bare_net(folder: Path, entry: Any, content: bytes, spec: InputSpec) -> Net:
    """The net that gives features, loaded like any other."""
    target = ExportTarget(folder=folder, name=entry.name, task="features", labels=(), input=spec, decode="embedding")
    save_bytes(target, entry.runtime, f"net{Path(entry.files[0].name).suffix}", content)
    return ModelStore().load(str(folder))


def _training_features(
    net: Net, feed: Feed, spec: InputSpec, progress: TrainingProgress
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Class ids and features of the training pictures and of variants of them."""
    rows = []
    copies = 1 if feed.augmentation == type(feed.augmentation).none() else _COPIES
    for number, sample in enumerate(feed.training):
        rng = np.random.default_rng([feed.seed, number])
        pictures = feed.load(sample)
        rows += [pictures, *(vary(pictures, rng, feed.augmentation) for _ in range(copies - 1))]
        progress.batch(number + 1, len(feed.training))
    return np.repeat(feed.training_ids, copies), features(net, spec, iter(rows))


def features(net: Net, spec: InputSpec, pictures: Any) -> NDArray[np.float64]:
    """Features float64 (N, D) of pictures uint8 (1, h, w, 3) at the net's size."""
    output = net.outputs[0]
    rows = [output.dequantise(net(to_input(picture[0], spec))[0]).ravel() for picture in pictures]
    found = np.stack(rows).astype(np.float64)
    if not np.isfinite(found).all():
        raise TrainingError(f"{net.entry.name} gives features that are not finite; choose another --base")
    return found


__all__ = ["PictureSettings", "choose", "features", "read_pictures", "train_pictures"]
