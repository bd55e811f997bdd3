"""What is done: clip nets, streaming nets, fusion, segments, and each person's own action, on drawn people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.pictures import figures
from scripts.pictures.catalogue import Picture, Studio, picture
from scripts.pictures.charts import Axis, Bar, Curve, Mark, Plot, bars, curves, moments, scale, strip
from scripts.pictures.figures import ACTS, Person
from scripts.pictures.nets import (
    BEAT,
    SIDE,
    acts_data,
    acts_net,
    followed_net,
    keep,
    noisy,
    picture_input,
    sequences_net,
    train_clips,
    turning_net,
)
from scripts.pictures.page import BLUE, GREEN, ORANGE, QUIET, TEAL, figure, heading, page, row
from scripts.pictures.runs import Rgb, Seen, frames_of, given, run, span, use
from streamproc import Classification, Poses, Tracks
from streamproc.testing import make_tracks
from streamproc_plugins.action import Action, ActionStream, Fusion, PoseAction, Segments, TrackAction
from streamproc_plugins.training.charts import confusion_picture

COLOUR_OF = dict(zip(ACTS, (QUIET, BLUE, ORANGE, GREEN), strict=True))
RATE = 16
PARTS = (("stand", 2.0), ("wave", 4.0), ("squat", 4.0), ("jacks", 4.0), ("stand", 2.0))
SECONDS = sum(length for _, length in PARTS)


def film(parts: Any = PARTS, *, side: int = 192, noise: float = 6, seed: int = 0) -> list[Rgb]:
    """Somebody who does one thing after the other, `RATE` pictures a second."""
    rng, pictures = np.random.default_rng(seed), []
    person = Person(x=side * 0.5, ground=side * 0.9, torso=side / 5.2, colour=1)
    for act, length in parts:
        for number in range(round(length * RATE)):
            board = figures.wall(side, side, seed + 7)
            figures.draw(board, figures.keypoints(act, number / RATE * 0.9, person), person.colour)
            pictures.append(noisy(board, rng, noise))
    return pictures


def known(parts: Any = PARTS) -> list[Bar]:
    """The truth as bars."""
    out, begins = [], 0.0
    for act, length in parts:
        out.append(Bar(start=begins, end=begins + length, text=act, colour=TEAL))
        begins += length
    return out


def score_curves(told: list[tuple[float, Classification]], *, dots: bool = False) -> list[Curve]:
    """A curve for each act."""
    times = [at for at, _ in told]

    def score(found: Classification, act: str) -> float:
        return float(found.score[found.label.index(act)]) if act in found.label else 0.0

    return [
        Curve(times=times, values=[score(one, act) for _, one in told], name=act, colour=colour, dots=dots)
        for act, colour in COLOUR_OF.items()
    ]


def shown_strip(axis: Axis, pictures: list[Rgb], count: int = 12) -> str:
    """Some of the pictures over the axis."""
    return strip(axis, [(at, pictures[int(at * RATE)]) for at in moments(axis, count)])


@picture("action.jpg")
def action(studio: Studio) -> Picture:
    """Film, scores of each clip, events, and the confusion of fresh clips."""
    pictures, model = film(), str(acts_net(studio))
    seen = run(
        frames_of(pictures, RATE), [use("what", Action, model=model, rate=BEAT, stride="250ms", ignore=["stand"])]
    )
    axis = Axis(end=SECONDS)
    chart = curves(axis, score_curves(seen.of("what", Classification), dots=True), Plot(title="score"))
    told = [Mark(at=end, text="", colour=COLOUR_OF[what]) for what, _, end in seen.spans("action.seen", "label")]
    lower = bars(axis, [("truth", known()), ("action.seen", told)]) + scale(axis)
    return studio.shot(page(shown_strip(axis, pictures) + chart + lower))


@picture("action-classes.png")
def action_classes(studio: Studio) -> Picture:
    """Confusion of a net over time and of one that sees the middle picture alone."""
    import keras

    clips, labels = acts_data(160, seed=99)
    cells = []
    for kind, told in (("early_fusion", "all pictures, in their order"), ("single_frame", "the middle picture alone")):
        model = keras.saving.load_model(acts_net(studio, kind) / "net.keras")
        found = np.asarray(model.predict(clips.astype(np.float32), verbose=0)).argmax(axis=1)
        matrix = np.zeros((len(ACTS), len(ACTS)), np.int64)
        np.add.at(matrix, (labels, found), 1)
        drawn = confusion_picture(matrix, ACTS)[..., ::-1]
        right = f"{float((labels == found).mean()):.0%} right"
        cells.append(heading(kind, f"{told}: {right}") + f'<div style="width:{drawn.shape[1]}px">{figure(drawn)}</div>')
    return studio.shot(page(row(*(f"<div>{cell}</div>" for cell in cells))))


def streaming_net(studio: Studio) -> Path:
    """The recurrent net made to run picture by picture."""

    def make(folder: Path) -> None:
        import keras

        from streamproc_plugins.action.nets.streaming import stepwise

        whole = keras.saving.load_model(turning_net(studio) / "net.keras")
        keep(
            folder,
            stepwise(whole),
            task="action",
            decode="logits",
            labels=list(ACTS),
            input=picture_input((SIDE, SIDE)),
        )

    return studio.once("stepwise", make)


@picture("action-stream.jpg")
def action_stream(studio: Studio) -> Picture:
    """Answers after each picture, beside those of the clip net."""
    pictures = film()
    clip = run(frames_of(pictures, RATE), [use("what", Action, model=str(acts_net(studio)), rate=BEAT)])
    step = use("what", ActionStream, model=str(streaming_net(studio)), settings={"rate": BEAT})
    seen = run(frames_of(pictures, RATE), [step])
    axis = Axis(end=SECONDS)
    charts = [
        curves(
            axis,
            score_curves(seen.of("what", Classification), dots=True),
            Plot(title="action_stream: each picture"),
        ),
        curves(axis, score_curves(clip.of("what", Classification), dots=True), Plot(title="action: a clip a second")),
    ]
    return studio.shot(
        page(shown_strip(axis, pictures) + "".join(charts) + bars(axis, [("truth", known())]) + scale(axis))
    )


HALVES = {"upper": [0.0, 0.0, 1.0, 0.58], "lower": [0.0, 0.58, 1.0, 1.0]}


def half_net(studio: Studio, name: str) -> Path:
    """A net that sees the upper or the lower part of the picture."""

    def train(folder: Path) -> None:
        clips, labels = acts_data(600, seed=11)
        top, bottom = (round(part * SIDE) for part in HALVES[name][1::2])
        train_clips(folder, "early_fusion", np.stack([_half(clip[:, top:bottom]) for clip in clips]), labels, epochs=6)

    return studio.once(f"half-{name}", train)


def _half(clip: Rgb) -> Rgb:
    """The pictures of a clip (T, h, w, 3) as the net wants them."""
    return np.stack([cv2.resize(one, (SIDE, SIDE // 2), interpolation=cv2.INTER_AREA) for one in clip]).astype(np.uint8)


@picture("fusion.jpg")
def fusion(studio: Studio) -> Picture:
    """Two nets that each see half of the person, and both together."""
    pictures = film(noise=14)
    chain = [
        use(name, Action, model=str(half_net(studio, name)), rate=BEAT, stride="250ms", region=HALVES[name])
        for name in HALVES
    ]
    seen = run(frames_of(pictures, RATE), [*chain, use("both", Fusion, method="mean", wait_for_all=True)])
    axis = Axis(end=SECONDS)
    charts = [
        curves(axis, score_curves(seen.of(name, Classification)), Plot(title=title, high=116))
        for name, title in (
            ("upper", "upper: head and arms"),
            ("lower", "lower: hips and legs"),
            ("both", "fusion of both"),
        )
    ]
    return studio.shot(
        page(shown_strip(axis, pictures) + "".join(charts) + bars(axis, [("truth", known())]) + scale(axis))
    )


@picture("segments.jpg")
def segments(studio: Studio) -> Picture:
    """The snippets' labels and the segments that they become."""
    pictures = film()
    chain = [
        use("what", Action, model=str(acts_net(studio)), rate=BEAT, stride="500ms"),
        use("parts", Segments, covers="1s", min_score=0.4, min_duration="1s", ignore=["stand"]),
    ]
    seen = run(frames_of(pictures, RATE), chain)
    axis = Axis(end=SECONDS)
    snippets = [
        Bar(start=at - 0.75, end=at - 0.27, text="", colour=COLOUR_OF[found.label[0]])
        for at, found in seen.of("what", Classification)
    ]
    found = [
        Bar(start=start, end=end, text=what, colour=COLOUR_OF[what])
        for what, start, end in seen.spans("segment.found", "label")
    ]
    rows = [("truth", known()), ("snippets", snippets), ("segment.found", found)]
    return studio.shot(page(shown_strip(axis, pictures) + bars(axis, rows) + scale(axis)))


PEOPLE = (
    (Person(x=130, ground=322, torso=58, colour=0), ("wave", "squat")),
    (Person(x=320, ground=330, torso=62, colour=1), ("stand", "jacks")),
    (Person(x=510, ground=318, torso=56, colour=4), ("squat", "wave")),
)
"""who is in the room, and what each does before and after the half of the film"""
ROOM_SECONDS = 10.0


def room() -> tuple[list[Rgb], list[list[NDArray[np.float32]]]]:
    """A film of all of them, 640x360, and their keypoints."""
    rng, pictures, points = np.random.default_rng(3), [], []
    for number in range(round(ROOM_SECONDS * RATE)):
        at = number / RATE
        board = figures.wall(640, 360, 5)
        here = [
            figures.keypoints(acts[int(at >= ROOM_SECONDS / 2)], at * 0.9 + 0.2 * who, person)
            for who, (person, acts) in enumerate(PEOPLE)
        ]
        for (person, _), where in zip(PEOPLE, here, strict=True):
            figures.draw(board, where, person.colour)
        pictures.append(noisy(board, rng, 5))
        points.append(here)
    return pictures, points


def _each_action(studio: Studio, seen: Seen, draw_at: tuple[float, ...]) -> Picture:
    axis = Axis(end=ROOM_SECONDS)
    told: dict[int, list[Bar]] = {who: [] for who in (1, 2, 3)}
    for event in seen.told("track.action", "end"):
        what = str(event.data["label"])
        start, end = span(event)
        told[int(str(event.data["track_id"]))].append(Bar(text=what, colour=COLOUR_OF[what], start=start, end=end))
    rows: list[Any] = []
    for who, (_, acts) in enumerate(PEOPLE, 1):
        half = ROOM_SECONDS / 2
        truth = [Bar(start=half * n, end=half * (n + 1), text=act, colour=TEAL) for n, act in enumerate(acts)]
        rows += [(f"track {who}, truth", truth), ("track.action", told[who])]
    frames = [figure(seen.drawn[seen.near(at)]) for at in draw_at]
    return studio.shot(page(row(*frames), bars(axis, rows, high=28) + scale(axis)))


@picture("track-action.jpg")
def track_action(studio: Studio) -> Picture:
    """Three people, each with his own action."""
    pictures, points = room()

    def tell(index: int) -> list[Tracks]:
        return [make_tracks({who: figures.box_of(one, 0.06).tolist() for who, one in enumerate(points[index], 1)})]

    options: dict[str, Any] = {
        "model": str(followed_net(studio)),
        "rate": BEAT,
        "stride": "500ms",
        "margin": 1.25,
        "events": {"enter": 0.5, "window": "1s"},
    }
    seen = run(
        frames_of(pictures, RATE, "gym"),
        [given("tracks", tell, Tracks), use("doing", TrackAction, **options)],
        scale=0.85,
    )
    return _each_action(studio, seen, (3.5, 8.5))


@picture("pose-action.jpg")
def pose_action(studio: Studio) -> Picture:
    """The same three by their keypoints alone."""
    pictures, points = room()

    def tell(index: int) -> list[Poses]:
        rng = np.random.default_rng(index)
        return [figures.poses([one + rng.normal(0, 2, one.shape) for one in points[index]], (1, 2, 3))]

    options: dict[str, Any] = {
        "model": str(sequences_net(studio)),
        "rate": BEAT,
        "stride": "500ms",
        "events": {"enter": 0.5, "window": "1s"},
    }
    blank = [np.full_like(one, 22) for one in pictures]
    seen = run(
        frames_of(blank, RATE, "gym"),
        [given("keypoints", tell, Poses), use("doing", PoseAction, **options)],
        scale=0.85,
    )
    return _each_action(studio, seen, (3.5, 8.5))


__all__ = ["RATE", "room"]
