"""Counters and histograms: cheap plain objects, read by reports and by the Prometheus page."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""upper bounds of the buckets of every histogram of seconds"""


class Histogram:
    """Counts of durations by bucket; safe to share between threads."""

    __slots__ = ("_buckets", "_lock", "maximum", "total")

    def __init__(self) -> None:
        self._buckets = [0] * (len(SECONDS) + 1)
        self._lock = threading.Lock()
        self.total = 0.0
        """sum of all observations in seconds"""
        self.maximum = 0.0

    def observe(self, value_s: float) -> None:
        """Count one observation."""
        with self._lock:
            self._buckets[bisect_left(SECONDS, value_s)] += 1
            self.total += value_s
            self.maximum = max(self.maximum, value_s)

    @property
    def count(self) -> int:
        """Number of observations."""
        return sum(self._buckets)

    @property
    def mean(self) -> float:
        """Mean in seconds, 0 without observations."""
        return self.total / self.count if self.count else 0.0

    def cumulative(self) -> list[tuple[str, int]]:
        """Return Prometheus buckets: (upper bound or `+Inf`, number of observations up to it)."""
        out, running = [], 0
        for bound, count in zip((*map(str, SECONDS), "+Inf"), self._buckets, strict=True):
            running += count
            out.append((bound, running))
        return out

    def quantile(self, share: float) -> float:
        """Return the upper bound, in seconds, of the bucket that holds this share (0..1) of the observations."""
        wanted = share * self.count
        for (_, running), bound in zip(self.cumulative(), (*SECONDS, self.maximum), strict=True):
            if running >= wanted:
                return min(bound, self.maximum)
        return self.maximum


class Tally:
    """Counts by key; safe to share between threads."""

    __slots__ = ("_counts", "_lock")

    def __init__(self) -> None:
        self._counts: Counter[Hashable] = Counter()
        self._lock = threading.Lock()

    def add(self, key: Hashable, count: int = 1) -> int:
        """Count `key` and return its new total."""
        with self._lock:
            self._counts[key] += count
            return self._counts[key]

    def move(self, old: Hashable, new: Hashable) -> None:
        """Move the count of `old` to `new`."""
        with self._lock:
            self._counts[new] += self._counts.pop(old, 0)

    def __getitem__(self, key: Hashable) -> int:
        return self._counts[key]

    def snapshot(self) -> dict[Hashable, int]:
        """Return all counts that aren't 0, sorted by the text of their keys."""
        with self._lock:
            return {key: self._counts[key] for key in sorted(self._counts, key=str) if self._counts[key]}


def worth_logging(count: int) -> bool:
    """Return whether to log the `count`th failure of a kind: the 1st, 10th, 100th and each 1000th.

    >>> [count for count in range(1, 3001) if worth_logging(count)]
    [1, 10, 100, 1000, 2000, 3000]
    """
    return count in (1, 10, 100) or (count > 0 and count % 1000 == 0)


__all__ = ["SECONDS", "Histogram", "Tally", "worth_logging"]
