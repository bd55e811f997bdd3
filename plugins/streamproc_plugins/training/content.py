"""Samples of equal content: copies of a file, and pictures that differ only in encoding or size.

A copy on the other side of a split makes the scores too good, so like samples become one group; and one
picture under two labels can't be learned.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamproc.errors import counted
from streamproc.media.stills import PICTURE_SUFFIXES, read_picture
from streamproc_plugins.training.data import Dataset, TrainingError, TrainingSample

U8 = NDArray[np.uint8]

_CELLS = 16
"""a picture is compared by the mean colours of so many cells each way"""
_MOST_MEAN = 2.5
"""grey levels by which cells of nearly the same picture differ on average: another encoding or size"""
_MOST_CELL = 12
"""and at most: a small object that appeared or left changes a cell by more"""

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """Pairs of indices of samples."""

    copies: tuple[Pair, ...]
    """the same pixels, or the same part of the same file"""
    near: tuple[Pair, ...]
    """pictures that are the same but for encoding or size; parts of one recording that overlap"""


def grouped_by_content(data: Dataset) -> tuple[Dataset, tuple[str, ...]]:
    """The same samples, those of equal content in one group; and remarks on them, a sentence each.

    Raises `TrainingError` where one picture (or part of a recording) stands under two labels, or on both sides of a
    split that the data give.
    """
    found = find_alike(data.samples)
    _refuse_labels(data.samples, found.copies)
    samples, notes = regrouped(data.samples, found)
    if torn := [(a, b) for a, b in found.near if data.samples[a].label != data.samples[b].label]:
        one, other = (data.samples[index] for index in torn[0])
        notes = (
            *notes,
            f"{counted(len(torn), 'pair')} of nearly the same picture have two labels, such as {one.path} "
            f"({one.label}) and {other.path} ({other.label}); look at them",
        )
    return replace(data, samples=samples), notes


def regrouped(samples: Sequence[TrainingSample], found: Likeness) -> tuple[tuple[TrainingSample, ...], tuple[str, ...]]:
    """The same samples, those that are alike in one group, and notes on it.

    Raises `TrainingError` for copies on both sides of a split that the samples give; near copies there are
    only remarked.
    """
    apart = [(a, b) for a, b in found.near if _sides(samples, (a, b))]
    if both := [pair for pair in found.copies if _sides(samples, pair)]:
        one, other = (samples[index] for index in both[0])
        raise TrainingError(
            f"{one.path} and {other.path} are the same, but on two sides of the split{_and_others(both)}; the scores "
            "would be too good, so delete one of each"
        )
    pairs = [*found.copies, *(pair for pair in found.near if not _sides(samples, pair))]
    groups = _joined(samples, pairs)
    notes = []
    if count := len({index for pair in pairs for index in pair}):
        notes.append(f"{counted(count, 'sample')} show the same as others, or nearly; they stay on one side")
    if apart:
        one, other = (samples[index] for index in apart[0])
        notes.append(
            f"{counted(len(apart), 'pair')} of nearly the same are on two sides of the split that the data give, such "
            f"as {one.path} and {other.path}; the scores will be too good"
        )
    return tuple(replace(sample, group=group) for sample, group in zip(samples, groups, strict=True)), tuple(notes)


def _sides(samples: Sequence[TrainingSample], pair: Pair) -> bool:
    """Whether the samples themselves stand on two sides."""
    one, other = (samples[index].side or "training" for index in pair)
    return one != other


def _refuse_labels(samples: Sequence[TrainingSample], copies: Sequence[Pair]) -> None:
    pairs = [(samples[a], samples[b]) for a, b in copies]
    if torn := [(a, b) for a, b in pairs if a.label != b.label]:
        one, other = torn[0]
        raise TrainingError(
            f"{one.path} ({one.label}) and {other.path} ({other.label}) are the same under two "
            f"labels{_and_others(torn)}; leave each under one label"
        )


def _and_others(pairs: Sequence[object]) -> str:
    more = len(pairs) - 1
    return f", as {'is' if more == 1 else 'are'} {counted(more, 'more pair')}" if more else ""


def find_alike(samples: Sequence[TrainingSample]) -> Likeness:
    """Groups of samples of equal content. Unreadable files are left out; training reports them later."""
    pictures = [i for i, sample in enumerate(samples) if sample.path.suffix.lower() in PICTURE_SUFFIXES]
    known = set(pictures)
    copies, near = _alike_parts(samples, [i for i in range(len(samples)) if i not in known])
    rows, looks, pixels = [], [], defaultdict(list)
    for index in pictures:
        rgb = read_picture(samples[index].path)
        if rgb is None:
            continue
        pixels[(rgb.shape, hashlib.blake2b(rgb.tobytes(), digest_size=16).digest())].append(index)
        rows.append(index)
        looks.append(_look(rgb))
    copies += [(one[0], other) for one in pixels.values() for other in one[1:]]
    same = {index: one[0] for one in pixels.values() for index in one}
    found = [(rows[a], rows[b]) for a, b in _near(np.array(looks, np.float32))] if looks else []
    near += [(a, b) for a, b in found if same[a] != same[b]]
    return Likeness(copies=tuple(copies), near=tuple(near))


def _alike_parts(samples: Sequence[TrainingSample], indices: Sequence[int]) -> tuple[list[Pair], list[Pair]]:
    """Clips of files with the same content: the same part, and parts that overlap."""
    by_file = defaultdict(list)
    for index, key in zip(indices, _file_keys([samples[index].path for index in indices]), strict=True):
        by_file[key].append(index)
    copies: list[Pair] = []
    near: list[Pair] = []
    for own in by_file.values():
        own.sort(key=lambda index: (samples[index].start_s, samples[index].end_s or np.inf))
        for place, one in enumerate(own):
            for other in own[place + 1 :]:
                a, b = samples[one], samples[other]
                if b.start_s >= (a.end_s or np.inf):
                    break
                (copies if (a.start_s, a.end_s) == (b.start_s, b.end_s) else near).append((one, other))
    return copies, near


def _file_keys(paths: Sequence[Path]) -> list[object]:
    """A digest of each file's content, equal for equal files; only files of one size are read."""
    real = [path.resolve() for path in paths]
    by_size = defaultdict(set)
    for path in real:
        if path.is_file():
            by_size[path.stat().st_size].add(path)
    keys: dict[Path, object] = {}
    for size, own in by_size.items():
        for path in own:
            keys[path] = path if len(own) == 1 or not size else _digest(path)
    return [keys.get(path, path) for path in real]


def _digest(path: Path) -> bytes:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").digest()


def _look(rgb: U8) -> NDArray[np.float32]:
    """Mean colours of 16x16 cells, float32 (768,), 0..255."""
    import cv2

    return np.asarray(cv2.resize(rgb, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA), np.float32).reshape(-1)


def _near(looks: NDArray[np.float32]) -> list[Pair]:
    """Pairs of rows (N, D) that hardly differ: rows are compared only where their means are close enough for it."""
    means = looks.mean(axis=1)
    order = np.argsort(means, kind="stable")
    ordered, levels = looks[order], means[order]
    ends = np.searchsorted(levels, levels + _MOST_MEAN, side="right")
    found = []
    for place, end in enumerate(ends.tolist()):
        away = np.abs(ordered[place + 1 : end] - ordered[place])
        if len(away):
            alike = (away.max(axis=1) <= _MOST_CELL) & (away.mean(axis=1) <= _MOST_MEAN)
            found += [(int(order[place]), int(order[place + 1 + other])) for other in np.flatnonzero(alike)]
    return found


def _joined(samples: Sequence[TrainingSample], pairs: Iterable[Pair]) -> list[str]:
    """The group of each sample, groups that a pair connects being one, called by the first of their names."""
    parent = {sample.group: sample.group for sample in samples}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = name = parent[parent[name]]
        return name

    for a, b in pairs:
        one, other = sorted((root(samples[a].group), root(samples[b].group)))
        parent[other] = one
    return [root(sample.group) for sample in samples]


__all__ = ["Likeness", "find_alike", "grouped_by_content", "regrouped"]
