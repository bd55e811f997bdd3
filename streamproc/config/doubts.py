"""What plugins doubt of their options, knowing those of the plugins before them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from streamproc.config.plan import PluginPlan
from streamproc.options import Mistake


def doubts(chain: Sequence[PluginPlan]) -> Iterator[tuple[PluginPlan, Mistake]]:
    """What won't work as meant, though it is allowed: reported as warnings."""
    by_name = {plan.name: plan.options for plan in chain}
    for plan in chain:
        givers = {kind: by_name[name] for kind, name in plan.inputs.items() if name in by_name}
        try:
            found = list(plan.cls.doubts(plan.options, givers))
        except Exception:  # noqa: BLE001 - a doubt that fails is none; a plugin's code may raise anything
            found = []
        yield from ((plan, mistake) for mistake in found)


__all__ = ["doubts"]
