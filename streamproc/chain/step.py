"""Steps of a chain (one opened plugin each) and stages (consecutive steps of one kind)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from streamproc.chain.clips import Buildable, ClipCutter
from streamproc.chain.sampling import Beat
from streamproc.config.plan import PluginPlan
from streamproc.plugin import AnyPlugin, StreamPlugin
from streamproc.waiting import is_async

Kind = Literal["pure", "waiting", "ordered"]
"""Way in which a step may run: `pure` on any worker in any order, `waiting` off the workers, `ordered` one by one"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """One opened plugin of a chain."""

    index: int
    """place in the chain, from 0"""
    plan: PluginPlan
    plugin: AnyPlugin
    beat: Beat | None = None
    """beat of the frames that it gets; None: each frame that the stream's rate takes"""
    cutter: ClipCutter | None = None
    """takes its clips, for a `ClipPlugin`"""
    required: tuple[int, ...] = ()
    """steps whose results it needs"""
    wants_flow: bool = False

    @property
    def name(self) -> str:
        """Name of the plugin in the configuration."""
        return self.plan.name

    @property
    def timeout_s(self) -> float:
        """Longest time that one call may take."""
        return self.plan.timeout_ns / 1e9

    @property
    def kind(self) -> Kind:
        """Way in which it may run."""
        if isinstance(self.plugin, StreamPlugin):
            return "ordered"
        return "waiting" if self.plugin.waits or is_async(self.plugin.process) else "pure"


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """Consecutive steps of one kind."""

    kind: Kind
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Due:
    """Work at one frame: indices of steps, and the clips that end there, by step."""

    steps: frozenset[int]
    clips: dict[int, Buildable]


NOTHING_DUE = Due(frozenset(), {})


def stages_of(steps: Sequence[Step]) -> tuple[Stage, ...]:
    """Group steps into stages; the first stage is always pure, perhaps empty, so that every item passes a worker."""
    groups = [Stage(kind, tuple(group)) for kind, group in groupby(steps, key=lambda step: step.kind)]
    return tuple(groups if groups and groups[0].kind == "pure" else [Stage("pure", ()), *groups])


__all__ = ["NOTHING_DUE", "Due", "Kind", "Stage", "Step", "stages_of"]
