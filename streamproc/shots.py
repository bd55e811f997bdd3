"""Shots: the result of plugins that find camera cuts, built in or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from streamproc.results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot(Result):
    """The shot of a frame, as far as it is known by then: a camera cut is known a moment after it.

    A plugin that finds cuts gives one for each frame. Where the number changes, the engine calls
    `on_time(moment, "cut")` of the stream plugins behind it, so that they needn't look at it themselves.
    """

    schema: ClassVar[str] = "streamproc.shot/1"

    number: int
    """1, 2, ... in the order of time"""
    start_ns: int
    """media time of its first frame"""
    kind: str = "cut"
    """kind of its beginning: start (of the stream), cut, fade or dissolve"""
    blank: bool = False
    """whether it is all black or all white"""

    def __post_init__(self) -> None:
        if self.number < 1 or self.start_ns < 0:
            raise ValueError(
                f"Shot is number {self.number} from {self.start_ns} ns, expected 1 or more and no time < 0"
            )


__all__ = ["Shot"]
