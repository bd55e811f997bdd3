"""The `labels` plugin: labels of many frames become events with start and end, in media time."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from streamproc import (
    Classification,
    Clip,
    ClipPlugin,
    ClipSpec,
    Event,
    Frame,
    Moment,
    Options,
    Output,
    PluginContext,
    Results,
    TimeReason,
)
from streamproc.frames import SECOND_NS
from streamproc.models import ModelStore
from streamproc.testing import make_frame, make_info, plugin_plan, run_chain
from streamproc_plugins.classification import ClassificationPlugin
from streamproc_plugins.labels import Labels, LabelsOptions
from streamproc_plugins.labels.smoothing import smoothed, votes, weights
from tests.videos import Recipe, encode

Show = tuple[float, float, dict[str, float]]
"""from, to (seconds), the classifier's answer meanwhile"""


def named(scores: dict[str, float]) -> Classification:
    order = sorted(scores, key=lambda label: -scores[label])
    return Classification(
        label=tuple(order),
        score=np.array([scores[label] for label in order], np.float32),
        class_id=np.arange(len(order), dtype=np.int64),
    )


def opened(**options: Any) -> Labels:
    plugin = Labels(LabelsOptions.model_validate(options))
    plugin.open(PluginContext(name="test", stream=make_info(), models=ModelStore(), log=logging.getLogger(__name__)))
    return plugin


def at(pts_s: float, index: int) -> Frame:
    return make_frame(index=index, pts_s=pts_s)


def events_of(output: Output | None, moment: Moment) -> list[Event]:
    """As the engine stamps them."""
    return [item.stamped(make_info(), "labels", 0, moment) for item in output or () if isinstance(item, Event)]


def timed(plugin: Labels, moment: Moment, reason: TimeReason) -> list[Event]:
    return events_of(plugin.on_time(moment, reason), moment)


def feed(plugin: Labels, times: Sequence[float], shows: Sequence[Show], first: int = 0) -> list[Event]:
    """The events at these times while the classifier answers as in the shows."""
    events: list[Event] = []
    for index, time in enumerate(times, first):
        scores = next((said for start, end, said in shows if start <= time < end), {})
        given = Results({("given", Classification): named(scores)})
        events += events_of(plugin.process(at(time, index), given), Moment.of(at(time, index)))
    return events


def watch(times: Sequence[float], shows: Sequence[Show], **options: Any) -> list[Event]:
    """The same, up to the end of the stream."""
    plugin = opened(**options)
    events = feed(plugin, times, shows)
    last = Moment(pts_ns=round(times[-1] * SECOND_NS), frame_index=len(times) - 1)
    return events + events_of(plugin.flush(last), last)


def beat(rate: float, until: float) -> list[float]:
    return [i / rate for i in range(round(until * rate))]


def emitted(events: Sequence[Event]) -> list[tuple[str, str, float, float | None]]:
    """Phase, label, start and end in seconds."""
    return [
        (e.phase, e.data["label"], round(e.start_ns / 1e9, 3), None if e.end_ns is None else round(e.end_ns / 1e9, 3))
        for e in events
    ]


def ends(events: Sequence[Event]) -> list[tuple[str, float, float | None]]:
    return [line[1:] for line in emitted(events) if line[0] == "end"]


TWO: list[Show] = [(1, 4, {"cat": 0.9, "dog": 0.05}), (4, 7, {"dog": 0.8, "cat": 0.1})]


@pytest.mark.parametrize("method", ["mean", "max", "vote"])
@pytest.mark.parametrize("rate", [1, 5, 25, 29.97, 60])
def test_label_is_one_event_at_any_rate(rate: float, method: str) -> None:
    events = watch(beat(rate, 9), TWO, method=method, update_every="0s")
    assert sorted(e.phase for e in events) == ["end", "end", "start", "start"]
    found = ends(events)
    assert [label for label, _, _ in found] == ["cat", "dog"]
    for (_, start, end), (wanted_start, wanted_end) in zip(found, [(1, 4), (4, 7)], strict=True):
        assert end is not None
        assert wanted_start <= start <= wanted_start + 1 / rate
        assert wanted_end - 1 / rate - 1e-3 <= end < wanted_end
    assert len({e.episode for e in events}) == 2


def test_score_is_smoothed_and_ends_with_the_highest() -> None:
    events = watch(beat(10, 6), [(0, 2, {"cat": 0.6}), (2, 4, {"cat": 1.0})], update_every="0s")
    assert [e.score for e in events] == [pytest.approx(0.6), pytest.approx(1.0)]
    assert events[1].data["duration_s"] == pytest.approx(3.9)


def test_flicker_below_the_window_is_smoothed_away() -> None:
    """Every third frame wrong: a mean of 0.6, and two votes of three."""
    times = beat(30, 6)
    shows = [(t - 1e-6, t + 1e-6, {"cat": 0.9} if i % 3 else {"dog": 0.9}) for i, t in enumerate(times)]
    for method in ("mean", "vote"):
        assert [line[1] for line in emitted(watch(times, shows, method=method))] == ["cat", "cat"]
    raw = watch(times, shows, window="0s", min_duration="0s", merge_gap="0s")
    assert len(raw) > 100


def test_label_between_thresholds_stays_but_never_begins() -> None:
    shows = [(0, 2, {"cat": 0.4}), (2, 4, {"cat": 0.8}), (4, 7, {"cat": 0.4})]
    assert ends(watch(beat(10, 9), shows, window="0s")) == [("cat", 2.0, 6.9)]
    assert watch(beat(10, 2), shows, window="0s") == []


def test_brief_label_gives_no_event() -> None:
    shows = [(1, 1.4, {"cat": 1.0}), (3, 4, {"dog": 1.0})]
    assert ends(watch(beat(20, 6), shows, window="200ms")) == [("dog", 3.0, 3.95)]
    assert {line[0] for line in ends(watch(beat(20, 6), shows, window="200ms", min_duration="300ms"))} == {"cat", "dog"}


@pytest.mark.parametrize(("gap", "count"), [(0.8, 1), (1.5, 2)])
def test_equal_neighbours_over_short_gaps_are_one(gap: float, count: int) -> None:
    shows: list[Show] = [(0, 2, {"cat": 1.0}), (2 + gap, 4 + gap, {"cat": 1.0})]
    found = ends(watch(beat(20, 8), shows, window="200ms"))
    assert len(found) == count
    assert found[0][1] == 0.0
    assert found[-1][2] == pytest.approx(4 + gap - 0.05)


def test_without_merging_events_of_a_label_never_overlap() -> None:
    times = beat(25, 8)
    shows = [(t - 1e-6, t + 1e-6, {"cat": 0.9 * ((i // 6) % 2)}) for i, t in enumerate(times)]
    found = ends(watch(times, shows, window="400ms", merge_gap="0s", min_duration="0s", enter=0.5, leave=0.45))
    assert len(found) > 3
    for (_, _, end), (_, start, _) in pairwise(found):
        assert end is not None
        assert end < start


def test_several_labels_at_once() -> None:
    shows: list[Show] = [(0, 2, {"rain": 0.9}), (2, 4, {"rain": 0.9, "night": 0.8}), (4, 6, {"night": 0.8})]
    found = ends(watch(beat(10, 8), shows))
    assert sorted(found) == [("night", 2.0, 5.9), ("rain", 0.0, 3.9)]


def test_labels_are_chosen_and_ignored() -> None:
    shows: list[Show] = [(0, 3, {"rain": 0.9, "night": 0.8, "background": 1.0})]
    assert {line[1] for line in emitted(watch(beat(10, 3), shows, ignore=["background"]))} == {"rain", "night"}
    assert {line[1] for line in emitted(watch(beat(10, 3), shows, labels=["night"]))} == {"night"}


def test_vote_for_an_unlisted_label_is_lost() -> None:
    shows: list[Show] = [(0, 3, {"rain": 0.4, "night": 0.3, "background": 0.9})]
    for options in ({"ignore": ["background"]}, {"labels": ["rain"]}):
        assert watch(beat(10, 3), shows, method="vote", **options) == []


def test_updates_come_on_their_beat() -> None:
    events = watch(beat(10, 10), [(0, 10, {"cat": 1.0})], update_every="3s")
    assert [e.phase for e in events] == ["start", "update", "update", "update", "end"]
    starts = [e.pts_ns / 1e9 for e in events]
    assert starts == pytest.approx([0.5, 3.5, 6.5, 9.5, 9.9])


def test_gap_in_time_ends_earlier_labels() -> None:
    plugin = opened()
    events = feed(plugin, beat(10, 3), [(0, 9, {"cat": 1.0})])
    assert timed(plugin, Moment(pts_ns=5 * SECOND_NS, frame_index=29), "gap") == []
    ended = timed(plugin, Moment(pts_ns=20 * SECOND_NS, frame_index=29), "gap")
    assert emitted([*events, *ended]) == [("start", "cat", 0.0, None), ("end", "cat", 0.0, 2.9)]
    assert ended[0].pts_ns == 20 * SECOND_NS
    later = feed(plugin, [20 + t for t in beat(10, 2)], [(20, 30, {"cat": 1.0})], first=30)
    assert emitted(later) == [("start", "cat", 20.0, None)]
    assert timed(plugin, Moment(pts_ns=22 * SECOND_NS, frame_index=49), "cut") == []


def test_results_that_stay_away_end_a_label_too() -> None:
    times = [*beat(10, 2), *(10 + t for t in beat(10, 2))]
    assert ends(watch(times, [(0, 20, {"cat": 1.0})])) == [("cat", 0.0, 1.9), ("cat", 10.0, 11.9)]


@pytest.mark.parametrize("split", range(0, 120, 7))
def test_restored_anywhere_it_goes_on_exactly(split: int) -> None:
    rng = np.random.default_rng(5)
    times = np.cumsum(rng.uniform(0.02, 0.2, 120)).round(3).tolist()
    shows = [(t - 1e-6, t + 1e-6, {k: float(rng.random()) for k in "abc"}) for t in times]
    options = {"window": "300ms", "min_duration": "50ms", "merge_gap": "200ms", "update_every": "500ms"}
    straight = feed(opened(**options), times, shows)
    assert len(straight) > 20
    before, after = opened(**options), opened(**options)
    events = feed(before, times[:split], shows)
    after.restore(json.loads(json.dumps(before.state())))
    assert events + feed(after, times[split:], shows, first=split) == straight


@pytest.mark.parametrize(
    "wrong", [{"enter": 0.3, "leave": 0.4}, {"labels": ["a"], "ignore": ["a"]}, {"window": "2min"}, {"window": 1}]
)
def test_options_that_contradict_each_other_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LabelsOptions.model_validate(wrong)


# mathematics


def test_sample_weighs_by_its_duration() -> None:
    times = np.array([100, 200, 400], np.int64)
    assert weights(times, 0, 400).tolist() == pytest.approx([0.25, 0.25, 0.5])
    assert weights(times, 0, 350).tolist() == pytest.approx([50 / 350, 100 / 350, 200 / 350])
    assert weights(times, None, 400).tolist() == pytest.approx([0.25, 0.25, 0.5])
    assert weights(times[:1], None, 400).tolist() == [1.0]
    assert weights(times[:1], 0, 0).tolist() == [1.0]


def test_scores_of_a_window_become_one() -> None:
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.0, 0.0]])
    even = np.full(4, 0.25)
    assert smoothed(scores, even, "mean").tolist() == pytest.approx([0.425, 0.325])
    assert smoothed(scores, even, "max").tolist() == [0.9, 0.8]
    assert votes(scores).tolist() == [[1, 0], [0, 1], [1, 0], [0, 0]]
    assert smoothed(votes(scores), even, "vote").tolist() == [0.5, 0.25]


# a clip of photos through the real engine, decoder and net

PHOTOS = {
    "cat.bmp": "Egyptian cat",
    "parrot.jpg": "macaw",
    "hot_dog.jpg": "hotdog, hot dog, red hot",
    "grace_hopper.bmp": "military uniform",
}
SHOWN_S = 2.0


@pytest.mark.real
@pytest.mark.parametrize("rate", [5, 25])
def test_photos_in_a_clip_become_one_event_each(shared: Path, tmp_path: Path, rate: int) -> None:
    from fractions import Fraction

    from tests.plugins.real import run_text

    pictures = [fitted(shared / "models" / "pictures" / name) for name in PHOTOS]
    shown = round(SHOWN_S * rate)
    recipe = Recipe(
        rate=Fraction(rate), frames=shown * len(pictures), size=(384, 384), picture=lambda n: pictures[n // shown]
    )
    clip = encode(tmp_path / "photos.mp4", recipe)
    text = f"""
version: 1
streams: {{photos: {{source: {{type: file, options: {{path: "{clip}"}}}}, rate: 5, chain: [classes, events]}}}}
plugins:
  classes: {{type: classification, options: {{fit: stretch}}}}
  events: {{type: labels}}
"""
    events = run_text(text, tmp_path / "state", shared / "models")
    found = ends(events)
    assert [label for label, _, _ in found] == list(PHOTOS.values())
    frame_s = 1 / 5
    for n, (_, start, end) in enumerate(found):
        assert end is not None
        assert start == pytest.approx(n * SHOWN_S, abs=frame_s)
        assert end == pytest.approx((n + 1) * SHOWN_S, abs=frame_s + 1e-3)
    assert len(events) == 2 * len(PHOTOS)


def fitted(path: Path) -> NDArray[np.uint8]:
    """A photo stretched to 384x384."""
    import cv2

    bgr = cv2.imread(str(path))
    assert bgr is not None
    return np.ascontiguousarray(cv2.resize(bgr, (384, 384), interpolation=cv2.INTER_AREA)[..., ::-1])


class SaysOptions(Options):
    """None."""


class Says(ClipPlugin[SaysOptions]):
    """Calls a clip dark or bright, twice a second."""

    gives = (Classification,)

    def clip(self) -> ClipSpec:
        return ClipSpec(frames=3, rate=10, stride_ns=SECOND_NS // 2, size=(8, 8))

    def process(self, clip: Clip, past: Results) -> Output:
        level = float(clip.rgb.mean()) / 255
        return [named({"bright": level, "dark": 1 - level})]


def test_answers_of_clips_become_events_too() -> None:
    info = make_info(rate=10)
    frames = [make_frame(fill=255 if 20 <= i < 50 else 0, index=i, info=info) for i in range(80)]
    run = run_chain([plugin_plan(Says), plugin_plan(Labels, window="0s", merge_gap="600ms")], frames)
    found = sorted((label, start, end or 0) for label, start, end in ends(run.events))
    assert [label for label, _, _ in found] == ["bright", "dark", "dark"]
    (_, start, end), (_, _, before), (_, after, _) = found
    # a clip lasts 0.2 s, the next one follows after 0.5 s
    assert 2.0 <= start <= 2.7
    assert 4.5 <= end <= 5.2
    assert 1.5 <= before <= 2.2
    assert 5.0 <= after <= 5.7


def test_hole_in_the_recording_ends_earlier_labels() -> None:
    info = make_info(rate=10)
    times = [*range(30), *range(200, 230)]
    frames = [make_frame(fill=255, index=i, pts_s=t / 10, info=info) for i, t in enumerate(times)]
    events = run_chain([plugin_plan(Says), plugin_plan(Labels, window="0s")], frames).events
    assert [(e.phase, e.data["label"]) for e in events] == [("start", "bright"), ("end", "bright")] * 2
    assert events[1].end_ns is not None
    assert events[1].end_ns < 3 * SECOND_NS
    assert events[2].start_ns >= 20 * SECOND_NS


def test_events_are_equal_with_any_workers(tmp_path: Path) -> None:
    from tests.nets import brightness_classes, model_folder

    spec = {"height": 16, "width": 16, "layout": "NCHW", "colour": "rgb", "resize": "stretch"}
    net = brightness_classes(16, 16)
    model = model_folder(tmp_path / "levels", net, decode="sigmoid", labels=["day", "night"], input=spec)
    info = make_info(rate=10)
    frames = [make_frame(fill=230 if (i // 20) % 2 else 20, index=i, info=info) for i in range(80)]
    chain = [plugin_plan(ClassificationPlugin, model=str(model)), plugin_plan(Labels)]
    runs = [run_chain(chain, frames, workers=workers).events for workers in (1, 3)]
    assert [e.to_json() for e in runs[0]] == [e.to_json() for e in runs[1]]
    assert sorted(ends(runs[0])) == [("day", 2.0, 3.9), ("day", 6.0, 7.9), ("night", 0.0, 1.9), ("night", 4.0, 5.9)]
