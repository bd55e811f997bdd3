"""Rules on scenes whose right answer follows from arithmetic."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from streamproc import Event, Frame, Moment, PluginContext, Result, Results, Tracks
from streamproc.schemas import event_schema
from streamproc.testing import check_plugin_contract, make_frame, make_info, make_tracks, run_plugin
from streamproc_plugins.rules import Rules, RulesOptions, RuleView
from streamproc_plugins.rules.lines import meet

INFO = make_info(width=1000, height=500)
WHOLE = [[0, 0], [1, 0], [1, 1], [0, 1]]
YARD = [[0.4, 0], [0.6, 0], [0.6, 1], [0.4, 1]]

EVERY_RULE: dict[str, Any] = {
    "zones": {"yard": {"polygon": YARD, "dwell": "1s", "loitering": {"for": "2s"}, "crowd": {"count": 1}}},
    "lines": {"gate": {"points": [[0.5, 0], [0.5, 1]]}},
    "stationary": {"still": {"for": "1s"}},
    "speed": {"fast": {"above": 50}},
    "wrong_way": {"way": {"along": [[1, 0], [0, 0]]}},
}  # fmt: skip

Scene = Callable[[float], dict[int, tuple[float, float]]]


def box(x: float, y: float) -> tuple[float, float, float, float]:
    """A person of 40 x 100 pixels standing at x, y."""
    return (x - 20, y - 100, x + 20, y)


def frames_at(times: Sequence[float]) -> list[Frame]:
    return [make_frame(index=index, pts_s=t, info=INFO) for index, t in enumerate(times)]


def steps(duration_s: float, fps: float = 10) -> list[float]:
    return [index / fps for index in range(round(duration_s * fps) + 1)]


def tracks_at(scene: Scene, t: float, label: str = "person") -> Tracks:
    return make_tracks({track_id: box(x, y) for track_id, (x, y) in scene(t).items()}, label=label)


def watch(scene: Scene, times: Sequence[float], **options: Any) -> list[Event]:
    frames = frames_at(times)
    return run_plugin(Rules, frames, past=[[tracks_at(scene, t)] for t in times], **options).events


def emitted(events: Sequence[Event]) -> list[tuple[str, str, float, float | None]]:
    return [
        (event.type, event.phase, event.start_ns / 1e9, None if event.end_ns is None else event.end_ns / 1e9)
        for event in events
    ]


def walk(speed: float = 100, y: float = 300) -> Scene:
    """From the left side of a picture 1000 wide to the right, `speed` pixels a second; gone after 10 s."""
    return lambda t: {7: (speed * t, y)} if t <= 10 else {}


def test_visit_has_the_moments_of_its_border_steps() -> None:
    events = watch(walk(), steps(12), zones={"yard": {"polygon": YARD}})
    assert emitted(events) == [
        ("zone.entered", "start", 4.0, None),
        ("zone.entered", "end", 4.0, 6.0),
        ("zone.left", "instant", 6.0, 6.0),
    ]
    assert events[0].pts_ns == 4_300_000_000
    assert events[0].data["count"] == 1
    assert events[1].data["dwell_s"] == pytest.approx(2.0)
    assert events[1].data["count"] == 0
    assert {event.episode for event in events} == {"yard/7/1"}
    data = events[0].to_json()["data"]
    assert (data["zone"], data["label"], data["track_id"], data["score"]) == ("yard", "person", 7, 0.9)
    assert data["box"] == [410.0, 200.0, 450.0, 300.0]


@pytest.mark.parametrize("fps", [5, 10, 29.97, 60])
def test_times_are_right_at_every_rate(fps: float) -> None:
    events = watch(
        walk(), steps(12, fps), zones={"yard": {"polygon": YARD}}, lines={"gate": {"points": [[0.5, 0], [0.5, 1]]}}
    )
    end = next(event for event in events if event.type == "zone.entered" and event.phase == "end")
    assert end.start_ns / 1e9 == pytest.approx(4, abs=1.001 / fps)
    assert end.end_ns is not None
    assert end.end_ns / 1e9 == pytest.approx(6, abs=1.001 / fps)
    (crossed,) = [event for event in events if event.type == "line.crossed"]
    assert crossed.start_ns / 1e9 == pytest.approx(5, abs=0.002)


def test_flickering_at_a_border_enters_once() -> None:
    def shaky(t: float) -> dict[int, tuple[float, float]]:
        return {1: (400 + (2 if round(t * 10) % 2 else -2), 300)} if t < 5 else {1: (500, 300)}

    events = watch(shaky, steps(8), zones={"yard": {"polygon": YARD}})
    assert [(event.type, event.phase) for event in events] == [
        ("zone.entered", "start"),
        ("zone.entered", "end"),
        ("zone.left", "instant"),
    ]
    assert events[0].start_ns >= 4_800_000_000


def test_short_absence_ends_no_visit() -> None:
    def scene(t: float) -> dict[int, tuple[float, float]]:
        if 2 < t < 2.4:
            return {1: (300, 300)}
        return {} if 4 < t < 6 else {1: (500, 300)}

    events = watch(scene, steps(8), zones={"yard": {"polygon": YARD}})
    assert emitted(events)[:2] == [("zone.entered", "start", 0.0, None), ("zone.entered", "end", 0.0, 8.0)]


def test_lost_track_left_where_last_observed() -> None:
    events = watch(lambda t: {1: (500, 300)} if t <= 3 else {}, steps(8), zones={"yard": {"polygon": YARD}})
    assert emitted(events)[1] == ("zone.entered", "end", 0.0, 3.0)
    assert 6.0 < events[1].pts_ns / 1e9 <= 6.2


def test_predicted_and_tentative_tracks_enter_nothing() -> None:
    for state in ("lost", "tentative"):
        past = [[make_tracks({1: box(500, 300)}, state=state)] for _ in range(30)]
        run = run_plugin(Rules, frames_at(steps(2.9)), past=past, zones={"yard": {"polygon": YARD}})
        assert run.events == []


def test_zone_over_everything_has_no_border() -> None:
    events = watch(lambda t: {1: (20, 500)}, steps(3), zones={"all": {"polygon": WHOLE}})
    assert [event.phase for event in events if event.type == "zone.entered"] == ["start", "end"]


def test_late_track_counts_from_its_first_detection() -> None:
    frames = frames_at(steps(2, 5))
    past: list[list[Result]] = []
    for frame in frames:
        tracks = make_tracks({1: box(500, 300)})
        age = np.array([max(frame.pts_ns - 400_000_000, 0)], np.int64)
        confirmed = Tracks(
            **{
                name: getattr(tracks, name)
                for name in ("xyxy", "score", "class_id", "label", "track_id", "velocity", "state")
            },
            age_ns=age,
        )
        past.append([confirmed if frame.pts_ns >= 600_000_000 else Tracks.empty()])
    events = run_plugin(Rules, frames, past=past, zones={"yard": {"polygon": YARD}}).events
    assert events[0].start_ns == 400_000_000


def test_dwelling_starts_is_updated_and_ends() -> None:
    events = watch(
        lambda t: {1: (500, 300)} if t <= 7 else {}, steps(12), update_every="2s",
        zones={"yard": {"polygon": YARD, "dwell": "3s"}},
    )  # fmt: skip
    dwell = [event for event in events if event.type == "zone.dwell"]
    assert emitted(dwell) == [
        ("zone.dwell", "start", 0.0, None),
        ("zone.dwell", "update", 0.0, None),
        ("zone.dwell", "update", 0.0, None),
        ("zone.dwell", "end", 0.0, 7.0),
    ]
    assert [event.data["dwell_s"] for event in dwell] == pytest.approx([3, 5, 7, 7])


def test_passing_through_is_no_dwelling() -> None:
    events = watch(walk(), steps(12), zones={"yard": {"polygon": YARD, "dwell": "3s"}})
    assert "zone.dwell" not in {event.type for event in events}


def test_loitering_outlasts_short_absences_and_dwelling_does_not() -> None:
    def to_and_fro(t: float) -> dict[int, tuple[float, float]]:
        return {1: (500 if t % 5 < 3 else 300, 300)} if t < 20 else {1: (100, 300)}

    events = watch(
        to_and_fro, steps(30),
        zones={"yard": {"polygon": YARD, "dwell": "5s", "loitering": {"for": "10s", "absence": "4s"}}},
    )  # fmt: skip
    kinds = [event.type for event in events]
    assert "zone.dwell" not in kinds
    loitering = [event for event in events if event.type == "zone.loitering"]
    assert emitted(loitering) == [("zone.loitering", "start", 0.0, None), ("zone.loitering", "end", 0.0, 17.9)]


def test_crowd_gathers_grows_and_ends() -> None:
    def scene(t: float) -> dict[int, tuple[float, float]]:
        here = [1] + [2] * (t >= 2) + [3] * (t >= 6)
        return {i + 1: (430 + 50 * i, 300) for i in range(len(here))} if t < 10 else {1: (430, 300)}

    events = watch(scene, steps(15), zones={"yard": {"polygon": YARD, "crowd": {"count": 2, "for": "1s"}}})
    crowd = [event for event in events if event.type == "zone.crowded"]
    assert [(event.phase, event.data["count"]) for event in crowd] == [("start", 2), ("update", 3), ("end", 1)]
    assert crowd[0].start_ns == 2_000_000_000
    assert crowd[-1].end_ns is not None
    assert crowd[-1].end_ns / 1e9 == pytest.approx(10, abs=0.6)


def test_cooldown_counts_what_it_holds_back() -> None:
    def one_after_the_other(t: float) -> dict[int, tuple[float, float]]:
        return {int(t // 3) + 1: (500, 300)} if t % 3 < 2 else {}

    zones = {"yard": {"polygon": YARD, "cooldown": "7s"}, "cars": {"polygon": YARD, "labels": ["car"]}}
    events = watch(one_after_the_other, steps(12), zones=zones, lost_after="500ms")
    starts = [event for event in events if event.phase == "start"]
    assert [(event.data["zone"], event.data["track_id"], event.data.get("suppressed")) for event in starts] == [
        ("yard", 1, None),
        ("yard", 4, 2),
    ]


@pytest.mark.parametrize(("speed", "direction"), [(100, "left"), (-100, "right")])
def test_line_is_crossed_to_the_walkers_side(speed: float, direction: str) -> None:
    # down the screen, from a to b: the left hand is on the screen's right
    start = 0 if speed > 0 else 1000
    events = watch(lambda t: {1: (start + speed * t, 300)}, steps(10), lines={"gate": {"points": [[0.5, 0], [0.5, 1]]}})
    assert emitted(events) == [("line.crossed", "instant", 5.0, 5.0)]
    data = events[0].data
    assert (data["line"], data["direction"], data["count"], data["track_id"]) == ("gate", direction, 1, 1)


def test_counts_run_on_under_the_users_names() -> None:
    def there_and_back(t: float) -> dict[int, tuple[float, float]]:
        return {1: (500 + 300 * np.sin(t), 300)}

    options = {"points": [[0.5, 0], [0.5, 1]], "directions": {"left": "out", "right": "in"}}
    events = watch(there_and_back, steps(13), lines={"gate": options})
    assert [(event.data["direction"], event.data["count"]) for event in events] == [
        ("out", 1), ("in", 1), ("out", 2), ("in", 2), ("out", 3),
    ]  # fmt: skip
    assert events[-1].data["counts"] == {"out": 3, "in": 2}
    assert [event.start_ns / 1e9 for event in events[1:]] == pytest.approx([np.pi * n for n in (1, 2, 3, 4)], abs=0.01)


def test_trembling_on_a_line_is_no_crossing() -> None:
    noise = np.random.default_rng(5).normal(0, 1.2, 400)
    events = watch(
        lambda t: {1: (500 + noise[round(t * 10)], 300)}, steps(30), lines={"gate": {"points": [[0.5, 0], [0.5, 1]]}}
    )
    assert events == []


def test_passing_the_end_is_no_crossing() -> None:
    assert watch(walk(y=400), steps(10), lines={"gate": {"points": [[0.5, 0], [0.5, 0.7]]}}) == []


def test_bent_line_is_crossed_once_at_its_corner() -> None:
    # through the very corner at (500, 250)
    line = {"points": [[0.3, 0.9], [0.5, 0.5], [0.3, 0.1]]}
    events = watch(lambda t: {1: (100 * t, 250)}, steps(10), lines={"bend": line})
    assert [(event.type, event.start_ns) for event in events] == [("line.crossed", 5_000_000_000)]


def test_joint_is_crossed_on_exactly_one_leg() -> None:
    legs = [((0.0, 0.0), (0.0, 5.0)), ((0.0, 5.0), (0.0, 10.0))]
    hits = [meet((-1.0, 5.0), (1.0, 5.0), a, b) for a, b in legs]
    assert [hit is not None for hit in hits].count(True) == 1


def test_standing_still_and_moving_on() -> None:
    def scene(t: float) -> dict[int, tuple[float, float]]:
        return {1: (100 * min(t, 3) + max(0.0, t - 15) * 100, 300)}

    events = watch(scene, steps(20), stationary={"parked": {"for": "5s"}})
    assert [(event.type, event.phase) for event in events] == [
        ("object.stationary", "start"),
        ("object.stationary", "end"),
    ]
    assert events[1].end_ns is not None
    assert (events[1].start_ns / 1e9, events[1].end_ns / 1e9) == pytest.approx((3, 15), abs=0.3)


def test_object_is_left_when_its_owner_has_gone() -> None:
    def past(t: float) -> Tracks:
        owner = tracks_at(lambda t: {1: (300 + (100 * max(t - 4, 0)), 300)} if t < 10 else {}, t)
        bag = make_tracks({2: (340, 270, 370, 300)}, label="backpack")
        names = ("xyxy", "score", "class_id", "track_id", "velocity", "age_ns")
        columns: dict[str, Any] = {name: np.concatenate([getattr(owner, name), getattr(bag, name)]) for name in names}
        return Tracks(**columns, label=owner.label + bag.label, state=owner.state + bag.state)

    times = steps(20)
    options = {"bag": {"labels": ["backpack"], "for": "5s", "near": 1.0}}
    run = run_plugin(Rules, frames_at(times), past=[[past(t)] for t in times], left_objects=options)
    start = run.events[0]
    assert (start.type, start.phase, start.data["track_id"]) == ("object.left", "start", 2)
    # one box height (100 px) from box to box: when the left side of the owner passes x = 470, at 4 + 1.9 s
    assert start.start_ns / 1e9 == pytest.approx(5.9, abs=0.2)


def test_going_against_the_right_way() -> None:
    options = {"oneway": {"along": [[1, 0.5], [0, 0.5]], "for": "1s"}}
    events = watch(walk(), steps(14), wrong_way=options)
    assert [event.phase for event in events] == ["start", "end"]
    assert events[0].type == "direction.wrong"
    assert watch(walk(), steps(12), wrong_way={"oneway": {"along": [[0, 0.5], [1, 0.5]]}}) == []


def test_speed_is_measured_on_the_ground() -> None:
    # 100 px/s where the picture's 1000 px are 50 m: 5 m/s, 18 km/h
    fast = {"limit": {"above": 15, "unit": "km/h", "metres": 50}}
    events = watch(walk(), steps(12), speed=fast)
    assert [event.phase for event in events] == ["start", "end"]
    assert events[0].data["speed"] == pytest.approx(18, abs=0.1)
    assert watch(walk(), steps(12), speed={"limit": {"above": 20, "unit": "km/h", "metres": 50}}) == []


def test_what_is_open_ends_while_no_frames_come() -> None:
    plugin = Rules(RulesOptions.model_validate({"zones": {"yard": {"polygon": YARD}}}))
    plugin.open(context())
    frames = frames_at(steps(2))
    for frame in frames:
        list(plugin.process(frame, results(tracks_at(lambda _: {1: (500, 300)}, 0))) or ())
    late = Moment(pts_ns=frames[-1].pts_ns + 10_000_000_000, frame_index=frames[-1].index)
    assert list(plugin.on_time(frames_moment(frames[-1]), "idle") or ()) == []
    ended = [event for event in plugin.on_time(late, "gap") or () if isinstance(event, Event)]
    assert emitted(ended) == [("zone.entered", "end", 0.0, 2.0), ("zone.left", "instant", 2.0, 2.0)]
    assert list(plugin.flush(late) or ()) == []


def test_restored_rules_go_on_exactly() -> None:
    times = steps(8, 5)
    frames = frames_at(times)
    past = [[tracks_at(lambda t: {1: (150 * t, 300), 2: (450, 300)}, t)] for t in times]
    check_plugin_contract(Rules, frames, past=past, **EVERY_RULE)
    whole, interrupted = Rules(RulesOptions.model_validate(EVERY_RULE)), Rules(RulesOptions.model_validate(EVERY_RULE))
    whole.open(context())
    interrupted.open(context())
    for frame, given in zip(frames, past, strict=True):
        stored = json.loads(json.dumps(interrupted.state()))
        interrupted = Rules(RulesOptions.model_validate(EVERY_RULE))
        interrupted.open(context())
        interrupted.restore(stored)
        assert events_of(whole, frame, given[0]) == events_of(interrupted, frame, given[0])
    assert whole.state() == interrupted.state()


def test_the_view_says_what_is_counted() -> None:
    times = steps(5.5)
    past = [[tracks_at(walk(), t)] for t in times]
    options: dict[str, Any] = {
        "zones": {"yard": {"polygon": YARD}},
        "lines": {"gate": {"points": [[0.5, 0], [0.5, 1]]}},
    }
    last = run_plugin(Rules, frames_at(times), past=past, **options).all(RuleView)[-1]
    ((name, corners, inside),) = last.zones()
    assert (name, corners.tolist(), inside) == ("yard", [[400, 0], [600, 0], [600, 500], [400, 500]], 1)
    ((line, _, crossings),) = last.lines()
    assert (line, crossings) == ("gate", {"left": 1, "right": 0})


def context() -> PluginContext:
    import logging

    from streamproc.models import ModelStore

    return PluginContext(name="rules", stream=INFO, models=ModelStore(), log=logging.getLogger(__name__))


def results(tracks: Tracks) -> Results:
    return Results({("tracks", Tracks): tracks})


def frames_moment(frame: Frame) -> Moment:
    return Moment.of(frame)


def events_of(plugin: Rules, frame: Frame, tracks: Tracks) -> list[Event]:
    return [item for item in plugin.process(frame, results(tracks)) or () if isinstance(item, Event)]


def test_every_event_fits_the_published_schema() -> None:
    import jsonschema

    times = steps(12)
    past = [[tracks_at(lambda t: {1: (100 * t, 300), 2: (500, 300)} if t < 8 else {}, t)] for t in times]
    events = run_plugin(Rules, frames_at(times), past=past, update_every="1s", **EVERY_RULE).events
    assert {event.type for event in events} == {
        "zone.entered", "zone.left", "zone.dwell", "zone.loitering", "zone.crowded", "line.crossed",
        "object.stationary", "speed.exceeded", "direction.wrong",
    }  # fmt: skip
    for event in events:
        jsonschema.validate(event.to_json(), event_schema())
