"""The captioner's words, beam search and decoder, by arithmetic and against exhaustive search."""

from __future__ import annotations

import itertools
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from streamproc import ModelError
from streamproc_plugins.captioning.beam import Search, beam_search
from streamproc_plugins.captioning.decoder import Weights, attend, caption, start_states
from streamproc_plugins.captioning.vocabulary import END, PAD, START, UNKNOWN, Vocabulary, words_of

# --- words ---


def test_words_are_ordered_by_frequency_then_alphabet() -> None:
    vocabulary = Vocabulary.of(["a red ball", "A blue ball.", "a dog"])
    assert vocabulary.words == ("<pad>", "<start>", "<end>", "<unknown>", "a", "ball", "blue", "dog", "red")
    assert Vocabulary.of(["a a b"], least=2).words[4:] == ("a",)


def test_a_sentence_comes_back_from_its_numbers() -> None:
    vocabulary = Vocabulary.of(["a man (in red) walks"])
    (row,) = vocabulary.encode(["A man in red walks!"], 10)
    assert row.tolist()[0] == START
    assert row.tolist()[6:] == [END, PAD, PAD, PAD]
    assert vocabulary.decode(row.tolist()) == "a man in red walks"


def test_unknown_words_are_marked_long_sentences_shortened() -> None:
    vocabulary = Vocabulary.of(["a b c d"])
    (row,) = vocabulary.encode(["a zebra b c d"], 5)
    assert row.tolist() == [START, 4, UNKNOWN, 5, END]
    assert words_of("It's a semi-trailer, isn't it?") == ["it's", "a", "semi-trailer", "isn't", "it"]


def test_a_list_that_is_no_vocabulary_is_refused() -> None:
    with pytest.raises(ValueError, match="begins with <pad>, <start>, <end>, <unknown>"):
        Vocabulary(("a", "b"))


# --- beam search ---


def markov(table: np.ndarray[Any, Any]) -> Any:
    """A decoder whose next word depends on the last one only."""

    def step(last: Any, states: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        return np.log(table[last]), states

    return step


def search(**settings: Any) -> Search:
    return Search(start=0, end=1, **{"longest": 6, "length_power": 0.0, **settings})


def test_wider_beam_finds_what_greedy_misses() -> None:
    # word 2 looks better first (0.6), but only word 3 goes on to a sure end
    table = np.full((4, 4), 1e-9)
    table[0, 2], table[0, 3] = 0.6, 0.4
    table[2, 1], table[2, 2], table[2, 3] = 0.4, 0.3, 0.3
    table[3, 1] = 1.0
    greedy = beam_search(markov(table), (np.zeros((1, 1)),), search(width=1))[0]
    wide = beam_search(markov(table), (np.zeros((1, 1)),), search(width=2))[0]
    assert greedy.words == (2,)
    assert wide.words == (3,)
    assert np.exp(wide.log_probability) == pytest.approx(0.4)


@pytest.mark.parametrize("seed", range(5))
def test_wide_beam_finds_the_likeliest_sentence(seed: int) -> None:
    words, longest = 5, 4
    table = np.random.default_rng(seed).dirichlet(np.full(words, 0.5), size=words)
    table[:, 0] = 1e-12  # the start mark isn't said again
    found = beam_search(markov(table), (np.zeros((1, 1)),), search(width=words**longest, longest=longest))[0]
    every = [s for n in range(longest) for s in itertools.product(range(2, words), repeat=n)]

    def chance(sentence: tuple[int, ...]) -> float:
        path = (0, *sentence, 1)
        return float(np.prod([table[a, b] for a, b in itertools.pairwise(path)]))

    assert found.words == max(every, key=chance)
    assert np.exp(found.log_probability) == pytest.approx(chance(found.words))


def test_states_follow_their_hypotheses() -> None:
    def step(last: Any, states: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        (said,) = states
        said = said * 10 + last[:, None]
        log_p = np.full((len(last), 5), -50.0)
        for row, code in enumerate(said[:, 0].tolist()):
            # after 3 comes 4, after 4 the end; 2 leads nowhere
            log_p[row, {0: 3, 3: 4, 34: 1}.get(code, 2)] = 0.0
            log_p[row, 2] = max(log_p[row, 2], -1.0)
        return log_p, (said,)

    best = beam_search(step, (np.zeros((1, 1), np.int64),), search(width=3))[0]
    assert best.words == (3, 4)


def test_forbidden_words_never_occur_and_sentences_end() -> None:
    table = np.array([[0, 0, 0.9, 0.1], [0, 0, 0, 0], [0, 0, 0.9, 0.1], [0, 0, 0.5, 0.5]]) + 1e-12
    found = beam_search(markov(table), (np.zeros((1, 1)),), search(width=1, never=(2,), longest=3))
    assert found[0].words == (3, 3, 3)


# --- the decoder ---


def zeros(words: int = 8, depth: int = 2) -> dict[str, np.ndarray[Any, Any]]:
    """A decoder that says nothing yet: D 2, A 1, E 2, H 3."""
    a, e, h = 1, 2, 3
    shapes = {
        "embedding": (words, e), "regions_kernel": (depth, a), "regions_bias": (a,), "state_kernel": (h, a),
        "weigh_kernel": (a, 1), "start_h_kernel": (depth, h), "start_h_bias": (h,), "start_c_kernel": (depth, h),
        "start_c_bias": (h,), "lstm_kernel": (e + depth, 4 * h), "lstm_recurrent": (h, 4 * h), "lstm_bias": (4 * h,),
        "words_kernel": (h + depth, words), "words_bias": (words,),
    }  # fmt: skip
    assert set(shapes) == {item.name for item in fields(Weights)}
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}


def test_attention_is_a_softmax_over_regions() -> None:
    arrays = zeros()
    arrays["regions_kernel"][0, 0] = 10.0
    arrays["weigh_kernel"][0, 0] = 2.0
    weights = Weights.of(arrays, 8)
    regions = np.array([[1, 5], [-1, 7]], np.float32)
    look = attend(weights, regions @ weights.regions_kernel, np.zeros((1, 3), np.float32))
    # energies tanh(10) * 2 and tanh(-10) * 2
    assert look[0] == pytest.approx([1 / (1 + np.exp(-4)), 1 / (1 + np.exp(4))], rel=1e-4)


def test_regions_decide_the_words_and_the_map() -> None:
    arrays = zeros()
    arrays["words_kernel"][3, 4] = 20.0  # the first feature of the context says word 4
    arrays["words_bias"][END] = 5.0
    weights = Weights.of(arrays, 8)
    there = caption(weights, np.array([[1, 0], [1, 0]], np.float32), longest=2)
    absent = caption(weights, np.array([[0, 1], [0, 1]], np.float32), longest=2)
    assert there.words == (4,)  # a finished sentence goes before one that had to be cut
    assert absent.words == ()
    assert there.attention.shape == (1, 2)
    assert there.attention.sum(axis=1) == pytest.approx([1])
    assert 0 < absent.probability <= 1


def test_first_state_is_the_mean_of_regions() -> None:
    arrays = zeros()
    arrays["start_h_kernel"][0] = [1, 2, 3]
    weights = Weights.of(arrays, 8)
    hidden, memory = start_states(weights, np.array([[0.2, 0], [0.4, 0]], np.float32))
    assert hidden[0] == pytest.approx(np.tanh([0.3, 0.6, 0.9]), rel=1e-5)
    assert memory[0] == pytest.approx([0, 0, 0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("lstm_bias"), "lacks lstm_bias"),
        (lambda a: a.update(lstm_bias=np.zeros(7)), r"lstm_bias has the shape \(7,\), expected \(12,\)"),
        (lambda a: a.update(words_bias=np.full(8, np.nan)), "words_bias holds values that are not finite"),
    ],
)
def test_unfit_weights_are_refused_with_both_shapes(change: Any, message: str) -> None:
    arrays = zeros()
    change(arrays)
    with pytest.raises(ModelError, match=message):
        Weights.of(arrays, 8)


def test_regions_that_are_not_finite_are_refused() -> None:
    shapes = {
        "embedding": (6, 2), "regions_kernel": (3, 2), "regions_bias": (2,), "state_kernel": (4, 2),
        "weigh_kernel": (2, 1), "start_h_kernel": (3, 4), "start_h_bias": (4,), "start_c_kernel": (3, 4),
        "start_c_bias": (4,), "lstm_kernel": (5, 16), "lstm_recurrent": (4, 16), "lstm_bias": (16,),
        "words_kernel": (7, 6), "words_bias": (6,),
    }  # fmt: skip
    weights = Weights.of({name: np.zeros(shape, np.float32) for name, shape in shapes.items()}, 6)
    with pytest.raises(ModelError, match="the encoder answered numbers that are not finite"):
        caption(weights, np.full((2, 3), np.nan, np.float32))
