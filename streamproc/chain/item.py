"""Inputs and outputs of the chain core, as frozen values without threads or clocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from streamproc.chain.clips import Buildable
from streamproc.chain.guard import Outcome
from streamproc.chain.step import NOTHING_DUE, Due, Stage, Step
from streamproc.events import Event, Moment
from streamproc.frames import Flow, Frame
from streamproc.record import Record


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameItem:
    """A frame that the chain processes."""

    moment: Moment
    frame: Frame
    due: Due
    before: Frame | None = None
    """the source frame before it, where flow is wanted"""
    results: Mapping[tuple[str, type], Any] = field(default_factory=dict)
    """results known before the chain runs, by (plugin, class), as from a stored run or a repro bundle"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TimeMark:
    """Media time goes on to `moment` though no frame is processed."""

    moment: Moment
    reason: Literal["idle", "gap", "lost", "back"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Barrier:
    """Place in the order at which all plugins' states are read; leaves the core as the `Snapshot` of its number."""

    moment: Moment
    number: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class End:
    """End of the stream behind its last frame. flush: whether open episodes end."""

    moment: Moment
    flush: bool


Item = FrameItem | TimeMark | Barrier | End


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """A pure or waiting stage of one item, to be run anywhere; `ChainCore.complete` takes its outcome."""

    sequence: int
    """place of the item in the order of the stream"""
    place: int
    """place of the stage in the chain"""
    stage: Stage
    item: Item
    frame: Frame | None
    """the frame as this stage gets it: an earlier step may have replaced its picture"""
    results: Mapping[tuple[str, type], Any] = field(default_factory=dict)
    events: Mapping[int, tuple[Event, ...]] = field(default_factory=dict)
    """events so far, by step"""
    off: frozenset[int] = frozenset()
    """steps that are switched off"""

    @property
    def due(self) -> Due:
        """Steps and clips due at this item."""
        return self.item.due if isinstance(self.item, FrameItem) else NOTHING_DUE

    @property
    def steps(self) -> tuple[Step, ...]:
        """Steps of the stage that run at this item."""
        return tuple(step for step in self.stage.steps if step.index in self.due.steps)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Attempt:
    """Outcome of a task; it counts once the core accepts it in order."""

    outcomes: Mapping[int, Outcome] = field(default_factory=dict)
    """by step"""
    flow: Flow | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Snapshot:
    """States of all plugins at the barrier of this number; None where one of them can't be read."""

    number: int
    states: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CallInput:
    """Input of one plugin call."""

    moment: Moment
    frame: Frame | None
    clip: Buildable | None
    results: Mapping[tuple[str, type], Any]
    reason: str = ""
    """reason for a call that was not for a frame"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Failure:
    """Failed or hung call: its outcome, its input, and the reason if the plugin is switched off from now on."""

    step: Step
    outcome: Outcome
    given: CallInput
    disabled: str = ""


Output = Task | Record | Snapshot | Failure

__all__ = [
    "Attempt",
    "Barrier",
    "CallInput",
    "End",
    "Failure",
    "FrameItem",
    "Item",
    "Output",
    "Snapshot",
    "Task",
    "TimeMark",
]
