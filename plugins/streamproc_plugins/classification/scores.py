"""Labels to give from a net's outputs: functions of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from streamproc import ModelError, PluginError
from streamproc.errors import nearest
from streamproc.models import label_ids
from streamproc_plugins.action.scores import ACTIVATIONS, Activation, best

F32 = NDArray[np.float32]

EXCLUSIVE = frozenset({"softmax", "logits"})
"""decodes of nets with exclusive classes, of which one is right"""
NEVER = 2.0


def activation_for(wanted: Literal["auto", "softmax", "sigmoid", "none"], decode: str, model: str) -> Activation:
    """The activation to apply; `ModelError` where neither the option nor the manifest names one."""
    if wanted != "auto":
        return wanted
    if decode not in ACTIVATIONS:
        raise ModelError(
            f"{model} doesn't say how its scores are read (decode {decode!r}), expected {', '.join(ACTIVATIONS)}; "
            "mend `decode` in its manifest, or set the option `activation`"
        )
    return ACTIVATIONS[decode]


def combined(views: Sequence[F32], how: Literal["mean", "max"]) -> F32:
    """One (C,) from the scores of each view."""
    stacked = np.stack(views)
    return np.asarray(stacked.mean(axis=0) if how == "mean" else stacked.max(axis=0), np.float32)


def top_ids(scores: F32, floor: F32, count: int) -> NDArray[np.int64]:
    """Class ids with at least the lowest score of their class, best first, at most `count`."""
    order = best(scores, len(scores))
    return order[scores[order] >= floor[order]][:count]


def found_ids(labels: Sequence[str], known: Sequence[str]) -> dict[str, list[int]]:
    """Class ids by label; `PluginError` naming each label that isn't known and the nearest that is."""
    found = {label: label_ids(label, known) for label in labels}
    if unknown := [label for label, ids in found.items() if not ids]:
        words = [*known, *(word for name in known for word in name.split(", "))]
        names = ", ".join(f"{label!r}{nearest(label, words)}" for label in unknown)
        raise PluginError(f"the model has no label {names}; it knows {len(known)}, such as {', '.join(known[:6])}")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Labels of the user's own behind those of the model, G of them."""

    names: tuple[str, ...] = ()
    members: tuple[tuple[int, ...], ...] = ()
    """class ids of each group"""

    @classmethod
    def of(cls, groups: Mapping[str, Sequence[str]], known: Sequence[str]) -> Groups:
        """`PluginError` for labels that the model doesn't have, and for names that it has already."""
        found = found_ids([label for labels in groups.values() for label in labels], known)
        members = tuple(tuple(sorted({i for label in labels for i in found[label]})) for labels in groups.values())
        for name, ids in zip(groups, members, strict=True):
            if name in known and known.index(name) not in ids:
                raise PluginError(f"the group {name!r} is called like a label of the model that isn't in it; rename it")
        return cls(names=tuple(groups), members=members)

    def hidden(self) -> list[int]:
        """Class ids that a group stands for."""
        return sorted({i for ids in self.members for i in ids})

    def added(self, scores: F32, exclusive: bool) -> F32:
        """Scores (C + G,): the sum of a group's classes where one class is right, else the highest."""
        if not self.members:
            return scores
        parts = [scores[list(ids)] for ids in self.members]
        own = [min(float(part.sum(dtype=np.float64)), 1.0) if exclusive else float(part.max()) for part in parts]
        return np.concatenate([scores, np.array(own, np.float32)])


def lowest_scores(known: Sequence[str], labels: Sequence[str], default: float, scores: Mapping[str, float]) -> F32:
    """Lowest score by class, float32 (C,); above 1 for labels that aren't wanted.

    Raises `PluginError` naming each label that the model doesn't have and the nearest that it has.
    """
    found = found_ids((*labels, *scores), known)
    floor = np.full(len(known), NEVER if labels else default, dtype=np.float32)
    for label in labels:
        floor[found[label]] = default
    for label, score in scores.items():
        wanted = [i for i in found[label] if floor[i] <= 1]
        floor[wanted] = score
    return floor
