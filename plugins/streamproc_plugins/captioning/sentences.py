"""English for facts, a template for each kind of fact (after Kulkarni et al., Baby Talk, CVPR 2011)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from streamproc_plugins.captioning.facts import Walk, WindowFacts
from streamproc_plugins.captioning.grammar import article, counted, lasting, listed, named, number, sentence, verb

_GO = {
    "person": "walk", "car": "drive", "truck": "drive", "bus": "drive", "vehicle": "drive", "motorcycle": "ride",
    "bicycle": "ride", "bike": "ride", "dog": "run", "cat": "run", "horse": "run", "bird": "fly", "boat": "sail",
    "train": "pass",
}  # fmt: skip
_WAYS = ("to the left", "to the right", "into the distance", "towards the camera")
_STILL = "still"
_LEAST_STEP = 0.5
"""of its own size that an object must move in a window to count as moving"""
_SURE = 0.35
"""mean score from which a classifier's answer is described"""


def describe(facts: WindowFacts, least_ns: int = 0) -> str:
    """Sentences for a window; empty without facts.

    least_ns: tracks observed for less are left out.
    """
    walks = [walk for walk in facts.walks.values() if walk.until_ns - walk.since_ns >= least_ns]
    parts = [*_moving(walks), *_detected(facts, walks), *_happened(facts.happened), *_shown(facts)]
    return " ".join(map(sentence, parts))


def way_of(walk: Walk) -> str:
    """Direction of a track on the screen, or that it stayed."""
    right, down = walk.last[0] - walk.first[0], walk.last[1] - walk.first[1]
    if max(abs(right), abs(down)) < max(_LEAST_STEP * walk.size, 0.01):
        return _STILL
    if abs(right) >= abs(down):
        return _WAYS[1] if right > 0 else _WAYS[0]
    return _WAYS[3] if down > 0 else _WAYS[2]


def _moving(walks: Sequence[Walk]) -> list[str]:
    """One sentence for all tracks: groups of a label and a way."""
    groups = Counter((walk.label, way_of(walk)) for walk in walks)
    order = [(label, way) for label in dict.fromkeys(w.label for w in walks) for way in (*_WAYS, _STILL)]
    clauses = [_clause(label, way, groups[label, way]) for label, way in order if (label, way) in groups]
    return [listed(clauses)] if clauses else []


def _clause(label: str, way: str, count: int) -> str:
    if way == _STILL:
        word = "stand still" if label in ("person", "car", "truck", "bus", "vehicle") else "stay where it is"
        if count > 1:
            word = word.replace("it is", "they are")
    else:
        word = f"{_GO.get(label, 'move')} {way}"
    return f"{counted(label, count)} {verb(word, count)}"


def _detected(facts: WindowFacts, walks: Sequence[Walk]) -> list[str]:
    """Detections without tracks."""
    tracked = {walk.label for walk in facts.walks.values()} or {walk.label for walk in walks}
    rest = {label: count for label, count in facts.most.items() if label not in tracked}
    if not rest:
        return []
    things = [counted(label, count) for label, count in sorted(rest.items(), key=lambda item: (-item[1], item[0]))]
    return [f"{listed(things)} {verb('be', sum(rest.values()))} seen"]


def _happened(facts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Equal happenings become one sentence with their count."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for fact in facts:
        key = (fact["type"], *(fact.get(name) for name in ("label", "zone", "line", "direction", "name")))
        groups.setdefault(key, []).append(fact)
    return [_SAYINGS[key[0]](facts[-1], len(facts)) for key, facts in groups.items()]


def _shown(facts: WindowFacts) -> list[str]:
    if not facts.shown or not facts.frames:
        return []
    label, total = min(facts.shown.items(), key=lambda item: (-item[1], item[0]))
    return [f"the picture shows {article(first_name(label))}"] if total / facts.frames >= _SURE else []


def first_name(label: str) -> str:
    """The first of a label's synonyms ("tench, Tinca tinca")."""
    return label.split(", ", maxsplit=1)[0].replace("_", " ")


def _subject(fact: Mapping[str, Any], count: int) -> str:
    return counted(first_name(str(fact.get("label") or "something")), count) if fact.get("label") else "something"


def _does(word: str) -> Callable[[Mapping[str, Any], int], str]:
    """A template such as `enter {zone}`."""

    def say(fact: Mapping[str, Any], count: int) -> str:
        places = {key: named(str(fact[key])) for key in ("zone", "line") if fact.get(key)}
        text = f"{_subject(fact, count)} {verb(word, count if fact.get('label') else 1)}"
        for key in ("zone", "line"):  # not `format`: a label may hold braces
            text = text.replace(f"{{{key}}}", places.get(key, f"the {key}"))
        return text

    return say


def _crossed(fact: Mapping[str, Any], count: int) -> str:
    # left and right are those of a person who walks along the line, which no reader would take them for here
    direction = str(fact.get("direction", ""))
    way = f" ({direction})" if direction not in ("", "left", "right") else ""
    return _does("cross {line}")(fact, count) + way


def _crowded(fact: Mapping[str, Any], count: int) -> str:
    del count
    people = fact.get("count")
    many = f" with {number(int(people))} in it" if isinstance(people, int) else ""
    return f"{named(str(fact.get('zone', 'place')))} is crowded{many}"


def _action(fact: Mapping[str, Any], count: int) -> str:
    del count
    return f"the action looks like {first_name(str(fact.get('label', ''))).lower()}"


def _recognised(fact: Mapping[str, Any], count: int) -> str:
    del count
    return f"{fact.get('name') or fact.get('label') or 'somebody known'} is recognised"


def _dwells(fact: Mapping[str, Any], count: int) -> str:
    stayed = fact.get("duration_s")
    longer = f" for {lasting(float(stayed))}" if isinstance(stayed, int | float) else ""
    return _does("stay in {zone}")(fact, count) + longer


_SAYINGS: dict[str, Callable[[Mapping[str, Any], int], str]] = {
    "zone.entered": _does("enter {zone}"),
    "zone.left": _does("leave {zone}"),
    "zone.dwell": _dwells,
    "zone.loitering": _does("loiter in {zone}"),
    "zone.crowded": _crowded,
    "line.crossed": _crossed,
    "object.left": lambda fact, count: f"{_subject(fact, count)} {verb('be', count)} left behind",
    "object.stationary": _does("stand still for long"),
    "direction.wrong": _does("go the wrong way"),
    "speed.exceeded": _does("go too fast"),
    "pose.fall": lambda _, count: f"{counted('person', count)} {verb('fall', count)}",
    "pose.lying": lambda _, count: f"{counted('person', count)} {verb('lie', count)} on the ground",
    "pose.raised_hands": lambda _, count: (
        f"{counted('person', count)} {verb('raise', count)} {'a hand' if count == 1 else 'their hands'}"
    ),
    "face.recognised": _recognised,
    "action.seen": _action,
    "label.seen": lambda fact, _: f"the picture shows {article(first_name(str(fact.get('label', ''))))}",
    "motion": lambda _fact, _count: "something moves",
}
