"""Shots, and what is wrong with a camera, on the synthetic scene."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from scripts.pictures.catalogue import Picture, Studio, picture
from scripts.pictures.charts import Axis, Bar, bars, moments, scale, strip
from scripts.pictures.page import BLUE, COLOURS, GOLD, ORANGE, TEAL, page
from scripts.pictures.runs import Rgb, frames_of, rendered, run, scene, span, use
from streamproc_plugins.camera_health import CameraHealth
from streamproc_plugins.shots import Shots

RATE = 12
SHOT_SECONDS = 14.0


def edited() -> list[Rgb]:
    """A film of four views: a cut at 3 s, a dissolve from 6 to 7.2 s, a fade to black and back from 10 to 11.6 s."""
    street: dict[str, Any] = {"width": 480, "height": 270, "rate": RATE, "seconds": SHOT_SECONDS, "noise": 2}
    views = [
        rendered(scene(seed=2, figures=7, **street)),
        [_closer(rgb, 120, 120) for rgb in rendered(scene(seed=5, figures=9, **street))],
        rendered(scene(seed=9, figures=7, lights_ns=(0,), **street)),
        [_closer(rgb, 20, 230) for rgb in rendered(scene(seed=13, figures=9, **street))],
    ]
    film = []
    for number in range(round(SHOT_SECONDS * RATE)):
        at = number / RATE
        a, b, c, d = (view[number].astype(np.float32) for view in views)
        mixed = a if at < 3 else b + (c - b) * np.clip((at - 6) / 1.2, 0, 1) if at < 10.8 else d
        light = np.clip(max((10.6 - at) / 0.6, (at - 11.0) / 0.6), 0, 1)
        film.append(np.clip(mixed * light, 0, 255).astype(np.uint8))
    return film


def _closer(rgb: Rgb, top: int, left: int) -> Rgb:
    """A quarter of the picture, as large as all of it."""
    part = rgb[top : top + 135, left : left + 240]
    return np.asarray(cv2.resize(part, (480, 270), interpolation=cv2.INTER_CUBIC), np.uint8)


@picture("shots.jpg")
def shots(studio: Studio) -> Picture:
    """The film, how it was made, and the shots found."""
    film = edited()
    seen = run(frames_of(film, RATE), [use("shots", Shots)], draw=[])
    axis = Axis(end=SHOT_SECONDS)
    parts = ((3, "view 1"), (6, "view 2"), (7.2, "dissolve"), (10, "view 3"), (11.6, "fade"), (SHOT_SECONDS, "view 4"))
    starts = [0.0, *(end for end, _ in parts)]
    made = [
        Bar(start=start, end=end, text=name, colour=TEAL if name.startswith("view") else GOLD)
        for start, (end, name) in zip(starts, parts, strict=False)
    ]
    found = []
    for number, event in enumerate(seen.told("shot", "end")):
        start, end = span(event)
        text = f"{event.data['number']}: {event.data['kind']}"
        found.append(Bar(start=start, end=end, text=text, colour=COLOURS[number % 2]))
    shown = [(at, film[int(at * RATE)]) for at in moments(axis, 7)]
    return studio.shot(page(strip(axis, shown) + bars(axis, [("made", made), ("shot", found)]) + scale(axis, step=1)))


STATES = (
    ("well", 20),
    ("covered", 16),
    ("well", 14),
    ("blurred", 16),
    ("well", 14),
    ("black", 16),
    ("well", 14),
    ("frozen", 20),
    ("well", 14),
    ("moved", 16),
)
HEALTH_RATE = 4


def unwell() -> tuple[list[Rgb], list[tuple[str, float, float]]]:
    """What a camera shows that suffers one thing after the other; and when it does."""
    seconds = sum(length for _, length in STATES)
    view = rendered(scene(width=480, height=270, rate=HEALTH_RATE, seconds=seconds, seed=31, figures=14, noise=3))
    rng, states = np.random.default_rng(0), []
    film: list[Rgb] = []
    for state, length in STATES:
        began = len(film)
        for number in range(began, began + length * HEALTH_RATE):
            film.append(_harmed(state, view, number, began, rng))
        states.append((state, began / HEALTH_RATE, len(film) / HEALTH_RATE))
    return film, states


def _harmed(state: str, view: list[Rgb], number: int, began: int, rng: np.random.Generator) -> Rgb:
    rgb = view[number]
    if state == "covered":
        return np.clip(70 + rng.normal(0, 4.5, rgb.shape), 0, 255).astype(np.uint8)
    if state == "black":
        return np.clip(rng.normal(2, 9, rgb.shape), 0, 255).astype(np.uint8)
    if state == "blurred":
        soft = cv2.GaussianBlur(rgb, (0, 0), 5)
        return np.clip(soft + rng.normal(0, 2, rgb.shape), 0, 255).astype(np.uint8)
    if state == "frozen":
        return view[began]
    if state == "moved":
        return np.asarray(cv2.resize(rgb[90:260, 150:450], (480, 270), interpolation=cv2.INTER_CUBIC), np.uint8)
    return rgb


@picture("camera-health.jpg")
def camera_health(studio: Studio) -> Picture:
    """What the camera shows, and what is told of it."""
    film, states = unwell()
    seen = run(frames_of(film, HEALTH_RATE), [use("health", CameraHealth)], draw=[])
    axis = Axis(end=states[-1][2])
    made = [Bar(start=start, end=end, text=state, colour=ORANGE) for state, start, end in states if state != "well"]
    kinds = ("covered", "blurred", "black", "frozen", "moved")
    told = [
        (
            f"camera.{kind}",
            [
                Bar(start=start, end=end, text=f"{end - start:.0f} s", colour=BLUE)
                for _, start, end in seen.spans(f"camera.{kind}")
            ],
        )
        for kind in kinds
    ]
    middles = [(start + end) / 2 for _, start, end in states]
    shown = [(at, film[int(at * HEALTH_RATE)]) for at in middles]
    return studio.shot(page(strip(axis, shown) + bars(axis, [("made", made), *told], high=27) + scale(axis)))


__all__ = ["camera_health", "shots"]
