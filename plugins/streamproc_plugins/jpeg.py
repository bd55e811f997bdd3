"""Pictures as JPEG files, for pages, thumbnails and requests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def to_jpeg(rgb: NDArray[np.uint8], longest_side: int | None = None, quality: int = 85) -> bytes:
    """A picture uint8 (h, w, 3) as a JPEG file, no side longer than this; quality: 0 to 100."""
    import cv2

    height, width = rgb.shape[:2]
    scale = 1.0 if longest_side is None else min(longest_side / max(height, width), 1.0)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = rgb if size == (width, height) else cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(data.tobytes())


__all__ = ["to_jpeg"]
