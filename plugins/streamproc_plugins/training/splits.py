"""Samples held out for validation: whole groups, the same ones every time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streamproc_plugins.training.data import Dataset, TrainingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Indices of samples; no group is on both sides."""

    training: tuple[int, ...]
    validation: tuple[int, ...]
    alone: tuple[str, ...] = ()
    """labels that have one group only, and so no sample for validation"""


def split(data: Dataset, share: float, seed: int = 0) -> Split:
    """Hold out about `share` of the samples of each class, in whole groups.

    A hash of seed and name chooses the groups, so that other files don't change it: a held-out group stays held out
    as the data grow. At least one group of a class remains for training. Samples with a given side stay
    on it.

    Raises `TrainingError` where a group is on both sides of a given split, or nothing could be held out.
    """
    if any(sample.side for sample in data.samples):
        return _given(data)
    groups: dict[str, list[int]] = {}
    for i, sample in enumerate(data.samples):
        groups.setdefault(sample.group, []).append(i)
    held = _held_back(data, groups, share, seed)
    return _made(data, [i for i, sample in enumerate(data.samples) if sample.group in held])


def _held_back(data: Dataset, groups: dict[str, list[int]], share: float, seed: int) -> set[str]:
    """Names of the groups for validation, class by class from the one with the fewest groups."""
    ids = data.class_ids
    parts = {name: np.bincount(ids[rows], minlength=len(data.labels)) for name, rows in groups.items()}
    left = np.sum([part > 0 for part in parts.values()], axis=0)
    wanted, held_out = data.counts * share, np.zeros(len(data.labels))
    order = sorted(groups, key=lambda name: hashlib.sha256(f"{seed}\0{name}".encode()).digest())
    held: set[str] = set()

    def hold(name: str) -> None:
        nonlocal held_out, left
        held.add(name)
        held_out, left = held_out + parts[name], left - (parts[name] > 0)

    def free(name: str, k: int) -> bool:
        return name not in held and parts[name][k] > 0 and bool((left[parts[name] > 0] > 1).all())

    for k in sorted(range(len(data.labels)), key=lambda k: int(left[k])):
        for name in order:
            # half of the group at least must still be missing
            if free(name, k) and held_out[k] + parts[name][k] / 2 <= wanted[k]:
                hold(name)
        if held_out[k] == 0 and (large := [name for name in order if free(name, k)]):
            hold(min(large, key=lambda name: int(parts[name][k])))
    return held


def _given(data: Dataset) -> Split:
    sides: dict[str, set[str]] = {}
    for sample in data.samples:
        sides.setdefault(sample.group, set()).add(sample.side or "training")
    if both := sorted(name for name, found in sides.items() if len(found) > 1):
        raise TrainingError(
            f"the group {both[0]!r} (and {len(both) - 1} more) is in training and in validation; the scores would be "
            "too good, so put all of a group on one side"
        )
    return _made(data, [i for i, sample in enumerate(data.samples) if sample.side == "validation"])


def _made(data: Dataset, validation: Sequence[int]) -> Split:
    held_out = set(validation)
    if not held_out or len(held_out) == len(data.samples):
        raise TrainingError(
            "nothing can be held out for validation: each class has one group only; add recordings, or say with "
            "--group file that each file stands for itself"
        )
    labels_held_out = {data.samples[i].label for i in held_out}
    training = tuple(i for i in range(len(data.samples)) if i not in held_out)
    if lost := sorted(set(data.labels) - {data.samples[i].label for i in training}):
        raise TrainingError(f"the class {lost[0]!r} has no sample for training")
    alone = tuple(label for label in data.labels if label not in labels_held_out)
    return Split(training=training, validation=tuple(sorted(held_out)), alone=alone)


__all__ = ["Split", "split"]
