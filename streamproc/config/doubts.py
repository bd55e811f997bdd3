"""Doubts of plugins about their options, given those of the plugins before them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from streamproc.config.plan import PluginPlan
from streamproc.options import Mistake


def doubts(chain: Sequence[PluginPlan]) -> Iterator[tuple[PluginPlan, Mistake]]:
    """Yield doubts about settings that are allowed but probably not intended; they become warnings."""
    by_name = {plan.name: plan.options for plan in chain}
    for plan in chain:
        givers = {kind: by_name[name] for kind, name in plan.inputs.items() if name in by_name}
        try:
            found = list(plan.cls.doubts(plan.options, givers))
        except Exception:  # noqa: BLE001 - a check that fails finds no doubt; a plugin's code may raise anything
            found = []
        yield from ((plan, mistake) for mistake in found)


__all__ = ["doubts"]
