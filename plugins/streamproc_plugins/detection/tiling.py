"""Look at parts of a picture and at the whole, and make one answer of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc.geometry import box_area, intersection
from streamproc_plugins.detection.decode import FoundBoxes, join_boxes
from streamproc_plugins.detection.nms import suppress

EDGE_PX = 2.0
"""a box that ends nearer than this to an inner border of its tile was probably cut there"""
COVERED = 0.5
"""a cut box goes when another box of its class covers more than this part of it"""

Window = tuple[int, int, int, int]
"""left, top, right, bottom in source pixels, right and bottom exclusive"""


def windows(width: int, height: int, columns: int, rows: int, overlap: float) -> tuple[Window, ...]:
    """Tiles of equal size that cover a picture, row by row; neighbours share `overlap` of their length."""
    spans_x, spans_y = _spans(width, columns, overlap), _spans(height, rows, overlap)
    return tuple((left, top, right, bottom) for top, bottom in spans_y for left, right in spans_x)


def _spans(length: int, count: int, overlap: float) -> list[tuple[int, int]]:
    size = min(length, int(np.ceil(length / (count - (count - 1) * overlap))))
    starts = np.linspace(0, length - size, count).round().astype(int).tolist()
    return [(start, start + size) for start in starts]


def clipped_by_tile(xyxy: NDArray[Any], window: Window, width: int, height: int) -> NDArray[np.bool_]:
    """Boxes (N, 4), in source pixels, that end at a border of their window inside the picture."""
    left, top, right, bottom = window
    return np.asarray(
        ((xyxy[:, 0] < left + EDGE_PX) & (left > 0))
        | ((xyxy[:, 1] < top + EDGE_PX) & (top > 0))
        | ((xyxy[:, 2] > right - EDGE_PX) & (right < width))
        | ((xyxy[:, 3] > bottom - EDGE_PX) & (bottom < height))
    )


def merge_tiles(looks: Sequence[FoundBoxes], clipped: Sequence[NDArray[np.bool_]], limit: float) -> FoundBoxes:
    """One answer from several looks at overlapping parts; boxes in source pixels, best first.

    Whole boxes suppress each other by IoU above `limit`. A box that a tile's border cut (`clipped`) is only a piece: it
    goes where a whole box of its class, or a better piece, covers more than half of it.
    """
    found, pieces = join_boxes(looks), np.concatenate(clipped)
    whole = found.rows(np.flatnonzero(~pieces))
    retained = whole.rows(suppress(whole.xyxy, whole.score, whole.class_id, limit))
    rest = found.rows(np.flatnonzero(pieces))
    for row in np.argsort(-rest.score, kind="stable"):
        piece = rest.rows(np.array([row]))
        same = retained.class_id == piece.class_id[0]
        common = intersection(piece.xyxy, retained.xyxy[same])
        if not (common > COVERED * box_area(piece.xyxy)[:, None]).any():
            retained = join_boxes([retained, piece])
    return retained.rows(np.argsort(-retained.score, kind="stable"))
