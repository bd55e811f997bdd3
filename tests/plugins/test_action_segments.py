"""`segments`: a long video as a list of actions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from streamproc import Classification
from streamproc.frames import Frame
from streamproc.shots import Shot
from streamproc.testing import check_plugin_contract, make_frame, make_info, run_plugin
from streamproc_plugins.action import Segments

INFO = make_info(rate=1)


def said(label: str, score: float = 0.8) -> Classification:
    return Classification(label=(label,), score=np.array([score], np.float32), class_id=np.zeros(1, np.int64))


def frames_at(times: list[float]) -> list[Frame]:
    return [make_frame(index=i, pts_s=at, info=INFO) for i, at in enumerate(times)]


def found(labels: str, times: list[float] | None = None, shots: list[int] | None = None, **options: Any) -> list[Any]:
    """(start, end, label) of the events for one label a frame (letters; `-`: nothing sure), frames a second apart.

    shots: second at which each shot begins.
    """
    times = times or [float(i) for i in range(len(labels))]
    past: list[list[Any]] = [[said(letter, 0.1 if letter == "-" else 0.8)] for letter in labels]
    if shots is not None:
        for at, results in zip(times, past, strict=True):
            number = sum(begin <= at for begin in shots)
            kind = "start" if number == 1 else "cut"
            results.append(Shot(number=number, start_ns=shots[number - 1] * 1_000_000_000, kind=kind))
    run = run_plugin(Segments, frames_at(times), past=past, **{"covers": "0s", **options})
    assert set(run.types) <= {"segment.found"}
    return [(event.start_ns / 1e9, (event.end_ns or 0) / 1e9, event.data["label"]) for event in run.events]


def test_equal_neighbours_become_one_segment() -> None:
    assert found("aaaabbb") == [(0, 3.5, "a"), (3.5, 6, "b")]


def test_label_counts_for_the_middle_of_its_clip() -> None:
    # clips of 2 s: the answers at 0, 1, 2 .. 6 s are about 0 (nothing was before), 0, 1 .. 5 s
    assert found("aaaabbb", covers="2s") == [(0, 2.5, "a"), (2.5, 6, "b")]


def test_an_unsure_label_is_a_hole() -> None:
    assert found("aa--bb") == [(0, 1.5, "a"), (3.5, 5, "b")]


def test_cut_divides_a_segment_exactly() -> None:
    assert found("aaaaaa", shots=[0, 3]) == [(0, 3, "a"), (3, 5, "a")]
    assert found("aaabbb", shots=[0, 3]) == [(0, 3, "a"), (3, 5, "b")]


def test_late_cut_still_divides_where_it_was() -> None:
    past = [[said("a"), Shot(number=1, start_ns=0, kind="start")] for _ in range(5)]
    past += [[said("b"), Shot(number=2, start_ns=2_500_000_000, kind="cut")] for _ in range(4)]
    run = run_plugin(Segments, frames_at([float(i) for i in range(9)]), past=past, covers="0s")
    assert [(event.start_ns, event.end_ns, event.data["label"], event.data["shot"]) for event in run.events] == [
        (0, 2_500_000_000, "a", 1),
        (2_500_000_000, 4_500_000_000, "a", 2),
        (4_500_000_000, 8_000_000_000, "b", 2),
    ]


def test_short_segment_joins_a_neighbour_within_its_shot() -> None:
    assert found("aaaabaaa", min_duration="2s") == [(0, 7, "a")]
    assert found("aaaabccc", min_duration="2s") == [(0, 4.5, "a"), (4.5, 7, "c")]
    assert found("aaabb", shots=[0, 3], min_duration="5s") == [(0, 3, "a"), (3, 4, "b")]


def test_a_pause_without_labels_ends_a_segment() -> None:
    assert found("aaaa", [0, 1, 20, 21], lost_after="5s") == [(0, 1, "a"), (20, 21, "a")]


def test_ignored_labels_are_none() -> None:
    assert found("aabb", ignore=["a"]) == [(1.5, 3, "b")]


def test_hour_becomes_a_short_list() -> None:
    labels = "".join(letter * 300 for letter in "abcdefabcdef")
    got = found(labels)
    assert len(got) == 12
    assert [label for _, _, label in got] == list("abcdefabcdef")
    assert got[3] == (899.5, 1199.5, "d")


def test_score_is_the_mean_of_the_snippets() -> None:
    past = [[said("a", 0.6)], [said("a", 0.8)]]
    (event,) = run_plugin(Segments, frames_at([0, 1]), past=past, covers="0s").events
    assert event.score == pytest.approx(0.7)
    assert event.data["snippets"] == 2


def test_restart_within_a_segment_changes_nothing() -> None:
    past = [
        [said("aab"[i // 4]), Shot(number=1 + i // 6, start_ns=(i // 6) * 6_000_000_000, kind="cut")] for i in range(12)
    ]
    check_plugin_contract(Segments, frames_at([float(i) for i in range(12)]), past=past)
