"""Keypoints of drawn people by a small trained net: found, steadied, pooled, and what they tell."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.pictures import figures
from scripts.pictures.acting import RATE, room
from scripts.pictures.catalogue import Picture, Studio, picture
from scripts.pictures.charts import Axis, Bar, Curve, Level, Mark, Plot, bars, curves, moments, scale, strip
from scripts.pictures.figures import AT, Person
from scripts.pictures.nets import noisy, pose_net
from scripts.pictures.page import BLUE, GREEN, ORANGE, PURPLE, QUIET, RED, figure, page, row
from scripts.pictures.runs import Rgb, frames_of, given, run, use
from streamproc import Detections, Poses
from streamproc.testing import make_detections
from streamproc_plugins.annotate.layers import draw_poses
from streamproc_plugins.annotate.paint import Canvas
from streamproc_plugins.pose import Pose, PoseEvents, PosePooling, PoseSmoothing
from streamproc_plugins.pose.posture import lean_deg
from streamproc_plugins.tracking import Tracking

F32 = NDArray[np.float32]
WRIST = AT["right_wrist"]


def boxes(points: list[list[F32]]) -> Any:
    """An entry of a chain that gives the true boxes of the people."""
    return given(
        "people",
        lambda index: [make_detections(*(figures.box_of(one, 0.06).tolist() for one in points[index]))],
        Detections,
    )


@picture("pose.jpg")
def pose(studio: Studio) -> Picture:
    """Three people at two moments."""
    pictures, points = room()
    chain = [boxes(points), use("keypoints", Pose, model=str(pose_net(studio)))]
    seen = run(frames_of(pictures, RATE, "gym"), chain, draw=["boxes", "poses", "clock"], scale=0.85)
    return studio.shot(page(row(*(figure(seen.drawn[seen.near(at)]) for at in (3.4, 9.0)))))


def alone(parts: list[tuple[str, float]], noise: float) -> tuple[list[Rgb], list[list[F32]]]:
    """A film of one person, 240x240, and the keypoints."""
    rng, pictures, points = np.random.default_rng(8), [], []
    person, room_ = Person(x=120, ground=228, torso=44, colour=2), figures.wall(240, 240, 9)
    for act, length in parts:
        for number in range(round(length * RATE)):
            where = (
                figures.keypoints(act, number / RATE * 0.7, person)
                if act != "stand"
                else figures.keypoints("stand", 0, person)
            )
            board = room_.copy()
            figures.draw(board, where, person.colour)
            pictures.append(noisy(board, rng, noise))
            points.append([where])
    return pictures, points


def skeletons(ground: Rgb, found: list[Poses], zoom: int = 2) -> Rgb:
    """The skeletons of many frames over one picture."""
    board = cv2.resize(ground, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
    canvas = Canvas(np.ascontiguousarray(board), zoom)
    for one in found:
        draw_poses(canvas, one)
    return canvas.rgb


def path_of(found: list[tuple[float, Poses]], point: int, axis: int) -> list[float]:
    """A coordinate of a keypoint over time, none where it isn't known."""
    rows = [one.keypoints[0, point] if len(one.keypoints) else (np.nan,) * 3 for _, one in found]
    return [float(row_[axis]) if row_[2] >= 0.2 else float("nan") for row_ in rows]


@picture("pose-smoothing.jpg")
def pose_smoothing(studio: Studio) -> Picture:
    """Skeletons of two seconds over each other before and after, and the height of a wrist over time."""
    pictures, points = alone([("stand", 3.0), ("jacks", 4.3)], noise=60)
    chain = [
        boxes(points),
        use("tracks", Tracking),
        use("keypoints", Pose, model=str(pose_net(studio))),
        use("steady", PoseSmoothing),
    ]
    seen = run(frames_of(pictures, RATE), chain, draw=[])
    raw, steady = seen.of("keypoints", Poses), seen.of("steady", Poses)
    pair = [
        figure(skeletons(pictures[20], [one for at, one in found if 0.6 < at < 2.9])[40:, 70:410], name)
        for found, name in ((raw, "<b>pose</b>, 36 pictures"), (steady, "<b>pose_smoothing</b>, the same"))
    ]
    heights = [float(points[n][0][WRIST, 1]) for n in range(len(points))]
    whole = Axis(end=len(pictures) / RATE, width=620, left=66)
    closer = Axis(start=0.6, end=2.8, width=620, left=66)
    charts = []
    for axis, title, (low, top) in (
        (whole, "height of a wrist", (max(heights) + 12, min(heights) - 12)),
        (closer, "the same while standing, closer", (heights[0] + 3, heights[0] - 3)),
    ):
        lines = [
            _wrist(raw, axis, "pose", ORANGE),
            _wrist(steady, axis, "smoothed", BLUE),
        ]
        charts += [curves(axis, lines, Plot(title=title, unit=" px", low=low, top=top)), scale(axis)]
    return studio.shot(page(row(row(*pair), f"<div>{''.join(charts)}</div>", shares=(440, 620))))


def _wrist(found: list[tuple[float, Poses]], axis: Axis, name: str, colour: str) -> Curve:
    """Height of a wrist over the axis."""
    shown = [(at, one) for at, one in found if axis.start <= at <= axis.end]
    return Curve(times=[at for at, _ in shown], values=path_of(shown, WRIST, 1), name=name, colour=colour)


@picture("pose-pooling.jpg")
def pose_pooling(studio: Studio) -> Picture:
    """Keypoints of which a third is missing, before and after."""
    pictures, points = alone([("stand", 1.0), ("jacks", 4.3)], noise=4)

    def tell(index: int) -> list[Poses]:
        rng = np.random.default_rng(index)
        found = points[index][0] + rng.normal(0, 2.5, (17, 2))
        return [figures.poses([np.c_[found, np.where(rng.random(17) < 1 / 3, 0.0, 0.9)]], (1,))]

    seen = run(frames_of(pictures, RATE), [given("keypoints", tell, Poses), use("pooled", PosePooling)], draw=[])
    raw, pooled = seen.of("keypoints", Poses), seen.of("pooled", Poses)
    at = [seen.near(moment) for moment in (1.9, 2.25)]
    cells = [
        figure(skeletons(pictures[n], [found[n][1]])[20:], name)
        for n in at
        for found, name in ((raw, f"{seen.times_s[n]:.1f} s, <b>before</b>"), (pooled, "<b>after</b>"))
    ]
    axis = Axis(end=len(pictures) / RATE, left=66)
    truth = [float(points[n][0][WRIST, 1]) for n in range(len(points))]
    lines = [
        Curve(times=seen.times_s, values=truth, name="truth", colour=QUIET, thick=5),
        Curve(times=seen.times_s, values=path_of(raw, WRIST, 1), name="before", colour=ORANGE, thick=1.2, dots=True),
        Curve(times=seen.times_s, values=path_of(pooled, WRIST, 1), name="after", colour=BLUE, thick=2.2),
    ]
    plot = Plot(title="height of a wrist", unit=" px", low=max(truth) + 14, top=min(truth) - 14, high=170)
    chart = curves(axis, lines, plot)
    return studio.shot(page(row(*cells), chart + scale(axis)))


FALLS_AT, TAKES, FALL_SECONDS = 5.0, 0.7, 10.0


def falling() -> tuple[list[Rgb], list[list[F32]]]:
    """Somebody waves, stands, falls and lies, 400x260."""
    rng, pictures, points = np.random.default_rng(2), [], []
    person, room_ = Person(x=130, ground=204, torso=46, colour=3), figures.wall(400, 260, 3)
    for number in range(round(FALL_SECONDS * RATE)):
        at = number / RATE
        where = figures.keypoints("wave" if 1.0 <= at < 3.2 else "stand", at * 0.9, person)
        share = float(np.clip((at - FALLS_AT) / TAKES, 0, 1))
        where = figures.turned(where, 86 * share**2)
        board = room_.copy()
        figures.draw(board, where, person.colour)
        pictures.append(noisy(board, rng, 5))
        points.append([where])
    return pictures, points


@picture("pose-events.jpg")
def pose_events(studio: Studio) -> Picture:
    """A raised hand, a fall, lying: lean over time and the events."""
    pictures, points = falling()

    def tell(index: int) -> list[Poses]:
        rng = np.random.default_rng(index)
        return [figures.poses([points[index][0] + rng.normal(0, 2, (17, 2))], (1,))]

    chain = [given("keypoints", tell, Poses), use("told", PoseEvents)]
    seen = run(frames_of(pictures, RATE), chain, draw=["poses"])
    found, axis = seen.of("keypoints", Poses), Axis(end=FALL_SECONDS, left=150)
    leans = [lean_deg(one.keypoints[0], 0.3) if len(one.keypoints) else None for _, one in found]
    line = Curve(
        times=[at for at, _ in found],
        values=[float("nan") if one is None else one for one in leans],
        name="",
        colour=PURPLE,
    )
    levels = (Level(value=55, name="lying_angle"), Level(value=35, name="upright_angle"))
    chart = curves(axis, [line], Plot(title="lean", unit="°", top=90), levels)
    fall = [
        Mark(at=event.start_ns / 1e9, text=f"{float(str(event.data['took_s'])):.2f} s after it was upright", colour=RED)
        for event in seen.told("pose.fall")
    ]
    rows: list[tuple[str, list[Any]]] = [("pose.fall", fall)]
    for kind, colour in (("pose.lying", RED), ("pose.raised_hands", GREEN)):
        rows.append(
            (
                kind,
                [
                    Bar(start=start, end=end, text=f"{end - start:.1f} s", colour=colour)
                    for _, start, end in seen.spans(kind)
                ],
            )
        )
    shown = [(at, seen.drawn[seen.near(at)]) for at in moments(axis, 7)]
    shown[3] = (FALLS_AT + 0.5, seen.drawn[seen.near(FALLS_AT + 0.5)])
    return studio.shot(page(strip(axis, shown) + chart + bars(axis, rows) + scale(axis)))


__all__ = ["boxes", "pose", "pose_events", "pose_pooling", "pose_smoothing"]
