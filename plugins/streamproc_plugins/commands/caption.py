"""`streamproc train caption`. Light to import: heavy modules are loaded when it runs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from streamproc_plugins.commands.train import (
    Augment,
    Json,
    Name,
    Out,
    Patience,
    Seed,
    Validation,
    Width,
    course_of,
    progress_bars,
)


class Encoder(StrEnum):
    """Input of the encoder."""

    pictures = "2d"
    volume = "3d"
    flow = "flow"


def caption(  # noqa: PLR0913, PLR0917 - one parameter an option
    data: Annotated[Path, typer.Option("--data", help="CSV with path,caption in each row, or COCO's caption JSON")],
    out: Out,
    name: Name = "",
    pictures: Annotated[Path | None, typer.Option("--pictures", help="folder of COCO's pictures")] = None,
    encoder: Annotated[
        Encoder, typer.Option("--encoder", help="CNN over pictures, over clips, or over flow")
    ] = Encoder.pictures,
    frames: Annotated[int, typer.Option("--frames", min=1, help="pictures in a clip")] = 8,
    clip_rate: Annotated[float, typer.Option("--clip-rate", help="pictures a second of media time")] = 4.0,
    size: Annotated[int, typer.Option("--size", min=16, help="width and height of the input in pixels")] = 112,
    width: Width = 1.0,
    longest: Annotated[int, typer.Option("--longest", min=3, help="words of a sentence, marks counted")] = 20,
    least: Annotated[int, typer.Option("--least", min=1, help="words that occur less often are unknown")] = 1,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="at most so often over all data")] = 60,
    patience: Patience = 10,
    batch: Annotated[int, typer.Option("--batch", min=1, help="sentences at a time")] = 16,
    rate: Annotated[float, typer.Option("--rate", help="learning rate at the start")] = 2e-3,
    validation: Validation = 0.2,
    seed: Seed = 0,
    augment: Augment = True,
    as_json: Json = False,
) -> None:
    """Train an encoder-decoder that describes clips or pictures in sentences."""
    from streamproc_plugins.captioning.samples import read_captioned
    from streamproc_plugins.captioning.training import CaptionSettings, train_captions
    from streamproc_plugins.training.export import model_name

    settings = CaptionSettings(
        out=out, name=model_name(name or out.name), encoder=encoder.value, frames=frames, rate=clip_rate,
        size=(size, size), width=width, longest=longest, least=least,
        course=course_of(epochs, patience, batch, rate, validation, seed, False, _variation(augment)),
    )  # fmt: skip
    with progress_bars() as progress:
        outcome = train_captions(read_captioned(data, pictures), settings, progress)
    typer.echo(outcome.report.to_json() if as_json else outcome.table())


def _variation(augment: bool) -> object:
    """Never mirrored: sentences say left and right."""
    from streamproc_plugins.training.augment import Augmentation

    return Augmentation(flip=False, zoom=0.15, shear=0.1) if augment else Augmentation.none()


__all__ = ["caption"]
