"""Pictures made ready to leave this machine: parts covered for good, smaller, as JPEG files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc_plugins.blur.anonymise import anonymise, grown

Image = NDArray[np.uint8]

_MARGIN = 0.15
_QUALITY = 85


def hidden(rgb: Image, boxes: Sequence[NDArray[Any]]) -> Image:
    """A picture uint8 (h, w, 3) in which what is in the boxes (N, 4), and a margin around, can't be recognised."""
    if not boxes:
        return rgb
    return anonymise(
        rgb, grown(np.concatenate([np.asarray(part, np.float64).reshape(-1, 4) for part in boxes]), _MARGIN)
    )


def jpeg(rgb: Image, longest_side: int) -> bytes:
    """A picture as a JPEG file, no side longer than this."""
    import cv2

    height, width = rgb.shape[:2]
    scale = min(longest_side / max(height, width), 1.0)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = rgb if size == (width, height) else cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return bytes(data.tobytes())
