"""The closed ledger: at any moment, every observed frame is in flight or in exactly one bucket."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Bucket = Literal["processed", "sampled_out", "gated", "dropped", "undecodable", "failed"]
BUCKETS: tuple[Bucket, ...] = ("processed", "sampled_out", "gated", "dropped", "undecodable", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerPage:
    """The ledger of one stream at one moment."""

    observed: int
    """frames that the source gave, those that it couldn't decode included"""
    in_flight: int
    buckets: Mapping[tuple[Bucket, str], int]
    """by bucket and reason (empty where there is nothing to say)"""

    def total(self, bucket: Bucket) -> int:
        """Return the number of frames in this bucket, for any reason."""
        return sum(count for (name, _), count in self.buckets.items() if name == bucket)

    @property
    def closed(self) -> bool:
        """Whether the sums match."""
        return self.observed == self.in_flight + sum(self.buckets.values())

    def plus(self, other: LedgerPage) -> LedgerPage:
        """Return the sum of both pages."""
        return LedgerPage(
            observed=self.observed + other.observed,
            in_flight=self.in_flight + other.in_flight,
            buckets=Counter(self.buckets) + Counter(other.buckets),
        )


class Ledger:
    """Counts the frames of one stream; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._observed = 0
        self._in_flight = 0
        self._buckets: Counter[tuple[Bucket, str]] = Counter()

    def admit(self) -> None:
        """Count a frame that goes into the chain."""
        with self._lock:
            self._observed += 1
            self._in_flight += 1

    def settle(self, bucket: Bucket, reason: str = "") -> None:
        """Move a frame from in flight to its bucket."""
        with self._lock:
            self._in_flight -= 1
            self._buckets[bucket, reason] += 1

    def book(self, bucket: Bucket, reason: str = "", number: int = 1) -> None:
        """Count frames that end at once, without entering the chain."""
        with self._lock:
            self._observed += number
            self._buckets[bucket, reason] += number

    def absorb(self, page: LedgerPage) -> None:
        """Add the frames of a stream that has ended."""
        with self._lock:
            self._observed += page.observed
            self._in_flight += page.in_flight
            self._buckets.update(page.buckets)

    def page(self) -> LedgerPage:
        """Return the counts at this moment."""
        with self._lock:
            return LedgerPage(observed=self._observed, in_flight=self._in_flight, buckets=dict(self._buckets))


def bucket_of(verdicts: Mapping[str, str]) -> tuple[Bucket, str]:
    """Return bucket and reason of a frame that left the chain with these verdicts, by plugin."""
    found = set(verdicts.values())
    if not found or "ok" in found or not found & {"failed", "off", "hung"}:
        return "processed", ""
    return "failed", ", ".join(name for name, verdict in verdicts.items() if verdict != "missing")
