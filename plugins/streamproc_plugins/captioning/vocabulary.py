"""Words and their numbers, for the encoder-decoder."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PAD, START, END, UNKNOWN = 0, 1, 2, 3
_SPECIAL = ("<pad>", "<start>", "<end>", "<unknown>")
_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")


def words_of(sentence: str) -> list[str]:
    """Lower-case words without punctuation.

    >>> words_of("A man (in red) doesn't fall.")
    ['a', 'man', 'in', 'red', "doesn't", 'fall']
    """
    return _WORD.findall(sentence.lower())


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Words by number; the first four are padding, start, end and unknown."""

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.words[: len(_SPECIAL)] != _SPECIAL or len(set(self.words)) != len(self.words):
            raise ValueError(
                f"a vocabulary begins with {', '.join(_SPECIAL)} and has each word once, got {self.words[:6]}..."
            )

    def __len__(self) -> int:
        return len(self.words)

    @classmethod
    def of(cls, sentences: Iterable[str], least: int = 1) -> Vocabulary:
        """The words that occur at least so often, most frequent first, equals by the alphabet."""
        counts = Counter(word for sentence in sentences for word in words_of(sentence))
        words = sorted((word for word, n in counts.items() if n >= least), key=lambda word: (-counts[word], word))
        return cls((*_SPECIAL, *words))

    def encode(self, sentences: Sequence[str], length: int) -> NDArray[np.int64]:
        """int64 (N, length): start, words, end, then padding; longer sentences are shortened before the end mark."""
        numbers = {word: number for number, word in enumerate(self.words)}
        rows = np.full((len(sentences), length), PAD, np.int64)
        for row, sentence in zip(rows, sentences, strict=True):
            coded = [numbers.get(word, UNKNOWN) for word in words_of(sentence)][: length - 2]
            row[: len(coded) + 2] = [START, *coded, END]
        return rows

    def decode(self, numbers: Iterable[int]) -> str:
        """The words up to the end mark; special ones are left out."""
        said = []
        for number in numbers:
            if number == END:
                break
            if number > UNKNOWN:
                said.append(self.words[number])
        return " ".join(said)


__all__ = ["END", "PAD", "START", "UNKNOWN", "Vocabulary", "words_of"]
