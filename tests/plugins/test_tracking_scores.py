"""Scores on their way from a detector to tracks and rules, on any scale, and remarks if none get through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from streamproc import Detections, Tracks
from streamproc.models import builtin
from streamproc.report.troubles import troubles
from streamproc.testing import PluginRun, make_frames, make_info, make_tracks, run_plugin
from streamproc_plugins.detection.decode import DECODERS
from streamproc_plugins.pose.top_down import worth_a_look
from streamproc_plugins.rules import Rules
from streamproc_plugins.tracking import Tracking, TrackingOptions
from streamproc_plugins.tracking.scale import Scale

INFO = make_info(width=640, height=480, rate=10)
EVERYWHERE = [[0, 0], [1, 0], [1, 1], [0, 1]]


def found(score: float, operating: float | None, label: str = "person", count: int = 1) -> Detections:
    boxes = np.array([[100 + 150 * k, 100, 140 + 150 * k, 200] for k in range(count)], np.float32)
    made = Detections.of(boxes, np.full(count, score), [label] * count)
    return replace(made, operating_score=operating)


def track(past: Sequence[Detections], **options: Any) -> PluginRun:
    frames = make_frames(len(past), info=INFO)
    return run_plugin(Tracking, frames, past=[[each] for each in past], **options)


@pytest.mark.parametrize("operating", [0.1, 0.25, 0.35, 0.5, 0.6, 0.8])
def test_working_score_begins_a_track(operating: float) -> None:
    score = operating + 0.1 * (1 - operating)
    run = track([found(score, operating)] * 10)
    last = run.all(Tracks)[-1]
    assert last.score == pytest.approx([score], abs=1e-3)
    assert last.operating_score == (None if operating == 0.5 else operating)
    assert troubles(run.report) == []


@pytest.mark.parametrize("operating", [0.25, 0.35, 0.6])
def test_doubtful_detection_extends_but_begins_no_track(operating: float) -> None:
    sure, doubtful = found(0.9, operating), found(0.7 * operating, operating)
    assert [len(tracks) for tracks in track([doubtful] * 10).all(Tracks)] == [0] * 10
    stored = track([sure] * 5 + [doubtful] * 5).all(Tracks)
    assert stored[-1].state == ("confirmed",)


def test_thresholds_are_on_the_detectors_scale() -> None:
    observed = found(0.45, 0.25)
    assert len(track([observed] * 5, new_score=0.5).all(Tracks)[-1]) == 0
    assert len(track([observed] * 5, new_score=0.4).all(Tracks)[-1]) == 1
    assert len(track([found(0.2, 0.25)] * 5, new_score=0.15).all(Tracks)[-1]) == 1
    assert len(track([found(0.45, None)] * 5, new_score=0.4).all(Tracks)[-1]) == 1


def test_few_doubtful_detections_need_one_more() -> None:
    assert [len(tracks) for tracks in track([found(0.36, 0.35)] * 4).all(Tracks)] == [0, 0, 1, 1]
    assert [len(tracks) for tracks in track([found(0.8, 0.35)] * 4).all(Tracks)] == [0, 1, 1, 1]


@pytest.mark.parametrize("operating", [0.05, 0.25, 0.5, 0.9])
def test_common_scale_is_reversible_and_ordered(operating: float) -> None:
    scale, scores = Scale(operating), np.linspace(0, 1, 101)
    assert scale.own(scale.common(scores)) == pytest.approx(scores)
    assert (np.diff(scale.common(scores)) > 0).all()
    assert scale.threshold(operating) == pytest.approx(0.5)


@pytest.mark.parametrize("given", [{}, {"min_score": 0.6}, {"high_score": 0.7}, {"new_score": 0.2}])
@pytest.mark.parametrize("operating", [0.25, 0.6])
def test_thresholds_always_rise(given: dict[str, float], operating: float) -> None:
    settings = TrackingOptions.model_validate(given).settings(Scale(operating))
    assert settings.min_score <= settings.high_score <= settings.new_score


def test_listed_detectors_state_their_working_score() -> None:
    entries = [entry for entry in builtin().values() if entry.decode in DECODERS]
    assert len(entries) >= 5
    assert [entry.name for entry in entries if not entry.min_score] == []


def test_an_operating_score_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"operating_score is 0, expected a number between 0 and 1"):
        found(0.5, 0)


def test_top_down_nets_read_low_scored_boxes() -> None:
    assert worth_a_look(found(0.26, 0.25), (), None, 0, 10).tolist() == [0]
    assert worth_a_look(found(0.26, None), (), None, 0, 10).tolist() == []
    assert worth_a_look(found(0.26, 0.25), (), 0.3, 0, 10).tolist() == []


def test_run_without_tracks_reports_it() -> None:
    run = track([found(0.41, None, count=2)] * 10)
    (line,) = troubles(run.report)
    assert line == (
        "plugin tracking of test: 20 detections of person began no track: their best score is 0.41, and a track begins "
        "at 0.50; set `new_score` and `high_score` to values that suit the detector"
    )


def test_label_that_begins_no_track_is_named() -> None:
    both = Detections.of(np.array([[10, 10, 60, 60], [300, 100, 340, 200]]), np.array([0.9, 0.4]), ["car", "person"])
    (line,) = troubles(track([both] * 10).report)
    assert "10 detections of person began no track" in line


def test_run_without_confirmed_tracks_reports_it() -> None:
    far = [
        Detections.of(np.array([[x, 100, x + 20, 150]]), np.array([0.9]), ["person"]) for x in (10, 300, 600, 150, 450)
    ]
    (line,) = troubles(track(far).report)
    assert "5 detections confirmed no track" in line


def test_unknown_label_of_tracking_is_named() -> None:
    lines = troubles(track([found(0.9, None)] * 5, labels=["persn"]).report)
    assert lines == [
        "plugin tracking of test: no detection has the label persn, which `labels` names; labels found: person"
    ]


def test_unknown_label_of_a_rule_is_named() -> None:
    zones = {"door": {"polygon": EVERYWHERE, "labels": ["person", "car"]}, "all": {"polygon": EVERYWHERE}}
    lines = {"gate": {"points": [[0.5, 0], [0.5, 1]], "labels": ["car"]}}
    frames = make_frames(5, info=INFO)
    past = [[make_tracks({1: (100, 100, 140, 200)})]] * 5
    run = run_plugin(Rules, frames, past=past, zones=zones, lines=lines)
    assert troubles(run.report) == [
        "plugin rules of test: no track had the label car, which zone door, line gate name; labels found: person"
    ]


def test_empty_run_names_only_labels_of_rules() -> None:
    frames = make_frames(3, info=INFO)
    assert troubles(track([Detections.empty()] * 3).report) == []
    zones = {"door": {"polygon": EVERYWHERE, "labels": ["person"]}}
    run = run_plugin(Rules, frames, past=[[Tracks.empty()]] * 3, zones=zones)
    assert troubles(run.report) == [
        "plugin rules of test: no track had the label person, which zone door names; labels found: none"
    ]
