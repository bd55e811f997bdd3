"""Approximate search in one segment: an Annoy file (random projection trees) mapped into memory, shared by readers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from streamproc import PluginError

SEED = 20_011
"""of Annoy's projections: the same rows give the same trees"""


def available() -> bool:
    """Whether Annoy is installed; without it everything is searched exactly."""
    try:
        import annoy  # noqa: F401
    except ImportError:
        return False
    return True


def shard_file(folder: Path, number: int, generation: int) -> Path:
    """The tree file of a segment; after a removal it has another name, as readers still map the old one."""
    return folder / f"trees-{number:08d}-{generation}.ann"


def build_shard(path: Path, vectors: NDArray[np.float32], rows: NDArray[np.int64], trees: int) -> None:
    """Write the tree file of these rows in one step; the same bytes for the same vectors on the same kind of CPU.

    vectors: float32 (N, D). rows: which of them take part, rising.
    """
    from annoy import AnnoyIndex

    index: Any = AnnoyIndex(vectors.shape[1], "angular")
    index.set_seed(SEED)
    for item, row in enumerate(rows.tolist()):
        index.add_item(item, vectors[row])
    index.build(trees, n_jobs=1)
    part = path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")
    try:
        index.save(str(part))
        part.replace(path)
    finally:
        index.unload()
        part.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shard:
    """An open tree file."""

    trees: Any
    rows: NDArray[np.int64]
    """int64 (N,): the row within the segment of each of its items"""
    vectors: NDArray[np.float32]
    """float32 (S, D): all rows of the segment, mapped"""

    @classmethod
    def open(cls, path: Path, rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> Shard:
        """Map the file. Raises `PluginError` where it isn't one, or one of another size."""
        from annoy import AnnoyIndex

        dim = vectors.shape[1]
        trees: Any = AnnoyIndex(dim, "angular")
        try:
            trees.load(str(path))
        except OSError as error:
            raise PluginError(f"{path} isn't a tree file of {dim} values a vector ({error}); delete it") from None
        if trees.get_n_items() != len(rows):
            raise PluginError(f"{path} holds {trees.get_n_items()} vectors, expected {len(rows)}; delete it")
        return cls(trees=trees, rows=rows, vectors=vectors)

    def candidates(self, vector: NDArray[np.float32], count: int) -> NDArray[np.int64]:
        """Rows that are probably the nearest, int64 (<= count,), in no order that counts."""
        # twice Annoy's own default: the exact ranking that follows costs little
        found = self.trees.get_nns_by_vector(vector, count, search_k=2 * count * self.trees.get_n_trees())
        return self.rows[np.array(found, np.int64)]

    def close(self) -> None:
        """Release the file."""
        self.trees.unload()
