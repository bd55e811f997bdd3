"""Frames of one stream between their admission and the end of its chain."""

from __future__ import annotations

import time

from streamproc.chain.ledger import Bucket, Ledger


class Flight:
    """Frames in flight; books each frame in the ledger exactly once. Safe to use from all threads."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._admitted: dict[int, float] = {}  # by index: moment of the performance counter

    def admit(self, index: int) -> None:
        """Count a frame that enters the chain."""
        self._admitted[index] = time.perf_counter()
        self.ledger.admit()

    def settle(self, index: int, bucket: Bucket, reason: str = "") -> float | None:
        """Book a frame at its end; return the seconds since its admission, None where it is booked already."""
        admitted = self._admitted.pop(index, None)
        if admitted is None:
            return None
        self.ledger.settle(bucket, reason)
        return time.perf_counter() - admitted

    def indices(self) -> list[int]:
        """Return the indices of the frames in flight."""
        return list(self._admitted)


__all__ = ["Flight"]
