"""Makers of streams, frames, clips and results, each with sensible values for everything that isn't given."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from streamproc.frames import SECOND_NS, ArrayPicture, Clip, Frame, PixelCache, StreamInfo
from streamproc.results import Detections, Tracks

Box = Sequence[float]


def make_info(
    name: str = "test", *, width: int = 64, height: int = 48, rate: float = 10, live: bool = False
) -> StreamInfo:
    """A recorded (or live) stream of `width` x `height` pixels."""
    exact = Fraction(rate).limit_denominator(1001)
    return StreamInfo(name=name, identity=f"made:{name}", width=width, height=height, rate=exact, live=live)


def make_frame(
    *,
    fill: int | tuple[int, int, int] = 0,
    rgb: NDArray[np.uint8] | None = None,
    index: int = 0,
    pts_s: float | None = None,
    info: StreamInfo | None = None,
) -> Frame:
    """One frame: of one colour, or with these pixels (uint8 (h, w, 3)); its time follows from `index` unless given."""
    if info is None:
        height, width = (48, 64) if rgb is None else rgb.shape[:2]
        info = make_info(width=width, height=height)
    if rgb is None:
        rgb = np.full((info.height, info.width, 3), fill, np.uint8)
    pts_ns = round(pts_s * SECOND_NS) if pts_s is not None else index * (info.nominal_ns or SECOND_NS // 10)
    return Frame(stream=info, index=index, pts_ns=pts_ns, pixels=PixelCache(ArrayPicture(rgb.copy())), keyframe=True)


def make_frames(count: int, *, info: StreamInfo | None = None, fill: int = 0) -> list[Frame]:
    """`count` frames of one stream at its nominal rate."""
    info = info or make_info()
    return [make_frame(fill=fill, index=index, info=info) for index in range(count)]


def make_clip(frames: int = 4, *, width: int = 16, height: int = 16, rate: float = 10, seed: int = 0) -> Clip:
    """A clip of noise, the same for the same seed."""
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
    pts_ns = np.arange(frames, dtype=np.int64) * round(SECOND_NS / rate)
    info = make_info(width=width, height=height, rate=rate)
    last = make_frame(rgb=rgb[-1], index=frames - 1, pts_s=float(pts_ns[-1]) / SECOND_NS, info=info)
    return Clip(stream=info, rgb=rgb, pts_ns=pts_ns, last=last)


def make_detections(*boxes: Box, label: str = "person", score: float = 0.9) -> Detections:
    """Detections of one label from boxes `left, top, right, bottom`."""
    count = len(boxes)
    return Detections.of(np.array(boxes, np.float32).reshape(-1, 4), np.full(count, score), [label] * count)


def make_tracks(
    boxes: dict[int, Box], *, label: str = "person", score: float = 0.9, state: str = "confirmed"
) -> Tracks:
    """Tracks from boxes by track id, standing still."""
    found = make_detections(*boxes.values(), label=label, score=score)
    count = len(boxes)
    return Tracks(
        xyxy=found.xyxy,
        score=found.score,
        class_id=found.class_id,
        label=found.label,
        track_id=np.array(list(boxes), np.int64),
        state=(state,) * count,
        velocity=np.zeros((count, 2), np.float32),
        age_ns=np.zeros(count, np.int64),
    )
