"""Motion, tracking and rules on the synthetic scene, beside its truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scripts.pictures.box_nets import boxes_net
from scripts.pictures.catalogue import Picture, Studio, picture
from scripts.pictures.charts import Axis, Bar, Mark, bars, moments, scale, strip
from scripts.pictures.page import BLUE, GREEN, ORANGE, PURPLE, TEAL, figure, page, row
from scripts.pictures.runs import frames_of, given, rendered, run, scene, truth, use
from streamproc import Detections
from streamproc.frames import SECOND_NS
from streamproc_plugins.detection import Detection
from streamproc_plugins.motion import Motion
from streamproc_plugins.rules import Rules
from streamproc_plugins.tracking import Tracking


@picture("motion.jpg")
def motion(studio: Studio) -> Picture:
    """Boxes of what moves, and the episode beside the truth."""
    made = scene(width=960, height=540, rate=10, seconds=30, seed=24, figures=2, noise=2)
    seen = run(frames_of(rendered(made), 10), [use("moving", Motion)], draw=["boxes", "clock"], scale=0.4)
    axis = Axis(end=30)
    known = [
        Bar(start=one.start_ns / SECOND_NS, end=one.end_ns / SECOND_NS, text=f"{one.label} {one.id}", colour=TEAL)
        for one in made.visits
    ]
    told = [Bar(start=start, end=end, text="motion", colour=ORANGE) for _, start, end in seen.spans("motion")]
    rows = [("truth", known[0::2]), ("", known[1::2]), ("told", told)]
    pictures = [(at, seen.drawn[seen.near(at)]) for at in moments(axis, 4)]
    return studio.shot(page(strip(axis, pictures) + bars(axis, rows) + scale(axis)))


@picture("detection.jpg")
def detection(studio: Studio) -> Picture:
    """Two pictures of a scene that the net never saw."""
    made = scene(width=960, height=540, rate=2, seconds=24, seed=21, figures=14, noise=3)
    chain = [use("found", Detection, model=str(boxes_net(studio)))]
    seen = run(frames_of(rendered(made), 2), chain, draw=["boxes"], scale=0.56)
    return studio.shot(page(row(*(figure(seen.drawn[seen.near(at)][40:]) for at in (9.5, 16.5)))))


@picture("tracking.jpg")
def tracking(studio: Studio) -> Picture:
    """Four moments of people who pass each other, some boxes missing."""
    made = scene(width=960, height=540, rate=10, seconds=16, seed=21, figures=9, noise=2)
    known = truth(made, shake=3, seed=1)

    def doubtful(index: int) -> list[Detections]:
        (found,) = known(index)
        return [found[np.random.default_rng((5, index)).random(len(found)) > 0.2]]

    chain = [given("boxes", doubtful, Detections), use("tracks", Tracking)]
    seen = run(frames_of(rendered(made), 10), chain, draw=["boxes", "trails", "clock"], scale=0.56)
    times = (7.0, 8.0, 9.0, 10.0)
    shown = [figure(seen.drawn[seen.near(at)][72:]) for at in times]
    return studio.shot(page(row(*shown[:2]), row(*shown[2:])))


@picture("rules.jpg")
def rules(studio: Studio) -> Picture:
    """A zone and a line over four moments, and the events below."""
    made = scene(width=960, height=540, rate=10, seconds=20, seed=8, figures=7, noise=2)
    zone = {"polygon": [[0.3, 0.5], [0.72, 0.5], [0.78, 0.98], [0.24, 0.98]], "dwell": "5s", "labels": ["person"]}
    line = {"points": [[0.5, 0.5], [0.5, 0.98]], "directions": {"left": "east", "right": "west"}, "labels": ["person"]}
    chain = [
        given("objects", truth(made, shake=1), Detections),
        use("tracks", Tracking),
        use("rules", Rules, zones={"yard": zone}, lines={"middle": line}),
    ]
    seen = run(frames_of(rendered(made), 10), chain, scale=0.4)
    axis = Axis(end=20)

    def visits(kind: str, colour: str) -> list[Bar]:
        return [
            Bar(start=start, end=end, text=f"track {who}", colour=colour)
            for who, start, end in seen.spans(kind, "track_id")
        ]

    crossed = [
        Mark(at=event.start_ns / SECOND_NS, text=f"{event.data['track_id']} {event.data['direction']}", colour=PURPLE)
        for event in seen.told("line.crossed")
    ]
    entered = visits("zone.entered", BLUE)
    rows: list[tuple[str, Sequence[Bar | Mark]]] = [
        *((("zone.entered" if not n else ""), lane) for n, lane in enumerate(lanes(entered))),
        *((("zone.dwell" if not n else ""), lane) for n, lane in enumerate(lanes(visits("zone.dwell", GREEN)))),
        ("line.crossed", crossed),
    ]
    pictures = [(at, seen.drawn[seen.near(at)]) for at in moments(axis, 3)]
    return studio.shot(page(strip(axis, pictures) + bars(axis, rows) + scale(axis)))


def lanes(things: list[Bar]) -> list[list[Bar]]:
    """Bars in as few rows as keep them apart."""
    rows: list[list[Bar]] = []
    for bar in sorted(things, key=lambda one: one.start):
        free = next((one for one in rows if one[-1].end < bar.start), None)
        if free is None:
            rows.append([bar])
        else:
            free.append(bar)
    return rows


__all__ = ["detection", "lanes", "motion", "rules", "tracking"]
