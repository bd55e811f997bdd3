"""`python -m benchmarks [NAME ...]`: run the benchmarks, or those named; one that can't run says why."""

from __future__ import annotations

import runpy
import sys

from benchmarks.real import SHARED, check_shared

NAMES = ("startup", "pipeline", "library", "motion", "tracking", "vectors", "families")
ON_SHARED = {"tracking": [str(SHARED / "data" / "mot")], "families": []}
"""benchmarks on real data, and what they are given"""


def run(name: str) -> bool:
    """True where it came to its end."""
    print(f"== {name}", flush=True)
    sys.argv = [f"benchmarks/{name}.py", *ON_SHARED.get(name, [])]
    try:
        if name in ON_SHARED:
            check_shared()
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")
    except SystemExit as end:
        if end.code:
            print(end.code, file=sys.stderr)
            return False
    return True


if __name__ == "__main__":
    done = [run(name) for name in sys.argv[1:] or NAMES]
    sys.exit(not all(done))
