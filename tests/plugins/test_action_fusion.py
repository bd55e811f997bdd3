"""`fusion`: scores of several classifiers made one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from streamproc import Classification
from streamproc.testing import make_frames, plugin_plan, run_chain, run_plugin
from streamproc_plugins.action import Fusion
from streamproc_plugins.action.fusing import fit_logistic, fused, matrix


def named(**scores: float) -> Classification:
    """Labels with scores, best first; class ids by the alphabet."""
    order = sorted(scores, key=lambda label: -scores[label])
    ids = [sorted(scores).index(label) for label in order]
    values = np.array([scores[label] for label in order], np.float32)
    return Classification(label=tuple(order), score=values, class_id=np.array(ids, np.int64))


TWO = np.array([[0.8, 0.2], [0.4, 0.6]])
EVEN = np.ones(2)


@pytest.mark.parametrize(
    ("method", "weights", "expected"),
    [
        ("mean", [1, 1], [0.6, 0.4]),
        ("mean", [3, 1], [0.7, 0.3]),
        ("max", [1, 1], [0.8, 0.6]),
        ("max", [0, 1], [0.4, 0.6]),
        ("vote", [1, 3], [0.25, 0.75]),
        # sqrt(.8 * .4) : sqrt(.2 * .6) = .5657 : .3464
        ("geometric", [1, 1], [0.6202, 0.3798]),
        # .8 * .4 : .2 * .6 = 8 : 3
        ("logistic", [1, 1], [8 / 11, 3 / 11]),
    ],
)
def test_two_classifiers_fuse_by_arithmetic(method: Any, weights: list[float], expected: list[float]) -> None:
    assert fused(TWO, np.array(weights, float), method) == pytest.approx(expected, abs=1e-4)


def test_a_bias_moves_the_odds_of_its_label() -> None:
    even = fused(np.full((1, 2), 0.5), np.ones(1), "logistic", np.array([np.log(3), 0]))
    assert even == pytest.approx([0.75, 0.25])


def test_labels_match_by_name_and_missing_count_zero() -> None:
    labels, ids, scores = matrix([named(run=0.7, walk=0.3), named(jump=0.9)])
    assert labels == ("jump", "run", "walk")
    assert scores.tolist() == pytest.approx(np.array([[0, 0.7, 0.3], [0.9, 0, 0]]))
    assert ids.tolist() == [0, 0, 1]


def test_learned_weights_trust_the_right_classifier() -> None:
    rng = np.random.default_rng(3)
    label = rng.integers(3, size=300)
    right = np.full((300, 3), 0.1)
    right[np.arange(300), label] = 0.8
    guess = rng.dirichlet(np.ones(3), size=300)
    scores = np.stack([guess, right], axis=1)
    weights, bias = fit_logistic(scores, label)
    assert weights[1] > 5 * weights[0]
    said = np.array([fused(one, weights, "logistic", bias).argmax() for one in scores])
    assert (said == label).all()
    mean = np.array([fused(one, EVEN, "mean").argmax() for one in scores])
    assert (said == label).mean() > (mean == label).mean()


def test_unfit_answers_are_refused_when_learning() -> None:
    with pytest.raises(ValueError, match=r"\(N, M, C\)"):
        fit_logistic(np.ones((4, 2, 3)), np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="3 classes"):
        fit_logistic(np.ones((4, 2, 3)), np.full(4, 3))


def given(name: str, answers: list[Classification | None]) -> Any:
    """A plugin of this name that gives these answers, one a frame."""
    from streamproc import Frame, FramePlugin, Output, Results

    class Says(FramePlugin[Any]):
        gives = (Classification,)

        def process(self, frame: Frame, past: Results) -> Output:
            one = answers[frame.index]
            return [] if one is None else [one]

    return plugin_plan(Says, name=name)


def combined(answers: dict[str, list[Classification | None]], count: int, **options: Any) -> list[Classification]:
    chain = [*(given(name, said) for name, said in answers.items()), plugin_plan(Fusion, **options)]
    return run_chain(chain, make_frames(count), watch=Fusion).all(Classification)


def test_two_plugins_of_a_chain_become_one_answer() -> None:
    said = combined({"a": [named(run=0.8, walk=0.2)], "b": [named(run=0.4, walk=0.6)]}, 1)
    assert [one.label for one in said] == [("run", "walk")]
    assert said[0].score.tolist() == pytest.approx([0.6, 0.4])


def test_only_the_named_plugins_count() -> None:
    answers: dict[str, Any] = {"a": [named(run=1.0)], "b": [named(walk=1.0)]}
    assert [one.label for one in combined(answers, 1, plugins=["b"])] == [("walk",)]


def test_answer_counts_for_its_time_only() -> None:
    # frames at 0, 0.1, 0.2, 0.3 s: `slow` speaks only at 0 s and counts until 0.2 s
    slow: list[Classification | None] = [named(run=1.0), None, None, None]
    fast: list[Classification | None] = [named(walk=0.5)] * 4
    said = combined({"slow": slow, "fast": fast}, 4, max_age="200ms")
    assert [one.label[0] for one in said] == ["run", "run", "run", "walk"]
    alone = combined({"slow": slow, "fast": fast}, 4)
    assert [one.label[0] for one in alone] == ["run", "walk", "walk", "walk"]


def test_it_can_wait_until_all_have_spoken() -> None:
    late: list[Classification | None] = [None, None, named(run=1.0), None]
    fast: list[Classification | None] = [named(walk=0.5)] * 4
    options: dict[str, Any] = {"max_age": "1s", "wait_for_all": True, "plugins": ["late", "fast"]}
    assert len(combined({"late": late, "fast": fast}, 4, **options)) == 2


def test_without_any_answer_it_says_nothing() -> None:
    empty = Classification(label=(), score=np.zeros(0, np.float32), class_id=np.zeros(0, np.int64))
    assert run_plugin(Fusion, make_frames(2), past=[[empty], [empty]]).results == []
