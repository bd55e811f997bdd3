"""The vector index against exact search over the same vectors, in one run.

    python benchmarks/vectors.py [--rows N] [--dim D] [--segment N] [--trees N] [--json FILE]

Vectors are made: people with 20 looks each whose cosine to one another is about 0.6, as with face embeddings. Asked for
are new looks of known people. Printed are the time to build, the size on disk, queries a second on one thread, and
recall@10: which part of the ten nearest that exact search finds is found.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one thread on both sides
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from streamproc_plugins.vectors import SEGMENT, TREES, VectorIndex

LOOKS = 20
BATCH = 10_000
K = 10

F32 = NDArray[np.float32]


def unit(values: NDArray[np.float32]) -> F32:
    """Rows of length 1."""
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), np.float32)


def looks_of(people: NDArray[np.int64], dim: int, seed: int) -> F32:
    """A look of each of these people: 0.6 of the person and 0.4 noise, so that two looks have the cosine 0.6."""
    out = np.empty((len(people), dim), np.float32)
    rng = np.random.default_rng(seed)
    for start in range(0, len(people), BATCH):
        part = people[start : start + BATCH]
        faces = unit(np.stack([np.random.default_rng(int(p)).standard_normal(dim, np.float32) for p in part]))
        noise = unit(rng.standard_normal((len(part), dim), np.float32))
        out[start : start + BATCH] = unit(np.float32(0.6**0.5) * faces + np.float32(0.4**0.5) * noise)
    return out


def exact(vectors: F32, asked: F32) -> tuple[list[list[int]], float]:
    """Rows of the nearest of each question, and questions a second."""
    start = time.perf_counter()
    found = []
    for vector in asked:
        cosine = vectors @ vector
        best = np.argpartition(-cosine, K)[:K]
        found.append(best[np.argsort(-cosine[best])].tolist())
    return found, len(asked) / (time.perf_counter() - start)


def measure(folder: Path, vectors: F32, asked: F32, segment: int, trees: int) -> dict[str, float]:
    """What an index of these vectors comes to."""
    rows, dim = vectors.shape
    with VectorIndex(folder, dim, segment=segment, trees=trees) as index:
        start = time.perf_counter()
        for first in range(0, rows, BATCH):
            part = vectors[first : first + BATCH]
            index.add(np.arange(first, first + len(part)), part, np.zeros(len(part)))
        added = time.perf_counter() - start
        index.merge()
        built = time.perf_counter() - start
        index.query(asked[0], K)  # the files are in memory from here on
        start = time.perf_counter()
        found = [index.query(vector, K)[0].tolist() for vector in asked]
        rate = len(asked) / (time.perf_counter() - start)
    start = time.perf_counter()
    VectorIndex(folder, dim).close()
    opened = time.perf_counter() - start
    truth, plain = exact(vectors, asked)
    hits = sum(len(set(ours) & set(theirs)) for ours, theirs in zip(found, truth, strict=True))
    files = {kind: sum(f.stat().st_size for f in folder.glob(f"*.{kind}")) for kind in ("bin", "ann")}
    return {
        "rows": rows,
        "add_s": added,
        "built_s": built,
        "open_s": opened,
        "rows_mb": files["bin"] / 1e6,
        "trees_mb": files["ann"] / 1e6,
        "queries_per_s": rate,
        "exact_per_s": plain,
        "recall": hits / (K * len(asked)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--segment", type=int, default=SEGMENT)
    parser.add_argument("--trees", type=int, default=TREES)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    args = parser.parse_args()
    vectors = looks_of(np.arange(args.rows) // LOOKS, args.dim, seed=1)
    who = np.random.default_rng(2).integers(args.rows // LOOKS, size=args.questions)
    asked = looks_of(who, args.dim, seed=3)
    with tempfile.TemporaryDirectory() as folder:
        got = measure(Path(folder) / "index", vectors, asked, args.segment, args.trees)
    print(f"{args.rows:,} x {args.dim}, segments of {args.segment:,}, {args.trees} trees")
    print(
        f"added in {got['add_s']:.1f} s, all built after {got['built_s']:.1f} s, opened again in {got['open_s']:.1f} s"
    )
    print(f"on disk {got['rows_mb']:.0f} MB of rows and {got['trees_mb']:.0f} MB of trees")
    ratio = got["queries_per_s"] / got["exact_per_s"]
    print(f"{got['queries_per_s']:.0f} queries/s, exact search {got['exact_per_s']:.0f}: {ratio:.1f} times as many")
    print(f"recall@{K} {got['recall']:.3f}")
    if args.json:
        args.json.write_text(json.dumps(got, indent=2))


if __name__ == "__main__":
    main()
