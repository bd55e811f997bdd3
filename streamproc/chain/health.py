"""Circuit breakers: switch off plugins of a stream that keep failing, and hold the reason."""

from __future__ import annotations

from collections.abc import Sequence

from streamproc.chain.guard import Outcome
from streamproc.chain.step import Step


class Health:
    """Counts the failures of each step in the order of frames: a plugin goes off at the same frame in every run.

    Written by the core alone; `off` and `reasons` may be read from anywhere.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = tuple(steps)
        self._in_a_row = [0] * len(self._steps)
        self._reasons: dict[int, str] = {}
        self._hung: dict[int, int] = {}  # step -> first item at which a call of it never returned
        self.off: frozenset[int] = frozenset()
        """indices of the steps that are switched off"""

    @property
    def reasons(self) -> dict[str, str]:
        """Reason for which each plugin was switched off, by its name."""
        return {self._steps[index].name: reason for index, reason in self._reasons.copy().items()}

    def hung(self, index: int) -> bool:
        """Return whether this step's plugin is stuck in a call that never returned."""
        return index in self._hung

    def off_at(self, sequence: int) -> frozenset[int]:
        """Return the steps that a task of this item leaves out: switched off, or stuck at this item or before it."""
        return self.off | {index for index, first in self._hung.items() if first <= sequence}

    def mark_hung(self, index: int, sequence: int) -> None:
        """Record a call at this item that never returned; the step goes off where the item stands in the order."""
        self._hung[index] = min(sequence, self._hung.get(index, sequence))

    def in_a_row(self, index: int) -> int:
        """Return how many times in a row this step has failed."""
        return self._in_a_row[index]

    def resume(self, index: int, in_a_row: int) -> None:
        """Continue the count of an earlier run; a plugin that went off there gets one more try."""
        self._in_a_row[index] = in_a_row

    def record(self, index: int, outcome: Outcome, *, final: bool = False) -> str:
        """Count an outcome; return the reason if the plugin is switched off for it, else an empty text.

        final: it was the last call, which ends open episodes; a failure there switches the plugin off at once.
        """
        plan = self._steps[index].plan
        if outcome.verdict == "ok":
            self._in_a_row[index] = 0
        if outcome.verdict != "failed" or index in self.off:
            return ""
        self._in_a_row[index] += 1
        limit = 1 if final or plan.on_error == "disable" else plan.max_failures
        if self._in_a_row[index] < limit:
            return ""
        count = self._in_a_row[index]
        times = "at the end" if final else "once" if count == 1 else f"{count} times in a row"
        return self.switch_off(index, f"failed {times}, last with {outcome.sentence}")

    def switch_off(self, index: int, reason: str) -> str:
        """Switch a plugin off for the rest of the run; return the reason."""
        self._reasons.setdefault(index, reason)
        self.off |= {index}
        return reason


__all__ = ["Health"]
