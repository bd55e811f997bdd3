"""Captions against reference sentences: BLEU and CIDEr-D.

BLEU: Papineni et al., ACL 2002, over the whole corpus, with the nearest reference's length. CIDEr-D: Vedantam et al.,
CVPR 2015, as COCO's server reports it under the name CIDEr: n-grams to 4, document frequencies from the references,
clipped counts, a Gaussian penalty for the length (sigma 6), times 10. Words are those of COCO's tokeniser; there is no
stemming.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamproc.evaluation.penn import tokens
from streamproc.evaluation.tables import figures, form_of, read_json, to_json

ORDER = 4
"""longest n-gram"""
SIGMA = 6.0

Grams = Counter[tuple[str, ...]]

_TINY, _SMALL = 1e-15, 1e-9
"""what pycocoevalcap adds to counts, so that a missing n-gram leaves a little of the product"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionReport:
    """Means over the corpus."""

    bleu: tuple[float, ...]
    """BLEU-1 to BLEU-4, 0..1"""
    cider: float
    """CIDEr-D, 0..10"""
    captions: int
    uncaptioned: int = 0
    """pictures with references but no caption, which aren't scored"""

    def table(self) -> str:
        """One line a figure."""
        return figures(self._figures())

    def to_json(self) -> str:
        """One object."""
        return to_json(self._figures())

    def _figures(self) -> dict[str, float | int]:
        bleu = {f"BLEU-{n}": value for n, value in enumerate(self.bleu, start=1)}
        counts = {"captions": self.captions} | ({"without a caption": self.uncaptioned} if self.uncaptioned else {})
        return {**bleu, "CIDEr": self.cider, **counts}


def words(sentence: str) -> list[str]:
    """Lower-case words as COCO's tokeniser splits them; clitics stand alone ("man's" is two words)."""
    return tokens(sentence)


def evaluate(
    references: Mapping[Any, Sequence[str]], found: Mapping[Any, str], *, subset: bool = False
) -> CaptionReport:
    """Score one caption for each picture against its references.

    subset: leave out pictures that have references but no caption, instead of refusing them.

    Raises `ValueError` where a caption has no reference, a picture no caption, or there is no caption at all.
    """
    if not found:
        raise ValueError("there are no captions, so there is nothing to score")
    if strange := [key for key in found if not references.get(key)]:
        raise ValueError(f"the picture {strange[0]!r} has a caption but no reference; do the files belong together?")
    missing = [key for key in references if key not in found]
    if missing and not subset:
        raise ValueError(
            f"{len(missing)} of {len(references)} pictures with references have no caption, such as {missing[0]!r}; "
            "add their captions, or score only the pictures that have one (--subset)"
        )
    said = {key: words(text) for key, text in found.items()}
    known = {key: [words(text) for text in references[key]] for key in found}
    pairs = [(said[key], known[key]) for key in found]
    return CaptionReport(bleu=bleu(pairs), cider=cider(pairs), captions=len(pairs), uncaptioned=len(missing))


def read_references(path: Path) -> dict[Any, list[str]]:
    """Sentences by picture from COCO's caption JSON: `{"annotations": [{"image_id", "caption"}, ...]}`.

    Raises `ValueError` for a file of another form.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
        raise ValueError(f"{path} has no list `annotations`, expected COCO's caption JSON")
    found: dict[Any, list[str]] = {}
    for key, text in _rows(path, content["annotations"]):
        found.setdefault(key, []).append(text)
    return found


def read_found(path: Path) -> dict[Any, str]:
    """One sentence by picture from a list of `{"image_id", "caption"}`, as COCO's results are."""
    content = read_json(path)
    if not isinstance(content, list):
        raise ValueError(f"{path} holds {form_of(content)}, expected a list of image_id and caption")
    found: dict[Any, str] = {}
    for key, text in _rows(path, content):
        if key in found:
            raise ValueError(f"{path} has several captions for the picture {key!r}, expected one; leave one of them")
        found[key] = text
    return found


def _rows(path: Path, items: Sequence[Any]) -> Iterator[tuple[Any, str]]:
    for number, item in enumerate(items):
        if not isinstance(item, dict) or not isinstance(item.get("caption"), str) or "image_id" not in item:
            raise ValueError(f"{path}: item {number} has no image_id or no caption")
        if not isinstance(item["image_id"], str | int | float):
            raise ValueError(
                f"{path}: item {number} has the image_id {item['image_id']!r}, expected a number or a text"
            )
        yield item["image_id"], item["caption"]


def bleu(pairs: Sequence[tuple[Sequence[str], Sequence[Sequence[str]]]]) -> tuple[float, ...]:
    """BLEU-1 to BLEU-4 of a corpus of (caption, references) in words."""
    right, asked = [0] * ORDER, [0] * ORDER
    length = wanted = 0
    for caption, references in pairs:
        length += len(caption)
        wanted += min((len(r) for r in references), key=lambda n: (abs(n - len(caption)), n))
        for n in range(1, ORDER + 1):
            grams = ngrams(caption, n)
            most: Grams = Counter()
            for reference in references:
                most |= ngrams(reference, n)
            right[n - 1] += (grams & most).total()
            asked[n - 1] += grams.total()
    ratio = (length + _TINY) / (wanted + _SMALL)
    brevity = 1.0 if ratio >= 1 else math.exp(1 - 1 / ratio) if length else 0.0
    scores, product = [], 1.0
    for n, (good, of) in enumerate(zip(right, asked, strict=True), start=1):
        product *= (good + _TINY) / (of + _SMALL)
        scores.append(brevity * product ** (1 / n))
    return tuple(scores)


def cider(pairs: Sequence[tuple[Sequence[str], Sequence[Sequence[str]]]]) -> float:
    """CIDEr-D of a corpus of (caption, references) in words; 0 for a corpus of one, where no word is rare."""
    known: list[Grams] = [Counter() for _ in range(ORDER)]
    for _, references in pairs:
        for n in range(1, ORDER + 1):
            known[n - 1].update({gram for reference in references for gram in ngrams(reference, n)})
    size = math.log(len(pairs))
    scores = []
    for caption, references in pairs:
        close = [
            sum(
                _similar(ngrams(caption, n), ngrams(reference, n), known[n - 1], size)
                * math.exp(-((len(caption) - len(reference)) ** 2) / (2 * SIGMA**2))
                for reference in references
            )
            for n in range(1, ORDER + 1)
        ]
        scores.append(10 * sum(close) / ORDER / len(references))
    return sum(scores) / len(scores)


def _similar(caption: Grams, reference: Grams, known: Grams, size: float) -> float:
    """Cosine of the two tf-idf vectors, the caption's clipped to the reference's."""

    def weigh(grams: Grams) -> dict[tuple[str, ...], float]:
        return {gram: count * (size - math.log(max(1, known[gram]))) for gram, count in grams.items()}

    ours, theirs = weigh(caption), weigh(reference)
    norm = math.hypot(*ours.values()) * math.hypot(*theirs.values())
    inner = sum(min(value, theirs[gram]) * theirs[gram] for gram, value in ours.items() if gram in theirs)
    return inner / norm if norm else 0.0


def ngrams(sentence: Sequence[str], n: int) -> Grams:
    """Count each run of `n` words."""
    return Counter(tuple(sentence[i : i + n]) for i in range(len(sentence) - n + 1))


__all__ = ["CaptionReport", "bleu", "cider", "evaluate", "ngrams", "read_found", "read_references", "words"]
