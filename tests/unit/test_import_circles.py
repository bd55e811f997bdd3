"""No module imports itself through others, imports for type checkers included."""

from __future__ import annotations

from collections import defaultdict

import grimp
import numpy as np
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


@pytest.mark.parametrize("package", ["streamproc", "streamproc_plugins"])
def test_no_module_stands_in_an_import_circle(package: str) -> None:
    graph = grimp.build_graph(package, cache_dir=None)
    modules = sorted(graph.modules)
    places = {module: place for place, module in enumerate(modules)}
    edges = np.array(
        [
            (places[module], places[imported])
            for module in modules
            for imported in graph.find_modules_directly_imported_by(module)
        ]
    )
    matrix = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(len(modules),) * 2)
    _, parts = connected_components(matrix, directed=True, connection="strong")
    circles = defaultdict(list)
    for module, part in zip(modules, parts.tolist(), strict=True):
        circles[part].append(module)
    assert [circle for circle in circles.values() if len(circle) > 1] == []
