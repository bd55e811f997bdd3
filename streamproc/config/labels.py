"""Labels that options name, against those that the plugins before can give."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from streamproc.config.plan import PluginPlan
from streamproc.errors import nearest
from streamproc.models import ModelStore
from streamproc.options import Mistake
from streamproc.results import Detections

_SHOWN = 12
"""labels that a message lists"""

Labels = Collection[str] | None
"""None: not known"""


def label_mistakes(chain: Sequence[PluginPlan], models: ModelStore) -> Iterator[tuple[PluginPlan, Mistake]]:
    """Labels that a plugin waits for in vain: such a rule finds nothing, and nothing else says why."""
    given: dict[str, Labels] = {}
    for plan in chain:
        before = _joined([given[giver] for kind, giver in plan.inputs.items() if issubclass(kind, Detections)])
        given[plan.name] = _given(plan, models, before)
        if before is not None:
            wrong = [(option, label) for option, label in _named(plan) if label not in before]
            yield from ((plan, Mistake(option, _sentence(label, before))) for option, label in wrong)


def _joined(all_labels: Sequence[Labels]) -> Labels:
    known = [labels for labels in all_labels if labels is not None]
    if not known or len(known) < len(all_labels):
        return None
    return tuple(dict.fromkeys(label for labels in known for label in labels))


def _given(plan: PluginPlan, models: ModelStore, before: Labels) -> Labels:
    try:
        return plan.cls.labels_given(plan.options, models, before)
    except Exception:  # noqa: BLE001 - what is wrong with its options or model is reported elsewhere
        return None


def _named(plan: PluginPlan) -> list[tuple[tuple[str | int, ...], str]]:
    try:
        return list(plan.cls.labels_named(plan.options))
    except Exception:  # noqa: BLE001 - as above
        return []


def _sentence(label: str, before: Collection[str]) -> str:
    shown = ", ".join(list(before)[:_SHOWN]) or "none"
    rest = f" and {len(before) - _SHOWN} more" if len(before) > _SHOWN else ""
    return f"no plugin before it gives the label {label!r}{nearest(label, before)} (given: {shown}{rest})"


__all__ = ["label_mistakes"]
