"""Clips and pictures with sentences, from CSV files and COCO's captions, as samples for the training loop."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from streamproc.errors import counted
from streamproc.media.stills import PICTURE_SUFFIXES
from streamproc_plugins.training.content import find_alike, regrouped
from streamproc_plugins.training.data import TrainingError, TrainingSample, read_rows
from streamproc_plugins.training.lists import read_captions


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionedClip:
    """A clip or picture, and people's sentences about it."""

    sample: TrainingSample
    """its label is its place, `path@start`"""
    sentences: tuple[str, ...]


def read_captioned(path: Path, pictures: Path | None = None) -> tuple[CaptionedClip, ...]:
    """A CSV with `path,caption[,start_s,end_s,group,side]`, a row a sentence; or COCO's caption JSON.

    pictures: the folder of COCO's pictures. Rows of the same file and time belong together. Raises `TrainingError`
    with the reason.
    """
    if not path.is_file():
        raise TrainingError(
            f"{path} {'is a folder' if path.is_dir() else 'does not exist'}; give a CSV with path,caption in each row, "
            "or COCO's caption JSON"
        )
    if path.suffix.lower() == ".json":
        rows = read_captions(path, pictures or path.parent)
        return tuple(
            CaptionedClip(
                sample=TrainingSample(path=row.path, label=str(row.path), group=str(row.path)), sentences=row.captions
            )
            for row in rows
        )
    found: dict[str, list[TrainingSample]] = {}
    for row in read_rows(path, "caption"):
        found.setdefault(f"{row.path}@{row.start_s}", []).append(row)
    return tuple(
        CaptionedClip(sample=replace(rows[0], label=place), sentences=tuple(row.label for row in rows))
        for place, rows in found.items()
    )


def grouped_captioned(captioned: Sequence[CaptionedClip]) -> tuple[tuple[CaptionedClip, ...], tuple[str, ...]]:
    """The same, with clips and pictures of equal content in one group; and remarks about them.

    Raises `TrainingError` for copies on both sides of a split that the data give.
    """
    samples = [item.sample for item in captioned]
    grouped, notes = regrouped(samples, find_alike(samples))
    return tuple(replace(item, sample=sample) for item, sample in zip(captioned, grouped, strict=True)), notes


def are_pictures(captioned: Sequence[CaptionedClip]) -> bool:
    """Whether all are pictures; `TrainingError` where only some are."""
    stills = [item.sample.path.suffix.lower() in PICTURE_SUFFIXES for item in captioned]
    if any(stills) and not all(stills):
        raise TrainingError("pictures and clips are mixed; train on the one or the other")
    return all(stills)


def split_captioned(
    captioned: Sequence[CaptionedClip], share: float, seed: int = 0
) -> tuple[tuple[CaptionedClip, ...], tuple[CaptionedClip, ...]]:
    """Training samples, and about `share` of them held out: whole groups, chosen by a hash of seed and name.

    Samples with a given side stay on it. Raises `TrainingError` where one side would
    be empty.
    """
    if any(item.sample.side for item in captioned):
        held_out = [item.sample.side == "validation" for item in captioned]
    else:
        held = _held_back(captioned, share, seed)
        held_out = [item.sample.group in held for item in captioned]
    training = tuple(item for item, back in zip(captioned, held_out, strict=True) if not back)
    validation = tuple(item for item, back in zip(captioned, held_out, strict=True) if back)
    if not training or not validation:
        groups = counted(len({item.sample.group for item in captioned}), "group")
        raise TrainingError(
            f"{len(captioned)} clips or pictures with captions in {groups} can't be split; add at least two groups"
        )
    return training, validation


def _held_back(captioned: Sequence[CaptionedClip], share: float, seed: int) -> set[str]:
    sizes: dict[str, int] = {}
    for item in captioned:
        sizes[item.sample.group] = sizes.get(item.sample.group, 0) + 1
    held: set[str] = set()
    count = 0
    for group in sorted(sizes, key=lambda name: hashlib.sha256(f"{seed}\0{name}".encode()).digest()):
        if count and count + sizes[group] / 2 > share * len(captioned):
            continue
        if len(held) + 1 < len(sizes):
            held.add(group)
            count += sizes[group]
    return held


def references(captioned: Sequence[CaptionedClip]) -> Mapping[str, Sequence[str]]:
    """The sentences by sample, as the metrics want them."""
    return {item.sample.label: item.sentences for item in captioned}


__all__ = ["CaptionedClip", "are_pictures", "grouped_captioned", "read_captioned", "references", "split_captioned"]
