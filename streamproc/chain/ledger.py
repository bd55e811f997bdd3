"""The closed ledger: every frame that was seen is at any moment in exactly one bucket."""

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

    seen: int
    in_flight: int
    buckets: Mapping[tuple[Bucket, str], int]
    """by bucket and reason (empty where there is nothing to say)"""

    def total(self, bucket: Bucket) -> int:
        """Frames in this bucket for whatever reason."""
        return sum(count for (name, _), count in self.buckets.items() if name == bucket)

    @property
    def closed(self) -> bool:
        """Whether the sums match."""
        return self.seen == self.in_flight + sum(self.buckets.values())

    def plus(self, other: LedgerPage) -> LedgerPage:
        """Both pages added up."""
        return LedgerPage(
            seen=self.seen + other.seen,
            in_flight=self.in_flight + other.in_flight,
            buckets=Counter(self.buckets) + Counter(other.buckets),
        )


class Ledger:
    """Counts the frames of one stream; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen = 0
        self._in_flight = 0
        self._buckets: Counter[tuple[Bucket, str]] = Counter()

    def admit(self) -> None:
        """A frame was seen and goes on its way."""
        with self._lock:
            self._seen += 1
            self._in_flight += 1

    def settle(self, bucket: Bucket, reason: str = "") -> None:
        """A frame on its way has come to its end."""
        with self._lock:
            self._in_flight -= 1
            self._buckets[bucket, reason] += 1

    def book(self, bucket: Bucket, reason: str = "", number: int = 1) -> None:
        """A number of frames were seen and ended at once."""
        with self._lock:
            self._seen += number
            self._buckets[bucket, reason] += number

    def absorb(self, page: LedgerPage) -> None:
        """Count the frames of a stream that has ended with these."""
        with self._lock:
            self._seen += page.seen
            self._in_flight += page.in_flight
            self._buckets.update(page.buckets)

    def page(self) -> LedgerPage:
        """The state of things at this moment."""
        with self._lock:
            return LedgerPage(seen=self._seen, in_flight=self._in_flight, buckets=dict(self._buckets))


def bucket_of(verdicts: Mapping[str, str]) -> tuple[Bucket, str]:
    """Bucket and reason of a frame that left the chain with these verdicts, by plugin."""
    found = set(verdicts.values())
    if not found or "ok" in found or not found & {"failed", "off", "hung"}:
        return "processed", ""
    return "failed", ", ".join(name for name, verdict in verdicts.items() if verdict != "missing")
