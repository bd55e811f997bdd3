"""Callers: make the call of a plugin directly, under a watch, or in another process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from streamproc.chain.step import Step

T = TypeVar("T")


class Caller(Protocol):
    """Makes the calls of steps."""

    def __call__(self, step: Step, function: Callable[[], T], /) -> T:
        """Return what `function`, a guarded call of the step's plugin, returns."""
        ...


def call_plainly(step: Step, function: Callable[[], T], /) -> T:
    """Make the call on this thread, without a watch: a debugger stops inside, and a call that hangs hangs."""
    del step
    return function()


__all__ = ["Caller", "call_plainly"]
