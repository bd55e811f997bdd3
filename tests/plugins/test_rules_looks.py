"""Stays that go on under another track id, by people's looks."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streamproc import Event, Frame, Moment, PluginContext, Result, Results, Tracks
from streamproc.models import ModelStore
from streamproc.testing import make_frame, make_info, make_tracks, run_plugin
from streamproc_plugins.rules import Rules
from streamproc_plugins.rules.options import RulesOptions

INFO = make_info(width=1000, height=500)
LEFT_HALF = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]
ZONES = {"z": {"polygon": LEFT_HALF, "loitering": {"for": "10s", "absence": "5s"}}}

Look = NDArray[np.float32] | None
Scene = Callable[[float], dict[int, tuple[float, Look]]]
"""x of the tracks in view at a time, by track id, and their looks"""


def look(person: int, *, like: float = 1.0) -> Look:
    """A look of that person; two people have a cosine of 0.3, two looks of one of `like` squared and more."""
    place = np.zeros(16)
    place[0], place[1 + person] = 0.3**0.5, 0.7**0.5
    turned = like * place
    turned[-1] = (1 - like**2) ** 0.5
    return turned.astype(np.float32)


def tracks(things: dict[int, tuple[float, Look]]) -> Tracks:
    made = make_tracks({track_id: (x - 20, 300, x + 20, 400) for track_id, (x, _) in things.items()})
    looks = [look for _, look in things.values()]
    if not any(look is not None for look in looks):
        return made
    blank = np.zeros(16, np.float32)
    return dataclasses.replace(made, embeddings=np.stack([blank if look is None else look for look in looks]))


def frames_of(scene: Scene, seconds: float) -> tuple[list[Frame], list[list[Result]]]:
    times = [n / 10 for n in range(round(seconds * 10) + 1)]
    return [make_frame(index=n, pts_s=t, info=INFO) for n, t in enumerate(times)], [[tracks(scene(t))] for t in times]


def stays(scene: Scene, seconds: float = 16) -> list[tuple[str, float, float]]:
    """Phase, start, and time of emission, of loitering; those that began but once."""
    frames, past = frames_of(scene, seconds)
    return loitering(run_plugin(Rules, frames, past=past, update_every="0s", zones=ZONES).events)


def loitering(events: Sequence[Event]) -> list[tuple[str, float, float]]:
    return [(e.phase, e.start_ns / 1e9, e.pts_ns / 1e9) for e in events if e.type == "zone.loitering"]


def back(gap: float, x: float, again: Look, first: Look) -> Scene:
    """A person stands at 100 for 6 s; after the gap one stands at x under another id."""

    def scene(t: float) -> dict[int, tuple[float, Look]]:
        if t <= 6:
            return {1: (100, first)}
        return {2: (x, again)} if t >= 6 + gap - 0.01 else {}

    return scene


ONE_STAY = [("start", 0, 10.3), ("end", 0, 16)]
"""emitted 10 s after it began, or as soon as the returned track has entered"""


@pytest.mark.parametrize("x", [100, 400])
@pytest.mark.parametrize("like", [1.0, 0.85])
def test_stay_goes_on_anywhere_under_another_id(x: float, like: float) -> None:
    assert stays(back(4, x, look(1, like=like), look(1))) == ONE_STAY


def test_another_person_does_not_continue_the_stay() -> None:
    assert stays(back(4, 100, look(2), look(1))) == []
    assert stays(back(4, 100, None, None)) == ONE_STAY


def test_place_decides_where_a_look_is_not_known() -> None:
    assert stays(back(4, 100, None, look(1))) == ONE_STAY
    assert stays(back(4, 400, None, look(1))) == []


def test_late_look_still_decides() -> None:
    def scene(t: float) -> dict[int, tuple[float, Look]]:
        return back(4, 400, None if t < 10.8 else look(1), look(1))(t)

    assert stays(scene)[0] == ("start", 0, 10.8)


def test_long_absence_ends_the_stay_for_anybody() -> None:
    assert stays(back(5.5, 400, look(1), look(1))) == []


def test_newcomers_alike_are_not_guessed() -> None:
    def scene(t: float) -> dict[int, tuple[float, Look]]:
        if t <= 6:
            return {1: (100, look(1))}
        return {2: (300, look(1)), 3: (400, look(1, like=0.99))} if t >= 10 else {}

    assert stays(scene) == []


def test_leavers_alike_are_not_guessed() -> None:
    def scene(t: float) -> dict[int, tuple[float, Look]]:
        if t <= 6:
            return {1: (100, look(1)), 2: (180, look(1, like=0.99))}
        return {3: (400, look(1))} if t >= 7.5 else {}

    assert [start for phase, start, _ in stays(scene, 18) if phase == "start"] == [7.5]


def test_different_looks_are_recognised_in_swapped_places() -> None:
    def scene(t: float) -> dict[int, tuple[float, Look]]:
        if t <= 6:
            return {1: (100, look(1)), **({2: (400, look(2))} if t >= 2 else {})}
        return {3: (400, look(1, like=0.9)), 4: (100, look(2, like=0.9))} if t >= 9.95 else {}

    starts = [(start, emitted) for phase, start, emitted in stays(scene) if phase == "start"]
    assert starts == [(0, 10.3), (2, 12)]


@pytest.mark.parametrize("inside", [True, False])
def test_person_in_view_beside_is_another(inside: bool) -> None:
    def scene(t: float) -> dict[int, tuple[float, Look]]:
        found: dict[int, tuple[float, Look]] = {1: (100, look(1))} if t <= 6 else {}
        if inside or t < 6:
            found[2] = (800 if t < 10 else 400, look(1, like=0.99))
        if not inside and t >= 10:
            found[3] = (400, look(1))
        return found

    assert stays(scene) == []


def test_person_lost_while_leaving_is_recognised() -> None:
    def scene(t: float) -> dict[int, tuple[float, Look]]:
        if t <= 8:
            return {1: (100 + 300 * max(t - 6, 0), look(1))}
        return {2: (300, look(1, like=0.9))} if t >= 11 else {}

    found = stays(scene)
    assert [(phase, start) for phase, start, _ in found] == [("start", 0), ("end", 0)]
    assert found[0][2] == pytest.approx(11.3, abs=0.11)


def test_looks_are_scaled_by_the_stream() -> None:
    def near(person: int) -> Look:
        observed = look(person)
        assert observed is not None
        mixed = observed + 1.2 * np.eye(1, 16, dtype=np.float32)[0]
        return np.asarray(mixed / np.linalg.norm(mixed), np.float32)

    def scene(t: float) -> dict[int, tuple[float, Look]]:
        beside: dict[int, tuple[float, Look]] = {5: (700, near(5)), 6: (800, near(6))}
        if t <= 6:
            return {1: (100, near(1)), **beside}
        return {2: (400, near(2)), **beside} if t >= 10 else beside

    assert stays(scene) == []


def test_a_restart_while_one_is_away_changes_nothing() -> None:
    frames, past = frames_of(back(4, 400, look(1, like=0.9), look(1)), 16)
    options: dict[str, Any] = {"update_every": "0s", "zones": ZONES}
    whole = run_plugin(Rules, frames, past=past, **options)
    first = plugin_run(frames[:80], past[:80], None, options)
    text = json.dumps(first[1])
    second = plugin_run(frames[80:], past[80:], json.loads(text), options)
    assert loitering(first[0] + second[0]) == loitering(whole.events)[:1] == ONE_STAY[:1]
    assert len(text) < 6_000


def plugin_run(
    frames: list[Frame], past: list[list[Result]], state: Any, options: dict[str, Any]
) -> tuple[list[Event], dict[str, Any]]:
    """The events of an instance that goes on from `state`, and its own state at the end."""
    plugin = opened(options)
    if state is not None:
        plugin.restore(state)
    events: list[Event] = []
    for frame, results in zip(frames, past, strict=True):
        before = Results({(f"p{n}", type(result)): result for n, result in enumerate(results)})
        moment = Moment.of(frame)
        made = [event for event in plugin.process(frame, before) or () if isinstance(event, Event)]
        events += [event.stamped(INFO, "fence", 0, moment) for event in made]
        plugin.on_time(moment, "idle")
    return events, plugin.state()


def opened(options: dict[str, Any]) -> Rules:
    plugin = Rules(RulesOptions.model_validate(options))
    store = ModelStore(download=False)
    plugin.open(PluginContext(name="fence", stream=INFO, models=store, log=logging.getLogger("test")))
    return plugin


def test_without_looks_there_is_no_memory_of_them() -> None:
    frames, past = frames_of(back(4, 100, None, None), 6)
    assert plugin_run(frames, past, None, {"zones": ZONES})[1]["looks"] == {}
