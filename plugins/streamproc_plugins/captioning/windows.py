"""Windows of media time that follow each other without a gap: window k covers [k * length, (k + 1) * length)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of media time."""

    number: int
    start_ns: int
    end_ns: int


def window_at(pts_ns: int, length_ns: int) -> Window:
    """The window that holds this moment."""
    number = pts_ns // length_ns
    return Window(number=number, start_ns=number * length_ns, end_ns=(number + 1) * length_ns)
