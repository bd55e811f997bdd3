"""Single pictures in files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from streamproc.frames import Image
from streamproc.media.header import HEAD_BYTES, MAX_PIXELS, TIFF, too_large

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


def oversize(path: Path, max_pixels: int) -> str:
    """Describe the fault of a file of more pixels than allowed; empty where nothing is, or where it can't be read."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            rest = file.read() if head.startswith(TIFF) else b""  # its directory may stand anywhere
            return too_large(head + rest, max_pixels)
    except OSError:
        return ""


def read_picture(path: Path, max_pixels: int = MAX_PIXELS) -> Image | None:
    """uint8 (height, width, 3) RGB, None where it isn't a picture that OpenCV reads or has more than `max_pixels`."""
    import cv2

    try:
        data = np.fromfile(path, dtype=np.uint8)
        if too_large(data.tobytes(), max_pixels):
            return None
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error):
        return None
    return None if bgr is None else np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def require_picture(path: Path) -> Image:
    """Read a still picture; `ValueError` where it isn't one."""
    rgb = read_picture(path)
    if rgb is None:
        if found := oversize(path, MAX_PIXELS):
            raise ValueError(f"{path}: {found}")
        raise ValueError(f"{path} {'is not a picture that OpenCV reads' if path.is_file() else 'does not exist'}")
    return rgb


__all__ = ["PICTURE_SUFFIXES", "natural", "oversize", "read_picture", "require_picture"]
