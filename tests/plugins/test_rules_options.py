"""Refusals of `rules`, the example configurations, and the smallest of its parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from streamproc.config import load
from streamproc_plugins.rules import RulesOptions
from streamproc_plugins.rules.presence import Presence, Timing
from tests.machine import REPOSITORY

WHOLE = [[0, 0], [1, 0], [1, 1], [0, 1]]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "there is no rule"),
        ({"zones": {"a": {"polygon": [[0, 0], [1, 1]]}}}, "at least 3"),
        ({"zones": {"a": {"polygon": [[0, 0], [0.5, 0.5], [1, 1]]}}}, "lie on one line"),
        ({"zones": {"a": {"polygon": [[0, 0], [768, 0], [1, 1]]}}}, "less than or equal to 1"),
        ({"zones": {"": {"polygon": WHOLE}}}, "the name '' can't be used"),
        ({"zones": {"a": {"polygon": WHOLE, "dwell": 2}}}, "with its unit"),
        ({"lines": {"a": {"points": [[0, 0]]}}}, "at least 2"),
        ({"lines": {"a": {"points": [[0, 0], [0, 0]]}}}, "the same"),
        ({"lines": {"a": {"points": [[0, 0], [1, 0]], "directions": {"left": "right"}}}}, "different names"),
        ({"speed": {"a": {"above": 3, "unit": "m/s"}}}, "needs `metres`"),
        ({"left_objects": {"a": {}}}, "name the `labels`"),
    ],
)  # fmt: skip
def test_senseless_options_are_refused_with_the_reason(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        RulesOptions.model_validate(options)
    assert words in str(caught.value)


def test_a_wrong_coordinate_hides_no_missing_corner() -> None:
    with pytest.raises(ValidationError) as caught:
        RulesOptions.model_validate({"zones": {"a": {"polygon": [[0.1, 0.5], [0.9, 1.5]]}}})
    places = [(mistake["loc"], mistake["msg"]) for mistake in caught.value.errors()]
    assert places == [
        (("zones", "a", "polygon", 1, 1), "Input should be less than or equal to 1"),
        (("zones", "a", "polygon"), "give at least 3 points"),
    ]
    with pytest.raises(ValidationError) as caught:
        RulesOptions.model_validate({"lines": {"a": {"points": [[0.1, 2]]}}})
    assert len(caught.value.errors()) == 2


def test_presence_needs_both_time_and_margin() -> None:
    timing = Timing(enter_ns=3, leave_ns=3, lost_ns=100)
    presence = Presence()
    assert [presence.observe(now, 1.0, 5.0, timing) for now in range(10)] == [None] * 10
    assert presence.observe(10, 6.0, 5.0, timing) == "entered"
    assert (presence.since_ns, presence.last_ns) == (0, 10)


@pytest.mark.parametrize("path", sorted((REPOSITORY / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_example_configurations_are_right(path: Path) -> None:
    assert load(path).streams
