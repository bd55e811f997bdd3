"""Quality of a face's picture: measures as functions of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


def eye_distance(landmarks: NDArray[Any]) -> F32:
    """Pixels between the eyes of faces (N, 5, 2), float32 (N,)."""
    way = landmarks[:, 1] - landmarks[:, 0]
    return np.asarray(np.hypot(way[:, 0], way[:, 1]), np.float32)


def frontalness(landmarks: NDArray[Any]) -> F32:
    """Frontalness of faces (N, 5, 2), float32 (N,): 1 straight, 0 in profile.

    Measured is where the nose stands between the eyes, along the line through them: the middle is 1, an eye is 0.
    """
    eyes = np.asarray(landmarks[:, 1] - landmarks[:, 0], np.float64)
    nose = np.asarray(landmarks[:, 2], np.float64) - landmarks[:, :2].mean(axis=1)
    along = (nose * eyes).sum(axis=1) / np.maximum((eyes**2).sum(axis=1), 1e-9)
    return np.asarray(np.clip(1 - 2 * np.abs(along), 0, 1), np.float32)


def sharpness(face: NDArray[np.uint8]) -> float:
    """Variance of the Laplacian of an aligned face uint8 (h, w, 3), in squared grey levels: low where it is blurred.

    After Pertuz et al., Analysis of focus measure operators, Pattern Recognition 2013 (there LAPV).
    """
    import cv2

    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())
