"""Small pictures of stored items."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamproc_plugins.jpeg import to_jpeg

_MARGIN = 0.1
_QUALITY = 80


def thumbnail(rgb: NDArray[np.uint8], box: Sequence[float], longer_side: int) -> bytes:
    """JPEG of a box xyxy in a picture (h, w, 3) with a little around it, its longer side at most so large."""
    height, width = rgb.shape[:2]
    left, top, right, bottom = box
    room = (_MARGIN * (right - left), _MARGIN * (bottom - top))
    x0, x1 = max(int(left - room[0]), 0), min(int(np.ceil(right + room[0])), width)
    y0, y1 = max(int(top - room[1]), 0), min(int(np.ceil(bottom + room[1])), height)
    part = rgb[min(y0, height - 1) : max(y1, y0 + 1), min(x0, width - 1) : max(x1, x0 + 1)]
    return to_jpeg(part, longer_side, _QUALITY)


__all__ = ["thumbnail"]
