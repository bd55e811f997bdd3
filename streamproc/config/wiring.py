"""Wiring of a chain: ties each class that a plugin needs or uses to one earlier plugin that gives it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from streamproc.config.plan import PluginPlan
from streamproc.errors import nearest
from streamproc.frames import Flow
from streamproc.plugin import ClipPlugin
from streamproc.replacement import Replacement


@dataclass(frozen=True, slots=True, kw_only=True)
class WiringIssue:
    """A mistake in a chain."""

    plugin: str
    message: str


def wire(
    chain: Sequence[PluginPlan], chosen: Sequence[dict[str, str]] | None = None
) -> tuple[tuple[PluginPlan, ...], list[WiringIssue]]:
    """Return the chain with `inputs` filled in, and all its mistakes.

    chosen: for each plugin its `inputs` of the configuration: lower-case class name -> plugin name.
    """
    issues: list[WiringIssue] = []
    wired: list[PluginPlan] = []
    for position, plan in enumerate(chain):
        wanted = dict(chosen[position]) if chosen else {}
        inputs: dict[type, str] = {}
        for kind in (*plan.cls.needs, *plan.cls.uses):
            if kind is Flow:
                continue
            giver = _giver(plan, kind, chain[:position], wanted.pop(kind.__name__.lower(), None), issues)
            if giver:
                inputs[kind] = giver
        for name in wanted:
            known = [kind.__name__.lower() for kind in (*plan.cls.needs, *plan.cls.uses) if kind is not Flow]
            issues.append(
                WiringIssue(plugin=plan.name, message=f"takes no input {name!r}{nearest(name, known)} (takes {known})")
            )
        if plan.rate is not None and issubclass(plan.cls, ClipPlugin):
            message = "`rate` has no effect on a plugin of clips; set `rate` and `stride` in its options"
            issues.append(WiringIssue(plugin=plan.name, message=message))
        hiding = next((other.name for other in chain[:position] if Replacement in other.cls.gives), None)
        if hiding is not None and issubclass(plan.cls, ClipPlugin):
            message = f"its clips are made of the source's own pictures, which {hiding} hides; put it before {hiding}"
            issues.append(WiringIssue(plugin=plan.name, message=message))
        wired.append(replace(plan, inputs=inputs))
    return tuple(wired), issues


def _giver(
    plan: PluginPlan, kind: type, before: Sequence[PluginPlan], chosen: str | None, issues: list[WiringIssue]
) -> str | None:
    givers = [other.name for other in before if kind in other.cls.gives]
    word = kind.__name__
    if chosen is not None:
        if chosen in givers:
            return chosen
        others = f"{nearest(chosen, givers)} (plugins before it that give {word}: {', '.join(givers) or 'none'})"
        issues.append(WiringIssue(plugin=plan.name, message=f"input {word.lower()}: {chosen!r} gives none{others}"))
    elif len(givers) > 1:
        message = f"{' and '.join(givers)} both give {word}; say which: inputs: {{{word.lower()}: {givers[-1]}}}"
        issues.append(WiringIssue(plugin=plan.name, message=message))
    elif givers:
        return givers[0]
    elif kind in plan.cls.needs:
        message = f"needs {word}, but no plugin before it in the chain gives it; put one in front"
        issues.append(WiringIssue(plugin=plan.name, message=message))
    return None


__all__ = ["WiringIssue", "wire"]
