"""`python -m benchmarks [NAME ...]`: run the benchmarks, or those named."""

from __future__ import annotations

import runpy
import sys

NAMES = ("startup", "pipeline", "tracking", "vectors")

if __name__ == "__main__":
    for name in sys.argv[1:] or NAMES:
        print(f"== {name}")
        sys.argv = [f"benchmarks/{name}.py"]
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")
