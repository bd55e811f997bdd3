"""Faces followed and grouped, and what covers them: on drawn people."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.pictures import figures
from scripts.pictures.catalogue import Picture, Studio, picture
from scripts.pictures.charts import Axis, Bar, bars, scale
from scripts.pictures.figures import AT, Person
from scripts.pictures.nets import noisy
from scripts.pictures.page import COLOURS, TEAL, figure, page, row
from scripts.pictures.runs import Rgb, frames_of, given, run, scene, truth, use
from streamproc import Detections, Faces
from streamproc_plugins.blur import Blur
from streamproc_plugins.faces import FaceClustersPlugin, FaceTracksPlugin

RATE, SECONDS = 10, 20.0
STAYS = ((0, 1.0, 7.0, 190), (2, 3.5, 12.5, 430), (3, 8.5, 15.0, 300), (0, 14.0, 19.0, 470), (4, 15.5, 19.5, 160))
"""who is before the camera, from when to when, and where (x)"""


def visitors() -> tuple[list[Rgb], list[list[tuple[int, NDArray[np.float32]]]]]:
    """A door's camera: the film, 640x360, and who is in each picture with his keypoints."""
    rng, pictures, there = np.random.default_rng(1), [], []
    plain = figures.wall(640, 360, 21)
    for number in range(round(SECONDS * RATE)):
        at, board, here = number / RATE, plain.copy(), []
        for who, comes, goes, x in STAYS:
            away = max(comes + 0.8 - at, at - goes + 0.8, 0.0)
            if away >= 0.8:
                continue
            sink = away / 0.8 * 260
            person = Person(x=x + 14 * np.sin(at + who), ground=600 + sink, torso=128, colour=who)
            here.append((who, figures.keypoints("stand", at * 0.4, person)))
        for who, points in here:
            figures.draw(board, points, who)
        pictures.append(noisy(board, rng, 4))
        there.append(here)
    return pictures, there


def faces_in(here: list[tuple[int, NDArray[np.float32]]], index: int) -> Faces:
    """Their faces where they are drawn, with vectors of a known direction each, shaken."""
    rng, boxes, landmarks, vectors = np.random.default_rng(index), [], [], []
    for who, points in here:
        ears = points[[AT["left_ear"], AT["right_ear"]]]
        middle, size = ears.mean(axis=0), float(np.linalg.norm(ears[0] - ears[1]))
        box = [middle[0] - 0.66 * size, middle[1] - 0.8 * size, middle[0] + 0.66 * size, middle[1] + 0.75 * size]
        if box[3] > 360:
            continue
        boxes.append(box)
        mouth = middle + np.array([[-0.24, 0.28], [0.24, 0.28]]) * size
        landmarks.append([points[AT["right_eye"]], points[AT["left_eye"]], points[AT["nose"]], *mouth])
        vector = np.random.default_rng(who).normal(size=32) + rng.normal(0, 0.5, 32)
        vectors.append(vector / np.linalg.norm(vector))
    return Faces(
        xyxy=np.array(boxes, np.float32).reshape(-1, 4),
        score=np.full(len(boxes), 0.9, np.float32),
        landmarks=np.array(landmarks, np.float32).reshape(-1, 5, 2),
        embeddings=np.array(vectors, np.float32).reshape(-1, 32),
    )


@picture("faces.jpg")
def faces(studio: Studio) -> Picture:
    """Who came when, and who came back."""
    pictures, there = visitors()
    chain = [
        given("faces", lambda index: [faces_in(there[index], index)], Faces),
        use("tracks", FaceTracksPlugin),
        use("people", FaceClustersPlugin),
    ]
    seen = run(frames_of(pictures, RATE, "door"), chain, draw=["faces", "clock"], scale=0.55)
    axis = Axis(end=SECONDS)
    names = sorted({str(event.data["cluster"]) for event in seen.told("face.seen")})
    rows: list[Any] = [
        (
            "drawn",
            [
                Bar(start=a + 0.8, end=b - 0.8, text=f"drawing {'ABCDE'[who]}", colour=TEAL)
                for who, a, b, _ in STAYS[::2]
            ],
        ),
        (
            "",
            [
                Bar(start=a + 0.8, end=b - 0.8, text=f"drawing {'ABCDE'[who]}", colour=TEAL)
                for who, a, b, _ in STAYS[1::2]
            ],
        ),
    ]
    for number, name in enumerate(names):
        spans = [(start, end) for what, start, end in seen.spans("face.seen", "cluster") if what == name]
        rows.append(
            (name, [Bar(start=start, end=end, text="face.seen", colour=COLOURS[number]) for start, end in spans])
        )
    shown = [figure(seen.drawn[seen.near(at)]) for at in (5.5, 10.5, 16.9)]
    return studio.shot(page(row(*shown), bars(axis, rows, high=28) + scale(axis)))


@picture("blur.jpg")
def blur(studio: Studio) -> Picture:
    """A street as it is, with people covered by mosaic, and filled."""
    made = scene(width=960, height=540, rate=10, seconds=11, seed=21, figures=7, noise=2)
    pictures, known = [made.render(index) for index in range(60, 90)], truth(made)

    def covered(method: str) -> Rgb:
        people = given("people", lambda index: known(index + 60), Detections)
        hide = use("hide", Blur, faces=False, labels=["person"], method=method, margin=0.1)
        return run(frames_of(pictures, 10), [people, hide], draw=[]).drawn[25]

    cells = ((pictures[25], "before"), (covered("mosaic"), "method: mosaic"), (covered("fill"), "method: fill"))
    return studio.shot(page(row(*(figure(_part(rgb), f"<b>{name}</b>") for rgb, name in cells))))


def _part(rgb: Rgb) -> Rgb:
    part = rgb[220:520, 130:830]
    return np.asarray(cv2.resize(part, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA), np.uint8)


__all__ = ["blur", "faces"]
