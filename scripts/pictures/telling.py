"""Sentences: from templates on the synthetic scene, and from a net trained here on drawn clips."""

from __future__ import annotations

import csv
import itertools
from html import escape
from pathlib import Path

import cv2
import numpy as np

from scripts.pictures import figures
from scripts.pictures.catalogue import Picture, Studio, picture
from scripts.pictures.figures import ACTS, Person
from scripts.pictures.nets import noisy
from scripts.pictures.page import figure, page, row
from scripts.pictures.runs import Rgb, frames_of, given, rendered, run, scene, span, truth, use
from streamproc import Caption, Detections
from streamproc.media import VideoWriter
from streamproc.models import ModelStore
from streamproc_plugins.captioning import CaptionNet, Captions
from streamproc_plugins.rules import Rules
from streamproc_plugins.tracking import Tracking

JACKETS = ("red", "blue", "green")
DOES = {"stand": "stands still", "wave": "waves", "jacks": "does jumping jacks", "squat": "does squats"}
FRAMES, RATE, SIDE = 6, 6, 64


@picture("captions.jpg")
def captions(studio: Studio) -> Picture:
    """What is said of three windows."""
    made = scene(width=960, height=540, rate=10, seconds=15, seed=21, figures=8, noise=2)
    line = {"points": [[0.5, 0.5], [0.5, 0.98]], "labels": ["person"], "directions": {"left": "in", "right": "out"}}
    chain = [
        given("objects", truth(made, shake=1), Detections),
        use("tracks", Tracking),
        use("fence", Rules, lines={"gate": line}),
        use("words", Captions, window="5s"),
    ]
    seen = run(frames_of(rendered(made), 10), chain, draw=["lines", "boxes"], scale=0.4)
    cells = []
    for event in seen.told("caption"):
        start, end = span(event)
        shown = seen.drawn[seen.near((start + end) / 2)]
        cells.append(figure(shown, f"{start:.0f} to {end:.0f} s: <b>{escape(str(event.data['text']))}</b>"))
    return studio.shot(page(row(*cells)))


def clip(jacket: str, act: str, seed: int, side: int = SIDE) -> list[Rgb]:
    """Somebody who does something, `FRAMES` pictures."""
    rng = np.random.default_rng(seed)
    who = Person(x=side * rng.uniform(0.42, 0.58), ground=side * rng.uniform(0.86, 0.95), torso=side / 5.2,
                 colour=("red", "blue", "green").index(jacket))  # fmt: skip
    plain, start = figures.wall(side, side, seed), rng.uniform()
    pictures = []
    for number in range(FRAMES):
        board = plain.copy()
        figures.draw(board, figures.keypoints(act, start + number / RATE * 0.9, who), who.colour)
        pictures.append(noisy(board, rng, 4))
    return pictures


def caption_model(studio: Studio) -> Path:
    """A captioner over space and time, trained on 96 clips with a sentence each."""

    def train(folder: Path) -> None:
        from streamproc_plugins.captioning.samples import read_captioned
        from streamproc_plugins.captioning.training import CaptionSettings, train_captions
        from streamproc_plugins.training.augment import Augmentation
        from streamproc_plugins.training.course import CourseSettings, TrainingProgress
        from streamproc_plugins.training.fit import FitSettings

        with (folder / "told.csv").open("w", newline="") as target:
            rows = csv.writer(target)
            rows.writerow(["path", "caption", "side"])
            for n, (jacket, act, take) in enumerate(itertools.product(JACKETS, ACTS, range(8))):
                with VideoWriter(folder / f"{n}.mp4", crf=8) as writer:
                    for number, rgb in enumerate(clip(jacket, act, n)):
                        writer.write(rgb, number * 1_000_000_000 // RATE)
                sentence = f"A person in a {jacket} jacket {DOES[act]}."
                rows.writerow([f"{n}.mp4", sentence, "val" if take == 7 else "train"])
        course = CourseSettings(
            batch=12, fit=FitSettings(epochs=40, patience=15, rate=3e-3), augmentation=Augmentation.none()
        )  # fmt: skip
        settings = CaptionSettings(
            out=folder / "net", name="jackets", encoder="3d", frames=FRAMES, rate=RATE, size=(SIDE, SIDE), width=0.25,
            longest=14, course=course,
        )  # fmt: skip
        train_captions(read_captioned(folder / "told.csv"), settings, TrainingProgress())

    return studio.once("captioner", train) / "net"


def _large(rgb: Rgb) -> Rgb:
    return np.asarray(cv2.resize(rgb, (160, 160), interpolation=cv2.INTER_CUBIC), np.uint8)


@picture("caption-net.jpg")
def caption_net(studio: Studio) -> Picture:
    """Four clips that the net never saw, with what it says of them."""
    asked = (("red", "wave"), ("blue", "squat"), ("green", "jacks"), ("blue", "stand"))
    pictures = [rgb for n, (jacket, act) in enumerate(asked) for rgb in clip(jacket, act, 5000 + n)]
    store = ModelStore(cache=studio.folder / "cache", download=False)
    words = use("words", CaptionNet, model=str(caption_model(studio)), rate=RATE, stride="1s")
    seen = run(frames_of(pictures, RATE), [words], models=store, draw=[])
    said = [found.text for _, found in seen.of("words", Caption)]
    rows = []
    for n, text in enumerate(said):
        large = [_large(rgb) for rgb in pictures[n * FRAMES : (n + 1) * FRAMES : 2]]
        rows.append(f'<div>{row(*(figure(rgb) for rgb in large), kind="film")}<p class="said">{escape(text)}</p></div>')
    return studio.shot(page(row(*rows[:2]), row(*rows[2:])))


__all__ = ["caption_net", "captions"]
