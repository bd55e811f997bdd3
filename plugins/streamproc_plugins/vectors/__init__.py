"""Nearest vectors: an index on disk that grows while it is searched. For the plugins here and for yours.

>>> from streamproc_plugins.vectors import VectorIndex
>>> with VectorIndex(folder, dim=256) as index:  # doctest: +SKIP
...     index.add([7], vectors, times_ns=[0])
...     ids, cosine = index.query(vector, k=20)
"""

from streamproc_plugins.vectors.index import SEGMENT, TREES, VectorIndex

__all__ = ["SEGMENT", "TREES", "VectorIndex"]
