"""Counts and troubles of one sink, for reports and metrics."""

from __future__ import annotations

from dataclasses import dataclass, field

from streamproc.metrics import Tally


@dataclass(slots=True, eq=False)
class SinkStatus:
    """Counts and troubles of one sink; its writer alone writes them."""

    counts: Tally = field(default_factory=Tally)
    """`events`, `frames` and `records` delivered, `retries`, and `refused` records"""
    notes: list[str] = field(default_factory=list)
    """remarks of the sink that are no trouble"""
    trouble: str = ""
    """why the sink is disabled, or doesn't deliver at the moment"""
    lost: int = 0
    """items that neither the sink nor the outbox has"""
    stored: int = 0
    """events that wait in the outbox"""
    disabled: bool = False
    """whether the sink gets nothing more in this run"""
    ended: bool = False

    @property
    def undelivered(self) -> int:
        """Items that the sink did not get; events in the outbox count once their delivery has stopped."""
        return self.lost + (self.stored if self.disabled or self.ended else 0)

    def continued(self) -> SinkStatus:
        """Return the status of a sink that is attached under the same name later: counts go on."""
        return SinkStatus(counts=self.counts, notes=self.notes, lost=self.lost)


__all__ = ["SinkStatus"]
