"""`streamproc train classification` and `train action`. Light to import: heavy modules are loaded when they run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from streamproc_plugins.training.course import CourseSettings, TrainingOutcome, TrainingProgress


class Mode(StrEnum):
    """Part of the net to train."""

    auto = "auto"
    bottleneck = "bottleneck"
    fine_tune = "fine-tune"
    scratch = "scratch"


class NetName(StrEnum):
    """Nets for pictures."""

    small = "small"
    mobilenet_v2 = "mobilenet-v2"
    mobilenet_v3_small = "mobilenet-v3-small"
    mobilenet_v3_large = "mobilenet-v3-large"


class HeadName(StrEnum):
    """Linear heads."""

    logistic = "logistic"
    svm = "svm"


class PictureFit(StrEnum):
    """Fit of a picture to the input's shape."""

    stretch = "stretch"
    crop = "crop"
    letterbox = "letterbox"


class Group(StrEnum):
    """Grouping of files that belong together."""

    auto = "auto"
    file = "file"
    prefix = "prefix"
    folder = "folder"


Out = Annotated[Path, typer.Option("--out", help="folder that the model goes to")]
Name = Annotated[str, typer.Option("--name", help="its name in the model list (default: the folder's)")]
Grouping = Annotated[
    Group, typer.Option("--group", help="files that stay on one side: by subfolder, name's prefix, or none")
]
Epochs = Annotated[int, typer.Option("--epochs", min=1, help="at most so often over all data")]
Patience = Annotated[int, typer.Option("--patience", min=1, help="epochs without getting better after which it ends")]
BatchSize = Annotated[int, typer.Option("--batch", min=1, help="samples at a time")]
Rate = Annotated[float, typer.Option("--rate", help="learning rate at the start")]
Validation = Annotated[float, typer.Option("--validation", help="part of the samples held out, 0 to 0.5")]
Seed = Annotated[int, typer.Option("--seed", help="of everything random")]
Balance = Annotated[bool, typer.Option("--balance/--no-balance", help="rare classes weigh more")]
Augment = Annotated[bool, typer.Option("--augment/--no-augment", help="vary the pictures at random")]
Flip = Annotated[bool, typer.Option("--flip/--no-flip", help="exchange left and right too")]
Json = Annotated[bool, typer.Option("--json", help="figures as JSON on stdout")]
Width = Annotated[float, typer.Option("--width", help="factor of the number of channels")]


def classification(  # noqa: PLR0913, PLR0917 - one parameter an option
    data: Annotated[Path, typer.Option("--data", help="folder with a subfolder per class, or a CSV with path,label")],
    out: Out,
    name: Name = "",
    mode: Annotated[Mode, typer.Option("--mode", help="part to train; auto: by the amount of data")] = Mode.auto,
    base: Annotated[str, typer.Option("--base", help="model of the store to put a linear head on")] = "",
    head: Annotated[HeadName, typer.Option("--head", help="kind of that head")] = HeadName.logistic,
    net: Annotated[NetName, typer.Option("--net", help="net to train where there is no --base")] = NetName.small,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Keras weights (no_top) to start --net from")
    ] = None,
    different: Annotated[
        bool, typer.Option("--different", help="the data look unlike those that it was trained on")
    ] = False,
    size: Annotated[int, typer.Option("--size", min=32, help="width and height of the input in pixels")] = 128,
    width: Width = 1.0,
    fit: Annotated[PictureFit, typer.Option("--fit", help="how pictures get the input's shape")] = PictureFit.stretch,
    group: Grouping = Group.auto,
    epochs: Epochs = 30,
    patience: Patience = 6,
    batch: BatchSize = 32,
    rate: Rate = 1e-3,
    validation: Validation = 0.2,
    seed: Seed = 0,
    balance: Balance = True,
    augment: Augment = True,
    flip: Flip = True,
    as_json: Json = False,
) -> None:
    """Train a classifier of pictures: a head over a trained net, or a net of its own."""
    from streamproc_plugins.training.export import model_name
    from streamproc_plugins.training.pictures import PictureSettings, read_pictures, train_pictures

    course = course_of(epochs, patience, batch, rate, validation, seed, balance, _variation(augment, flip))
    settings = PictureSettings(
        out=out, name=model_name(name or out.name), mode=mode.value, net=net.value, size=(size, size), width=width,
        weights=weights, base=base, head=head.value, alike=not different, resize=fit.value, course=course,
    )  # fmt: skip
    with progress_bars() as progress:
        outcome = train_pictures(read_pictures(data, group.value), settings, progress)
    _show(outcome, as_json)


def action(  # noqa: PLR0913, PLR0917 - one parameter an option
    data: Annotated[Path, typer.Option("--data", help="folder with a subfolder per class, or a CSV of segments")],
    out: Out,
    net: Annotated[str, typer.Option("--net", help="one of the nets of the plugin `action`, such as c3d or cnn_lstm")],
    name: Name = "",
    lists: Annotated[
        Path | None, typer.Option("--lists", help="folder with the split files of UCF101 or HMDB-51")
    ] = None,
    split: Annotated[int, typer.Option("--split", min=1, help="which of their splits")] = 1,
    frames: Annotated[int, typer.Option("--frames", min=1, help="pictures in a clip")] = 16,
    clip_rate: Annotated[float, typer.Option("--clip-rate", help="pictures a second of media time")] = 8.0,
    size: Annotated[int, typer.Option("--size", min=8, help="width and height of the input in pixels")] = 112,
    flow: Annotated[bool, typer.Option("--flow", help="a second stream of the net over optical flow")] = False,
    base: Annotated[
        str, typer.Option("--base", help="model of the store whose features feature_lstm or feature_mean goes over")
    ] = "",
    width: Width = 1.0,
    group: Grouping = Group.auto,
    epochs: Epochs = 30,
    patience: Patience = 6,
    batch: BatchSize = 8,
    rate: Rate = 1e-3,
    validation: Validation = 0.2,
    seed: Seed = 0,
    balance: Balance = True,
    augment: Augment = True,
    flip: Flip = True,
    as_json: Json = False,
) -> None:
    """Train a net over space and time on clips: gestures, sports, actions at a till."""
    from streamproc_plugins.training.clips import ClipSettings, read_clips, train_clips
    from streamproc_plugins.training.export import model_name
    from streamproc_plugins.training.sequences import train_sequences

    course = course_of(epochs, patience, batch, rate, validation, seed, balance, _variation(augment, flip))
    settings = ClipSettings(
        out=out, name=model_name(name or out.name), net=net, frames=frames, rate=clip_rate, size=(size, size),
        width=width, flow=flow, course=course,
    )  # fmt: skip
    with progress_bars() as progress:
        found = read_clips(data, lists, split, group.value)
        outcome = train_sequences(found, settings, base, progress) if base else train_clips(found, settings, progress)
    _show(outcome, as_json)


def course_of(  # noqa: PLR0913, PLR0917 - the options that both commands have
    epochs: int, patience: int, batch: int, rate: float, validation: float, seed: int, balance: bool, variation: Any
) -> CourseSettings:
    from streamproc_plugins.training.course import CourseSettings
    from streamproc_plugins.training.fit import FitSettings

    # before TensorFlow is loaded, whose start logs warnings that no user can act on
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return CourseSettings(
        validation=validation, batch=batch, balanced=balance, seed=seed, augmentation=variation,
        fit=FitSettings(epochs=epochs, patience=patience, rate=rate, seed=seed),
    )  # fmt: skip


def _variation(augment: bool, flip: bool) -> Any:
    from streamproc_plugins.training.augment import Augmentation

    return Augmentation(flip=flip) if augment else Augmentation.none()


@contextmanager
def progress_bars() -> Iterator[TrainingProgress]:
    """Sentences on stderr, and a bar over the batches of an epoch where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from streamproc_plugins.training.course import TrainingProgress

    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task("batches", total=None)

        def batch(done: int, of: int) -> None:
            bars.update(task, completed=done, total=of)

        yield TrainingProgress(say=lambda text: console.print(text, markup=False, soft_wrap=True), batch=batch)


def _show(outcome: TrainingOutcome, as_json: bool) -> None:
    typer.echo(outcome.report.to_json() if as_json else outcome.table())


__all__ = ["action", "classification", "course_of", "progress_bars"]
