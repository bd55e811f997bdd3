"""What `shots` gives to later plugins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from streamproc import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot(Result):
    """The shot that goes on at a frame, as far as it is known then: a cut is known a moment after it."""

    schema: ClassVar[str] = "streamproc.shot/1"

    number: int
    """1, 2, ... in the order of time"""
    start_ns: int
    """media time of the first frame in which it is seen"""
    kind: str
    """how it began: start (of the stream), cut, fade or dissolve"""
    blank: bool = False
    """nothing is seen in it: it is black or white"""

    def __post_init__(self) -> None:
        if self.number < 1 or self.start_ns < 0:
            raise ValueError(
                f"Shot is number {self.number} from {self.start_ns} ns, expected 1 or more and no time < 0"
            )
