"""Faces turned upright and scaled to one size by their landmarks: functions of arrays."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 112
"""of an aligned face, in pixels"""

TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float64
)
"""where eyes, nose and mouth corners lie in an aligned face of 112x112 (ArcFace, Deng et al., CVPR 2019)"""
TEMPLATE.flags.writeable = False


def similarity(source: NDArray[Any], target: NDArray[Any]) -> NDArray[np.float64]:
    """Turn, scale and shift that bring points closest (least squares), float64 (2, 3): `target = A @ (x, y, 1)`.

    source, target: (N, 2), N >= 2. Umeyama, Least-squares estimation of transformation parameters between two point
    patterns, TPAMI 1991; never a reflection. Raises `ValueError` where all source points are one.
    """
    a, b = np.asarray(source, np.float64), np.asarray(target, np.float64)
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    a, b = a - mean_a, b - mean_b
    spread = float((a**2).sum()) / len(a)
    if not spread > 1e-12:
        raise ValueError("the landmarks of a face are all one point, or not finite; expected five different ones")
    u, d, vt = np.linalg.svd(b.T @ a / len(a))
    sign = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt)) or 1.0])
    turn = (u * sign) @ vt
    scale = float((d * sign).sum()) / spread
    return np.column_stack([scale * turn, mean_b - scale * turn @ mean_a])


def align(rgb: NDArray[np.uint8], landmarks: NDArray[Any], side: int = SIDE) -> NDArray[np.uint8]:
    """The face with these landmarks (5, 2) of a picture uint8 (h, w, 3), as uint8 (side, side, 3).

    Black where it reaches over the picture's border. Faces that shrink to less than half are averaged, so that none
    of their pixels are skipped.
    """
    import cv2

    matrix = similarity(landmarks, TEMPLATE * (side / SIDE))
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    finer = min(ceil(1 / (2 * max(scale, 1e-3))), 16)
    large = side * finer
    # a pixel's centre lies at a half: scaled about that, not about the corner
    matrix = matrix * finer
    matrix[:, 2] += (finer - 1) / 2
    face = cv2.warpAffine(rgb, matrix, (large, large), flags=cv2.INTER_LINEAR)
    if finer > 1:
        face = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(face, np.uint8)
