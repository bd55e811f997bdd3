"""Single pictures in files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from streamproc.frames import Image

PICTURE_SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        "avif", "bmp", "dib", "exr", "hdr", "jp2", "jpe", "jpeg", "jpg", "pbm", "pgm", "pic", "png", "pnm", "ppm",
        "pxm", "ras", "sr", "tif", "tiff", "webp",
    )
)  # fmt: skip
"""endings of the files that are read, in lower case"""


def natural(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Sort key that counts runs of digits as numbers: img2 before img10."""
    parts = re.findall(r"([0-9]+)|([^0-9]+)", str(path))
    return tuple((0, int(digits), digits) if digits else (1, 0, other.lower()) for digits, other in parts)


def read_picture(path: Path) -> Image | None:
    """uint8 (height, width, 3) RGB, None where it isn't a picture that OpenCV reads."""
    import cv2

    try:
        data = np.fromfile(path, dtype=np.uint8)
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error):
        return None
    return None if bgr is None else np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def require_picture(path: Path) -> Image:
    """The same; `ValueError` where it isn't a picture."""
    rgb = read_picture(path)
    if rgb is None:
        raise ValueError(f"{path} {'is not a picture that OpenCV reads' if path.is_file() else 'does not exist'}")
    return rgb


__all__ = ["PICTURE_SUFFIXES", "natural", "read_picture", "require_picture"]
