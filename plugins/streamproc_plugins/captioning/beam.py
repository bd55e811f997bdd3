"""Beam search: the likeliest sentence that a step-by-step decoder can say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Step = Callable[[NDArray[np.int64], tuple[Array, ...]], tuple[Array, tuple[Array, ...]]]
"""last words (B,) and states, arrays with B rows -> log probabilities (B, V) and the states after"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sentence:
    """One finished hypothesis."""

    words: tuple[int, ...]
    """without start and end mark"""
    log_probability: float
    rows: tuple[int, ...] = ()
    """row of the beam of each word, to find the steps' other outputs for it"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Width and depth of the search."""

    start: int
    end: int
    width: int = 3
    """hypotheses followed at each step; 1 is greedy"""
    longest: int = 20
    """words, the end mark counted"""
    length_power: float = 0.7
    """scores are divided by length ** this (Wu et al., 2016), so that short sentences aren't preferred"""
    never: tuple[int, ...] = ()
    """words that are not said, such as the mark for unknown ones"""


def beam_search(step: Step, states: tuple[Array, ...], search: Search) -> list[Sentence]:
    """The best sentences first, at most `width`.

    states: arrays of one row, those before the first word. Equal scores are decided by beam row and word number, so
    that a search can be repeated. A hypothesis that isn't finished after `longest` steps is taken as it is.
    """
    words: list[tuple[int, ...]] = [()]
    rows: list[tuple[int, ...]] = [()]
    scores = np.zeros(1)
    last = np.full(1, search.start, np.int64)
    done: list[Sentence] = []
    for position in range(search.longest):
        log_p, states = step(last, states)
        log_p = np.array(log_p, np.float64)
        log_p[:, list(search.never)] = -np.inf
        total = scores[:, None] + log_p
        order = np.argsort(-total, axis=None, kind="stable")[: 2 * search.width]
        parents, chosen = np.unravel_index(order, total.shape)
        alive: list[int] = []
        for place, (parent, word) in enumerate(zip(parents.tolist(), chosen.tolist(), strict=True)):
            score = float(total[parent, word])
            if not np.isfinite(score):
                continue
            if word == search.end:
                done.append(Sentence(words=words[parent], log_probability=score, rows=rows[parent]))
            elif len(alive) < search.width:
                alive.append(place)
        retained = [(int(parents[place]), int(chosen[place])) for place in alive]
        if not retained or _settled(done, float(total[retained[0]]), position + 1, search):
            return _best(done, search)
        words = [(*words[parent], word) for parent, word in retained]
        rows = [(*rows[parent], parent) for parent, _ in retained]
        scores = np.array([total[pair] for pair in retained])
        picked = [parent for parent, _ in retained]
        states = tuple(state[picked] for state in states)
        last = np.array([word for _, word in retained], np.int64)
    unfinished = [
        Sentence(words=w, log_probability=float(s), rows=r) for w, s, r in zip(words, scores, rows, strict=True)
    ]
    return _best(done or unfinished, search)


def _score(sentence: Sentence, search: Search) -> float:
    return float(sentence.log_probability / (len(sentence.words) + 1) ** search.length_power)


def _settled(done: list[Sentence], best_open: float, length: int, search: Search) -> bool:
    """Whether enough is finished and no open hypothesis can still come before the last of it."""
    if len(done) < search.width:
        return False
    reach = best_open / max(search.longest, length) ** search.length_power
    return bool(sorted((_score(s, search) for s in done), reverse=True)[search.width - 1] >= reach)


def _best(done: list[Sentence], search: Search) -> list[Sentence]:
    return sorted(done, key=lambda sentence: -_score(sentence, search))[: search.width]


__all__ = ["Search", "Sentence", "Step", "beam_search"]
