"""Captions from templates: sentences, windows of media time, and real footage."""

from __future__ import annotations

import doctest
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamproc import Caption, Classification, Event, Result, Tracks
from streamproc.testing import make_detections, make_frame, make_frames, make_info, make_tracks, run_plugin
from streamproc_plugins.captioning import Captions, grammar
from streamproc_plugins.captioning.facts import WindowFacts
from streamproc_plugins.captioning.sentences import describe
from tests.plugins.real import run_text

INFO = make_info(width=200, height=100, rate=10)
BOX = (20.0, 30.0)


def walk(*ways: tuple[float, float], count: int = 30, label: str = "person") -> list[list[Result]]:
    """Tracks that start side by side and move by so many pixels right and down in a second."""
    return [
        [
            make_tracks(
                {
                    n + 1: [90 + x * i / 10, 30 + y * i / 10, 90 + x * i / 10 + BOX[0], 30 + y * i / 10 + BOX[1]]
                    for n, (x, y) in enumerate(ways)
                },
                label=label,
            )
        ]
        for i in range(count)
    ]


def texts(past: Sequence[Sequence[Result]], **options: Any) -> list[str]:
    frames = [make_frame(index=i, info=INFO) for i in range(len(past))]
    return [event.data["text"] for event in run_plugin(Captions, frames, past=past, **options).events]


def test_the_english_is_right() -> None:
    assert doctest.testmod(grammar).failed == 0


@pytest.mark.parametrize(
    ("ways", "label", "text"),
    [
        ([(-20, 0)], "person", "A person walks to the left."),
        ([(20, 1), (25, 0)], "person", "Two people walk to the right."),
        ([(0, 0)], "person", "A person stands still."),
        (
            [(20, 0), (-20, 0), (0, 0)],
            "car",
            "A car drives to the left, a car drives to the right and a car stands still.",
        ),
        ([(0, 15)], "umbrella", "An umbrella moves towards the camera."),
        ([(0, -15)], "bus", "A bus drives into the distance."),
        ([(0, 0), (0, 0)], "bench", "Two benches stay where they are."),
    ],
)
def test_tracks_are_described_by_label_and_way(ways: list[tuple[float, float]], label: str, text: str) -> None:
    assert texts(walk(*ways, label=label)) == [text]


def test_captions_are_equal_at_every_rate() -> None:
    def events(rate: float) -> list[Event]:
        info = make_info(width=200, height=100, rate=rate)
        frames = make_frames(round(6 * rate), info=info)
        way = {frame.index: 20 if frame.pts_s < 2 else -20 if frame.pts_s < 4 else 0 for frame in frames}
        past: list[list[Result]] = []
        x = 90.0
        for frame in frames:
            x += way[frame.index] / rate
            past.append([make_tracks({1: [x, 30, x + 20, 60]})])
        return run_plugin(Captions, frames, past=past, window="2s").events

    for rate in (5, 10, 25):
        happened = [(e.data["text"], e.start_ns / 1e9, round((e.end_ns or 0) / 1e9, 1)) for e in events(rate)]
        assert happened[:2] == [("A person walks to the right.", 0, 2), ("A person walks to the left.", 2, 4)]
        assert happened[2][:2] == ("A person stands still.", 4)


def test_repeated_caption_is_emitted_once_unless_asked() -> None:
    past = walk((0, 0), count=60)
    assert texts(past, window="2s") == ["A person stands still."]
    assert texts(past, window="2s", repeat=True) == ["A person stands still."] * 3


def test_empty_window_has_no_caption() -> None:
    assert texts([[Tracks.empty()]] * 30, window="1s") == []


def test_brief_tracks_are_left_out() -> None:
    flash: list[list[Result]] = [[make_tracks({9: [0, 0, 20, 20]})] if i == 5 else [Tracks.empty()] for i in range(30)]
    assert texts(flash) == []


def test_detections_without_tracks_are_counted() -> None:
    past: list[list[Result]] = [[make_detections([0, 0, 9, 9], [20, 0, 29, 9], label="dog")]] * 10
    assert texts(past) == ["Two dogs are seen."]


def test_sure_classification_is_described() -> None:
    sure = Classification(
        label=("Egyptian cat, tabby",), score=np.array([0.8], np.float32), class_id=np.zeros(1, np.int64)
    )
    assert texts([[sure]] * 10) == ["The picture shows an Egyptian cat."]
    unsure = Classification(label=("cat",), score=np.array([0.2], np.float32), class_id=np.zeros(1, np.int64))
    assert texts([[unsure]] * 10) == []


def sentences_of(*events: dict[str, Any]) -> str:
    facts = WindowFacts()
    frame = make_frame()
    facts.observe_events([Event.instant(frame, **fact) for fact in events])
    return describe(facts)


@pytest.mark.parametrize(
    ("happened", "text"),
    [
        ([{"type": "zone.entered", "label": "person", "zone": "loading_dock"}], "A person enters the loading dock."),
        ([{"type": "zone.entered", "label": "person", "zone": "yard"}] * 3, "Three people enter the yard."),
        ([{"type": "line.crossed", "label": "car", "line": "gate"}], "A car crosses the gate."),
        ([{"type": "line.crossed", "label": "bus", "line": "A", "direction": "in"}] * 2, "Two buses cross the A (in)."),
        ([{"type": "zone.crowded", "zone": "hall", "count": 9}], "The hall is crowded with nine in it."),
        ([{"type": "object.left", "label": "suitcase"}], "A suitcase is left behind."),
        ([{"type": "pose.fall"}], "A person falls."),
        ([{"type": "pose.raised_hands"}], "A person raises a hand."),
        ([{"type": "pose.raised_hands"}] * 2, "Two people raise their hands."),
        ([{"type": "zone.entered", "label": "{odd}", "zone": "a {zone}"}], "A {odd} enters the a {zone}."),
        ([{"type": "action.seen", "label": "Playing Cricket"}], "The action looks like playing cricket."),
        ([{"type": "face.recognised", "name": "Ada"}], "Ada is recognised."),
        ([{"type": "my.own", "label": "thing"}], ""),
    ],
)  # fmt: skip
def test_events_have_their_sentences(happened: list[dict[str, Any]], text: str) -> None:
    assert sentences_of(*happened) == text


def test_facts_go_over_a_restart() -> None:
    facts = WindowFacts()
    for i, (tracks,) in enumerate(walk((20, 0))):
        assert isinstance(tracks, Tracks)
        facts.observe_tracks(tracks, i * 100_000_000, INFO.size)
    assert describe(WindowFacts.of(facts.state())) == describe(facts) == "A person walks to the right."


def test_caption_reaches_later_plugins() -> None:
    past = walk((20, 0), count=30)
    run = run_plugin(Captions, [make_frame(index=i, info=INFO) for i in range(30)], past=past, window="1s")
    assert [caption.text for caption in run.all(Caption)] == ["A person walks to the right."] * 20


CCTV = """
version: 1
streams:
  hall:
    source: {{type: file, options: {{path: "{clip}"}}}}
    rate: 5
    chain: [people, tracks, fence, words]
plugins:
  people: {{type: detection, options: {{model: yolox-nano, labels: [person], min_score: 0.1}}}}
  tracks: {{type: tracking}}
  fence: {{type: rules, options: {{lines: {{door: {{points: [[0.833, 0], [0.833, 1]]}}}}}}}}
  words: {{type: captions, options: {{window: 5s}}}}
"""


@pytest.mark.real
def test_people_walking_in_real_footage_are_described(shared: Path, tmp_path: Path) -> None:
    text = CCTV.format(clip=shared / "media" / "cctv_one_by_one.mp4")
    happened = [e.data["text"] for e in run_text(text, tmp_path, shared / "models") if e.type == "caption"]
    crossings = [line for line in happened if "A person crosses the door." in line]
    assert len(crossings) == 6
    assert sum("A person walks to the right." in line for line in crossings) >= 5
    assert not any("to the left" in line for line in happened)
