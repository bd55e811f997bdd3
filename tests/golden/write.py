"""`python -m tests.golden.write [NAME ...]`: write the golden files again, and print what changed.

Each case runs with several numbers of workers; where their events differ nothing is written.
"""

from __future__ import annotations

import difflib
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tests.golden.cases import CASES, KAFKA, Case, make_pictures, play, play_kafka
from tests.servers.kafka import KafkaBroker, fetched_libs

MOST_LINES = 40


def main(names: list[str]) -> int:
    """Write the cases of these names, or all; 1 where a case gives no one answer."""
    known = {case.name: case for case in (*CASES, KAFKA)}
    if unknown := sorted(set(names) - set(known)):
        print(f"unknown: {', '.join(unknown)}; the cases are {', '.join(known)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        pictures = make_pictures(root)
        return max(_write(known[name], root, pictures) for name in names or known)


def _write(case: Case, root: Path, pictures: Path) -> int:
    first, *others = _play_kafka(root, pictures) if case is KAFKA else _play(case, root, pictures)
    if any(other != first for other in others):
        print(f"{case.name}: the events depend on the number of workers; nothing written")
        return 1
    before = case.golden.read_text() if case.golden.exists() else ""
    case.golden.write_text(first)
    changes = list(difflib.unified_diff(before.splitlines(), first.splitlines(), lineterm="", n=0))
    print(f"{case.name}: {first.count(chr(10))} events, {'no change' if not changes else 'CHANGED'}")
    print(*islice(changes, MOST_LINES), sep="\n", end="\n" if changes else "")
    if len(changes) > MOST_LINES:
        print(f"... and {len(changes) - MOST_LINES} lines more")
    return 0


def _play(case: Case, root: Path, pictures: Path) -> Iterator[str]:
    for workers in case.workers:
        yield play(case, root / f"{case.name}-{workers}", pictures, workers)


def _play_kafka(root: Path, pictures: Path) -> Iterator[str]:
    (root / "broker").mkdir()
    broker = KafkaBroker(root / "broker", fetched_libs())
    try:
        broker.start()
        for workers in KAFKA.workers:
            yield from play_kafka(broker, root / f"kafka-{workers}", pictures, workers)
    finally:
        broker.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
