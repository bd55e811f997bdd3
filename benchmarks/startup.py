"""How long the command line takes to answer, as a ratio to `python -c pass`. Aim: at most 30."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.measure import Spread

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "streamproc --help": ["-m", "streamproc", "--help"],
    "streamproc plugins": ["-m", "streamproc", "plugins"],
}
ROUNDS = 9


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, command in COMMANDS.items():
            taken[name].append(seconds(command))
    base = Spread.of(taken["python -c pass"]).median
    for name, values in taken.items():
        print(f"{name:20} {Spread.of([value / base for value in values])} times python -c pass")


if __name__ == "__main__":
    main()
