"""Checks of options that name a model and its labels, before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from streamproc.errors import StreamprocError, nearest
from streamproc.models.entries import ModelEntry, label_ids
from streamproc.models.store import ModelStore
from streamproc.options import Mistake

_SHOWN = 12
"""labels that a message lists"""


def model_mistakes(
    models: ModelStore,
    name: str,
    *,
    option: tuple[str | int, ...] = ("model",),
    fits: Callable[[ModelEntry], object] | None = None,
) -> list[Mistake]:
    """Return the mistakes in an option that names a model, for a plugin's `check_options`.

    A model that is known but isn't on this machine yet is right. option: where the name stands. fits: raises
    `ModelError` for a model that the plugin can't use.
    """
    try:
        entry = models.entry(name)
        if fits is not None:
            fits(entry)
    except StreamprocError as error:
        return [Mistake(option, str(error))]
    return []


def label_mistakes(
    entry: ModelEntry,
    labels: Iterable[tuple[tuple[str, ...], Iterable[str]]],
    *,
    synonyms: bool = False,
    more: Collection[str] = (),
) -> list[Mistake]:
    """Return a mistake for each label that the model lacks, with the nearest one that it has.

    labels: options and what is named there, in a list or as keys. synonyms: a part of a label will do ("tench" of
    "tench, Tinca tinca"). more: what counts as a label, too.
    """
    known = entry.label_names
    words = [*known, *(word for name in known for word in name.split(", ") if synonyms), *more]
    rest = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    knows = f" (knows: {', '.join(known[:_SHOWN]) or 'none'}{rest})"
    found = []
    for option, given in labels:
        keyed = isinstance(given, Mapping)
        for index, label in enumerate(given):
            if label not in known and label not in more and not (synonyms and label_ids(label, known)):
                message = f"{entry.name} has no label {label!r}{nearest(label, words)}{knows}"
                found.append(Mistake((*option, label if keyed else index), message, at_key=keyed))
    return found


__all__ = ["label_mistakes", "model_mistakes"]
