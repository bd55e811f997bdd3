"""Classification and labels: a net trained on drawn shapes says what a film of drawn shapes shows, and since when."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from scripts.pictures.catalogue import Picture, Studio, picture
from scripts.pictures.charts import Axis, Bar, Curve, Level, Plot, bars, curves, moments, scale, strip
from scripts.pictures.page import COLOURS, INK, TEAL, data_url, figure, page, row
from scripts.pictures.runs import Rgb, frames_of, run, use
from streamproc import Classification
from streamproc_plugins.classification import ClassificationPlugin
from streamproc_plugins.labels import Labels

KINDS = ("cross", "disc", "square", "triangle", "nothing")
COLOUR_OF = dict(zip(KINDS, (*COLOURS[:4], INK), strict=True))
WIDE, HIGH = 160, 120
RATE = 10
ACTS = (("nothing", 1.5), ("disc", 3.0), ("nothing", 2.0), ("cross", 2.5), ("triangle", 3.0), ("nothing", 2.0))
"""what the film shows, for how many seconds"""
SECONDS = sum(length for _, length in ACTS)


def shape(kind: str, rng: np.random.Generator, *, noise: float = 22) -> Rgb:
    """One shape of a random place, size and grey on an uneven, noisy ground, uint8 (HIGH, WIDE, 3)."""
    (left, right), (top, foot) = rng.uniform(30, 110, 2), rng.uniform(-20, 20, 2)
    light = np.linspace(left, right, WIDE)[None, :] + np.linspace(top, foot, HIGH)[:, None]
    ground = np.repeat(np.clip(light, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    x, y, size = (int(rng.integers(low, high)) for low, high in ((50, 110), (45, 75), (24, 36)))
    _draw(ground, kind, (x, y), size, tuple(rng.integers(150, 240, 3).tolist()))
    return np.clip(ground + rng.normal(0, noise, ground.shape), 0, 255).astype(np.uint8)


def _draw(board: Rgb, kind: str, at: tuple[int, int], size: int, colour: tuple[int, ...]) -> None:
    x, y = at
    if kind == "disc":
        cv2.circle(board, at, size, colour, -1, cv2.LINE_AA)
    elif kind == "square":
        cv2.rectangle(board, (x - size, y - size), (x + size, y + size), colour, -1)
    elif kind == "triangle":
        corners = np.array([(x, y - size), (x + size, y + size), (x - size, y + size)], np.int32)
        cv2.fillPoly(board, [corners], colour, cv2.LINE_AA)
    elif kind == "cross":
        for way in (1, -1):
            cv2.line(board, (x - size, y - way * size), (x + size, y + way * size), colour, size // 3, cv2.LINE_AA)


def shapes_net(studio: Studio) -> Path:
    """A model folder: `streamproc train classification` on 60 drawings of each kind."""

    def train(folder: Path) -> None:
        rng = np.random.default_rng(1)
        for kind in KINDS:
            (folder / "data" / kind).mkdir(parents=True)
            for number in range(60):
                noisy = shape(kind, rng, noise=float(rng.uniform(5, 50)))
                cv2.imwrite(str(folder / "data" / kind / f"{number}.png"), noisy)
        words = "train classification --data data --out net --size 48 --width 0.5 --rate 3e-3 --epochs 30 --batch 20"
        command = [sys.executable, "-m", "streamproc", *words.split(), "--patience", "10"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)

    return studio.once("shapes", train) / "net"


@picture("classification.jpg")
def classification(studio: Studio) -> Picture:
    """Four drawings that the net never saw, with its three best labels."""
    rng = np.random.default_rng(77)
    drawn = [shape(kind, rng) for kind in KINDS[:4]]
    options: dict[str, Any] = {"model": str(shapes_net(studio)), "top_k": 3}
    seen = run(frames_of(drawn, 1), [use("what", ClassificationPlugin, **options)], draw=[])
    found = [result for _, result in seen.of("what", Classification)]
    cells = [f"<div>{figure(rgb)}{_scores(result)}</div>" for rgb, result in zip(drawn, found, strict=True)]
    return studio.shot(page(row(*cells)))


def _scores(found: Classification) -> str:
    """Labels with bars."""
    parts = []
    for number, (label, score) in enumerate(zip(found.label, found.score.tolist(), strict=True)):
        y = 12 + 26 * number
        parts.append(
            f'<text x="0" y="{y + 13}" font-size="14" fill="{INK}">{label}</text>'
            f'<rect x="76" y="{y}" width="{max(135 * score, 1.5):.1f}" height="17" rx="3" fill="{COLOUR_OF[label]}"/>'
            f'<text x="{82 + 135 * score:.1f}" y="{y + 13}" font-size="13" fill="{INK}">{score:.2f}</text>'
        )
    return f'<svg width="258" height="88">{"".join(parts)}</svg>'


@picture("labels.jpg")
def labels(studio: Studio) -> Picture:
    """Scores of single frames, the smoothed ones, thresholds and the events."""
    film = _film()
    chain = [
        use("what", ClassificationPlugin, model=str(shapes_net(studio)), top_k=5),
        use(
            "told",
            Labels,
            enter=0.6,
            leave=0.4,
            window="1s",
            min_duration="500ms",
            merge_gap="800ms",
            ignore=["nothing"],
        ),
    ]
    seen = run(frames_of(film, RATE), chain, draw=[])
    axis, told = Axis(end=SECONDS), seen.of("what", Classification)
    shown = ("disc", "cross", "triangle")
    lines = [
        Curve(times=[at for at, _ in told], values=[_score(one, label) for _, one in told], name=label,
              colour=COLOUR_OF[label], thick=1.6)
        for label in shown
    ]  # fmt: skip
    truth, begins = [], 0.0
    for kind, length in ACTS:
        if kind != "nothing":
            truth.append(Bar(start=begins, end=begins + length, text=kind, colour=TEAL))
        begins += length
    events = [Bar(start=start, end=end, text=f"label.seen {what}", colour=COLOUR_OF[what]) for what, start, end in
              seen.spans("label.seen", "label")]  # fmt: skip
    pictures = [(at, film[int(at * RATE)]) for at in moments(axis, 10)]
    levels = (Level(value=0.6, name="enter"), Level(value=0.4, name="leave"))
    chart = curves(axis, lines, Plot(title="score", high=190), levels)
    return studio.shot(
        page(strip(axis, pictures) + chart + bars(axis, [("truth", truth), ("events", events)]) + scale(axis))
    )


def _film() -> list[Rgb]:
    """The acts one after the other; now and then a picture is nearly lost in noise."""
    film, rng = [], np.random.default_rng(4)
    for number, (kind, length) in enumerate(ACTS):
        for _ in range(round(length * RATE)):
            noise = float(rng.choice([15, 60, 150, 260], p=[0.5, 0.2, 0.15, 0.15]))
            placed = np.random.default_rng(100 + number)
            quiet = shape(kind, placed, noise=0)
            film.append(np.clip(quiet + rng.normal(0, noise, quiet.shape), 0, 255).astype(np.uint8))
    return film


def _score(found: Classification, label: str) -> float:
    return float(found.score[found.label.index(label)]) if label in found.label else 0.0


@picture("training.png")
def training(studio: Studio) -> Picture:
    """What `train` leaves beside the net: learning curves and the confusion matrix."""
    folder = shapes_net(studio)
    drawn = [np.asarray(cv2.imread(str(folder / name)))[..., ::-1] for name in ("curves.png", "confusion.png")]
    boxes = [f'<img src="{data_url(rgb)}" style="display:block;margin:auto;max-width:100%">' for rgb in drawn]
    return studio.shot(page(row(*boxes, shares=(840, 400))))


__all__ = ["classification", "labels", "training"]
