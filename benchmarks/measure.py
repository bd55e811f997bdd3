"""Runs variants in turn, each in a process of its own, and tells medians with their spread."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """A median and the range it comes from."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}-{self.high:.2f})"


def interleaved(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, list[dict[str, float]]]:
    """Run every command once a round, in turn; each prints one JSON object as its last line."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
    for number in range(rounds):
        for name, command in commands.items():
            done = subprocess.run([sys.executable, *command], check=True, capture_output=True, text=True)
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"\rround {number + 1} of {rounds}: {name:40}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return found
