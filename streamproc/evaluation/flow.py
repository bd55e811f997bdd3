"""Optical flow against known flow: end-point error, and Middlebury's .flo files.

Baker et al., A Database and Evaluation Methodology for Optical Flow, IJCV 2011; outliers as KITTI 2015 counts them
(Menze and Geiger, CVPR 2015).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from streamproc.evaluation.tables import figures, to_json

F32 = NDArray[np.float32]
Method = Literal["zero", "dis", "dis-fast", "dis-ultrafast", "farneback"]

MAGIC = 202021.25  # its bytes read PIEH
UNKNOWN = 1e9
"""values above this mark pixels whose flow is not known"""
_LONGEST = 1 << 15


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowScore:
    """Errors over the pixels whose true flow is known, in pixels."""

    epe: float
    """mean end-point error: the length of the difference of the two vectors"""
    median: float
    over_1px: float
    """part of the pixels whose error is more than 1 pixel"""
    over_3px: float
    outliers: float
    """part whose error is more than 3 pixels and more than 5 % of the true vector's length (KITTI's Fl)"""
    pixels: int
    """how many were scored"""

    def table(self) -> str:
        """One line a figure."""
        return figures(asdict(self))

    def to_json(self) -> str:
        """One object."""
        return to_json(asdict(self))


def read_flo(path: Path) -> F32:
    """Read flow float32 (h, w, 2), right and down in pixels, from a .flo file; unknown pixels have huge values.

    Raises `ValueError` where it isn't one or is truncated.
    """
    content = path.read_bytes()
    head = np.frombuffer(content[:12].ljust(12, b"\0"), "<f4")
    if len(content) < 12 or head[0] != np.float32(MAGIC):
        raise ValueError(f"{path} is not a .flo file: it begins with {content[:4]!r}, expected b'PIEH'")
    width, height = (int(n) for n in np.frombuffer(content[4:12], "<i4"))
    if not (0 < width <= _LONGEST and 0 < height <= _LONGEST) or len(content) != 12 + 8 * width * height:
        raise ValueError(
            f"{path} says {width}x{height} and has {len(content)} bytes, expected {12 + 8 * width * height}"
        )
    return np.frombuffer(content, "<f4", offset=12).reshape(height, width, 2).astype(np.float32)


def write_flo(path: Path, uv: F32) -> None:
    """Write flow float32 (h, w, 2) in the form of Middlebury's tools."""
    height, width = uv.shape[:2]
    head = np.array([MAGIC], "<f4").tobytes() + np.array([width, height], "<i4").tobytes()
    path.write_bytes(head + np.ascontiguousarray(uv, "<f4").tobytes())


def evaluate(truth: F32, found: F32) -> FlowScore:
    """Score flow (h, w, 2) where the truth is known: finite, and below Middlebury's mark for unknown.

    Raises `ValueError` where the shapes differ, nothing is known, or `found` isn't finite where the truth is known.
    """
    if truth.ndim != 3 or truth.shape[2] != 2 or truth.shape != found.shape:
        raise ValueError(f"the true flow is {truth.shape}, the one found {found.shape}, expected one shape (h, w, 2)")
    known = (np.abs(np.nan_to_num(truth, nan=np.inf)) < UNKNOWN).all(axis=2)
    if not known.any():
        raise ValueError("no pixel of the true flow is known, so there is nothing to score")
    right, got = truth[known].astype(np.float64), found[known].astype(np.float64)
    if not np.isfinite(got).all() or np.abs(got).max() >= UNKNOWN:
        raise ValueError("the flow found has unknown or infinite values at pixels whose true flow is known")
    error, length = np.hypot(*(got - right).T), np.hypot(*right.T)
    return FlowScore(
        epe=float(error.mean()),
        median=float(np.median(error)),
        over_1px=float((error > 1).mean()),
        over_3px=float((error > 3).mean()),
        outliers=float(((error > 3) & (error > 0.05 * length)).mean()),
        pixels=int(known.sum()),
    )


def compute(method: Method, before: NDArray[np.uint8], now: NDArray[np.uint8]) -> F32:
    """The flow (h, w, 2) from one RGB picture to another of the same size, as the engine computes it.

    `dis` is its preset `medium`, the most exact one; `zero` says that nothing moves: the floor.
    """
    import cv2

    from streamproc.chain.flow import picture_flow
    from streamproc.config.plan import FlowPlan

    if before.shape != now.shape:
        raise ValueError(f"the pictures are {before.shape} and {now.shape}, expected one size")
    if method == "zero":
        return np.zeros((*before.shape[:2], 2), np.float32)
    grey = [np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8) for rgb in (before, now)]
    plans = {
        "dis": FlowPlan(method="dis", preset="medium"),
        "dis-fast": FlowPlan(method="dis", preset="fast"),
        "dis-ultrafast": FlowPlan(method="dis", preset="ultrafast"),
        "farneback": FlowPlan(method="farneback"),
    }
    return picture_flow(plans[method], grey[0], grey[1])[0]


__all__ = ["FlowScore", "Method", "compute", "evaluate", "read_flo", "write_flo"]
