"""A class for every pixel and a mask for every person, by small nets trained on drawn rooms."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from scripts.pictures import figures
from scripts.pictures.acting import RATE as ROOM_RATE
from scripts.pictures.acting import room
from scripts.pictures.catalogue import Picture, Studio, picture
from scripts.pictures.charts import Axis, Bar, Curve, Level, Plot, bars, curves, moments, scale, strip
from scripts.pictures.figures import Person
from scripts.pictures.mask_nets import CLASSES, crop_net, mask_net, packing_case
from scripts.pictures.nets import noisy
from scripts.pictures.page import BLUE, ORANGE, PURPLE, figure, page, row
from scripts.pictures.people import boxes
from scripts.pictures.runs import Rgb, frames_of, run, use
from streamproc import Segmentation
from streamproc_plugins.segmentation import (
    ClassAreas,
    ClassAreasPlugin,
    Instances,
    SegmentationPlugin,
    SegmentationSmoothing,
)
from streamproc_plugins.tracking import Tracking

RATE, SECONDS = 10, 12.0


def store(noise: float, seconds: float = SECONDS, begin: float = 0.0, stay: float = 0.0) -> list[Rgb]:
    """Two people in a room into which packing cases slide and out of which they go, 640x384, ten pictures a second.

    begin: seconds into that. stay: how much longer the cases are there.
    """
    rng, pictures = np.random.default_rng(12), []
    people = (Person(x=180, ground=330, torso=58, colour=0), Person(x=330, ground=316, torso=52, colour=1))
    plain, unused = figures.wall(640, 384, 11), np.zeros((384, 640), np.uint8)
    for number in range(round(seconds * RATE)):
        at, board = begin + number / RATE, plain.copy()
        for which, (left, ground, size) in enumerate(((400, 372, 140), (480, 360, 120), (60, 380, 110))):
            comes, goes = 2.0 + 1.5 * which, 7.0 + 1.2 * which + stay
            away = min(max(comes - at, at - goes, 0.0), 1.2)
            packing_case(board, unused, int(left + away * (520 if left > 300 else -420)), ground, size)
        for who, person in enumerate(people):
            figures.draw(board, figures.keypoints(("squat", "wave")[who], at * 0.7 + 0.3 * who, person), person.colour)
        pictures.append(noisy(board, rng, noise))
    return pictures


@picture("segmentation.jpg")
def segmentation(studio: Studio) -> Picture:
    """Pictures and what the net says of each pixel."""
    chain = [use("classes", SegmentationPlugin, model=str(mask_net(studio)))]
    pictures = store(8)
    seen = run(frames_of(pictures, RATE), chain, draw=["segmentation"])
    at = [seen.near(moment) for moment in (5.3, 7.4)]
    return studio.shot(page(row(*(figure(pictures[n]) for n in at)), row(*(figure(seen.drawn[n]) for n in at))))


@picture("segmentation-smoothing.jpg")
def smoothing(studio: Studio) -> Picture:
    """Before and after: a picture, how often each pixel changes its class, and the part of them that does over time."""
    frames = frames_of(store(55, seconds=4, begin=5.2, stay=10), RATE)
    chain = [use("classes", SegmentationPlugin, model=str(mask_net(studio)))]
    before = run(frames, chain, draw=["segmentation"])
    after = run(frames, [*chain, use("steady", SegmentationSmoothing)], draw=["segmentation"])
    cells, lines = [], []
    for seen, name, title, colour in ((before, "classes", "segmentation", ORANGE), (after, "steady", "smoothed", BLUE)):
        found = [one.class_map for _, one in seen.of(name, Segmentation)]
        drawn = figure(seen.drawn[seen.near(2.5)], f"<b>{title}</b>")
        cells += [drawn, figure(_changes(found), "how often a pixel changed, up to 10 times")]
        part = [100 * float((a != b).mean()) for a, b in pairwise(found)]
        lines.append(Curve(times=seen.times_s[1:], values=part, name=title, colour=colour))
    axis = Axis(end=4, left=66)
    top = float(np.ceil(max(max(line.values) for line in lines)))
    chart = curves(axis, lines, Plot(title="pixels that change their class", unit=" %", top=top, high=130))
    return studio.shot(page(row(*cells), chart + scale(axis)))


def _changes(found: list[NDArray[np.uint8]]) -> Rgb:
    """How often the pixels of maps (h, w) change from one to the next, as a picture: white never, dark often."""
    count = np.sum([a != b for a, b in pairwise(found)], axis=0)
    share = np.clip(count / 10, 0, 1)[..., None]
    small = np.array((246, 247, 249)) * (1 - share) + np.array((150, 30, 60)) * share
    return np.asarray(np.repeat(np.repeat(small, 4, axis=0), 4, axis=1), np.uint8)


@picture("class-areas.jpg")
def class_areas(studio: Studio) -> Picture:
    """How much of the picture packing cases take, the limit, and the event."""
    chain = [
        use("classes", SegmentationPlugin, model=str(mask_net(studio))),
        use("areas", ClassAreasPlugin, limits={"case": 0.1}, window="500ms"),
    ]
    seen = run(frames_of(store(8), RATE), chain, draw=["segmentation"])
    axis, found = Axis(end=SECONDS), seen.of("areas", ClassAreas)
    lines = [
        Curve(
            times=[at for at, _ in found], values=[100 * one.of(label) for _, one in found], name=label, colour=colour
        )
        for label, colour in zip(CLASSES[1:], (PURPLE, BLUE), strict=True)
    ]
    plot, limit = Plot(title="area", unit=" %", top=20, high=170), Level(value=10, name="limit of case")
    chart = curves(axis, lines, plot, (limit,))
    told = [
        Bar(start=start, end=end, text=f"segment.area {what}", colour=BLUE)
        for what, start, end in seen.spans("segment.area", "label")
    ]
    shown = [(at, seen.drawn[seen.near(at)]) for at in moments(axis, 6)]
    return studio.shot(page(strip(axis, shown) + chart + bars(axis, [("event", told)]) + scale(axis)))


@picture("instances.jpg")
def instances(studio: Studio) -> Picture:
    """A mask for each of three people, at two moments."""
    pictures, points = room()
    chain = [boxes(points), use("tracks", Tracking), use("masks", Instances, mode="crops", model=str(crop_net(studio)))]
    seen = run(frames_of(pictures, ROOM_RATE, "gym"), chain, draw=["masks", "boxes"], scale=0.85)
    return studio.shot(page(row(*(figure(seen.drawn[seen.near(at)]) for at in (3.4, 8.4)))))


__all__ = ["class_areas", "instances", "segmentation", "smoothing"]
