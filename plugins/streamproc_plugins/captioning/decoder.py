"""The decoder of the captioner in NumPy: an LSTM that attends to regions at each word.

Xu et al., Show, Attend and Tell, ICML 2015 (soft attention): the weights of the regions come from a softmax over
`tanh(V Wv + h Wh) wa`, the context is the sum of the regions times their weights, and the LSTM gets the last word and
the context. It is small, so it needs no runtime: the same code runs in training's check, in the plugin, and anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc import ModelError
from streamproc_plugins.captioning.beam import Search, Sentence, beam_search
from streamproc_plugins.captioning.vocabulary import END, PAD, START, UNKNOWN

F32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weights:
    """All float32. D features of a region, A of attention, E of a word, H of the state, V words."""

    embedding: F32
    """(V, E)"""
    regions_kernel: F32
    """(D, A)"""
    regions_bias: F32
    state_kernel: F32
    """(H, A)"""
    weigh_kernel: F32
    """(A, 1)"""
    start_h_kernel: F32
    """(D, H), from the mean of the regions"""
    start_h_bias: F32
    start_c_kernel: F32
    start_c_bias: F32
    lstm_kernel: F32
    """(E + D, 4 H): input, forget, cell, output"""
    lstm_recurrent: F32
    """(H, 4 H)"""
    lstm_bias: F32
    words_kernel: F32
    """(H + D, V)"""
    words_bias: F32

    @classmethod
    def of(cls, arrays: Mapping[str, Any], words: int) -> Weights:
        """The weights from named arrays; `ModelError` where one is missing or doesn't fit the others."""
        names = [item.name for item in fields(cls)]
        if missing := [name for name in names if name not in arrays]:
            raise ModelError(f"the decoder lacks {', '.join(missing)}; it has {', '.join(arrays) or 'nothing'}")
        made = cls(**{name: np.asarray(arrays[name], np.float32) for name in names})
        made.check(words)
        return made

    def check(self, words: int) -> None:
        """Refuse shapes that don't go together; `ModelError` names the first."""
        v, e = self.embedding.shape
        d, a = self.regions_kernel.shape
        h = self.state_kernel.shape[0]
        wanted = {
            "embedding": (words, e), "regions_bias": (a,), "state_kernel": (h, a), "weigh_kernel": (a, 1),
            "start_h_kernel": (d, h), "start_h_bias": (h,), "start_c_kernel": (d, h), "start_c_bias": (h,),
            "lstm_kernel": (e + d, 4 * h), "lstm_recurrent": (h, 4 * h), "lstm_bias": (4 * h,),
            "words_kernel": (h + d, v), "words_bias": (v,),
        }  # fmt: skip
        for name, shape in wanted.items():
            found = getattr(self, name)
            if found.shape != shape:
                raise ModelError(f"the decoder's {name} has the shape {found.shape}, expected {shape}")
            if not np.isfinite(found).all():
                raise ModelError(f"the decoder's {name} holds values that are not finite; train it again")

    @property
    def depth(self) -> int:
        """D, features of a region."""
        return int(self.regions_kernel.shape[0])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GeneratedCaption:
    """A sentence as word numbers, and where the decoder looked for each word."""

    words: tuple[int, ...]
    probability: float
    """geometric mean of the words' probabilities, 0..1"""
    attention: F32
    """float32 (words, R), each row sums to 1"""


def caption(weights: Weights, regions: F32, width: int = 3, longest: int = 20) -> GeneratedCaption:
    """The likeliest sentence about these regions, float32 (R, D). Raises `ModelError` where they aren't finite."""
    if not np.isfinite(regions).all():
        raise ModelError("the encoder answered numbers that are not finite; its weights or its input are wrong")
    looks: list[F32] = []
    projected = regions @ weights.regions_kernel + weights.regions_bias

    def step(last: NDArray[np.int64], states: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        hidden, memory = states
        attention = attend(weights, projected, hidden)
        looks.append(attention)
        logits, hidden, memory = advance(weights, regions, attention, last, (hidden, memory))
        return log_softmax(logits), (hidden, memory)

    never = (PAD, START, UNKNOWN)
    search = Search(start=START, end=END, width=width, longest=longest, never=never)
    best = beam_search(step, start_states(weights, regions), search)[0]
    return GeneratedCaption(
        words=best.words, probability=_mean_probability(best), attention=_looks(best, looks, len(regions))
    )


def start_states(weights: Weights, regions: F32) -> tuple[F32, F32]:
    """State and memory (1, H) before the first word."""
    mean = regions.mean(axis=0, keepdims=True)
    hidden = np.tanh(mean @ weights.start_h_kernel + weights.start_h_bias)
    memory = np.tanh(mean @ weights.start_c_kernel + weights.start_c_bias)
    return hidden, memory


def attend(weights: Weights, projected: F32, hidden: F32) -> F32:
    """Weights of the regions (B, R) for each of B states (B, H); projected: (R, A)."""
    energy = np.tanh(projected[None] + (hidden @ weights.state_kernel)[:, None]) @ weights.weigh_kernel
    return np.asarray(np.exp(log_softmax(energy[..., 0])), np.float32)


def advance(
    weights: Weights, regions: F32, attention: F32, last: NDArray[np.int64], states: tuple[F32, F32]
) -> tuple[F32, F32, F32]:
    """Logits (B, V) of the next word, state and memory (B, H) after it."""
    hidden, memory = states
    context = attention @ regions
    inputs = np.concatenate([weights.embedding[last], context], axis=1)
    gates = inputs @ weights.lstm_kernel + hidden @ weights.lstm_recurrent + weights.lstm_bias
    gate_in, forget, cell, out = np.split(gates, 4, axis=1)
    memory = sigmoid(forget) * memory + sigmoid(gate_in) * np.tanh(cell)
    hidden = sigmoid(out) * np.tanh(memory)
    logits = np.concatenate([hidden, context], axis=1) @ weights.words_kernel + weights.words_bias
    return logits, hidden, memory


def sigmoid(x: F32) -> F32:
    """1 / (1 + exp(-x)) without overflow."""
    return np.asarray(0.5 * (np.tanh(0.5 * x) + 1), np.float32)


def log_softmax(x: NDArray[Any]) -> NDArray[Any]:
    """Along the last axis, of the dtype of the input."""
    shifted = x - x.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _mean_probability(sentence: Sentence) -> float:
    return float(np.exp(sentence.log_probability / (len(sentence.words) + 1)))


def _looks(sentence: Sentence, looks: list[F32], regions: int) -> F32:
    rows = [looks[position][row] for position, row in enumerate(sentence.rows)]
    return np.asarray(rows, np.float32).reshape(-1, regions)


__all__ = ["GeneratedCaption", "Weights", "advance", "attend", "caption", "log_softmax", "sigmoid", "start_states"]
