"""Makers of streams, frames, clips and results, with sensible defaults for everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from streamproc.frames import SECOND_NS, ArrayPicture, Clip, Flow, Frame, PixelCache, StreamInfo
from streamproc.record import Record
from streamproc.results import Classification, Detections, Faces, Poses, Tracks

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
    """Make a frame of one colour, or of these pixels (uint8 (h, w, 3)); its time follows from `index` by default."""
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


def make_classification(**scores: float) -> Classification:
    """Labels with their scores, best first: `make_classification(walk=0.8, run=0.1)`."""
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    return Classification(
        label=tuple(label for label, _ in ranked),
        score=np.array([score for _, score in ranked], np.float32),
        class_id=np.array([list(scores).index(label) for label, _ in ranked], np.int64),
    )


def make_poses(*boxes: Box, score: float = 0.9) -> Poses:
    """Upright people, one in each box `left, top, right, bottom`, arms hanging down; every keypoint with this score."""
    corners = np.array(boxes, np.float32).reshape(-1, 1, 4)
    xy = corners[..., :2] + _UPRIGHT * (corners[..., 2:] - corners[..., :2])
    keypoints = np.concatenate([xy, np.full((*xy.shape[:2], 1), score, np.float32)], axis=2)
    return Poses(keypoints=keypoints.astype(np.float32), score=np.full(len(boxes), score, np.float32))


def make_faces(*boxes: Box, score: float = 0.9, embeddings: NDArray[np.float32] | None = None) -> Faces:
    """Faces that look ahead, one in each box; embeddings: float32 (N, D), brought to unit length."""
    corners = np.array(boxes, np.float32).reshape(-1, 1, 4)
    landmarks = corners[..., :2] + _FACE * (corners[..., 2:] - corners[..., :2])
    unit = None if embeddings is None else embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    return Faces(
        xyxy=corners[:, 0],
        score=np.full(len(boxes), score, np.float32),
        landmarks=landmarks.astype(np.float32),
        embeddings=None if unit is None else unit.astype(np.float32),
    )


def make_flow(right: float = 0.0, down: float = 0.0, *, width: int = 32, height: int = 24, dt_s: float = 0.1) -> Flow:
    """Optical flow that is the same everywhere, in pixels of a grid as large as the picture."""
    uv = np.full((height, width, 2), (right, down), np.float32)
    return Flow(uv=uv, dt_ns=round(dt_s * SECOND_NS))


def make_records(count: int, *, info: StreamInfo | None = None) -> list[Record]:
    """Records of successive frames of one stream with tracks: none in the first, one in the second, and so on to two.

    The last one stands for the end of the stream.
    """
    info = info or make_info()
    made = []
    for index in range(count):
        boxes: dict[int, Box] = {n + 1: (8 * n, 4, 8 * n + 8, 20) for n in range(index % 3)}
        last = index == count - 1
        record = Record(
            stream=info,
            index=index,
            pts_ns=index * (info.nominal_ns or SECOND_NS // 10),
            results={} if last else {("tracks", Tracks): make_tracks(boxes)},
            verdicts={} if last else {"tracks": "ok"},
            reason="end" if last else "",
            gives=(("tracks", Tracks),),
        )
        made.append(record)
    return made


def frames_of(clip: Clip) -> list[Frame]:
    """The pictures of a clip as frames at their times, to give them to a plugin of another kind."""
    height, width = clip.rgb.shape[1:3]
    info = replace(clip.stream, width=width, height=height)
    times = clip.pts_ns.tolist()
    return [
        make_frame(rgb=rgb, index=index, pts_s=pts_ns / SECOND_NS, info=info)
        for index, (rgb, pts_ns) in enumerate(zip(clip.rgb, times, strict=True))
    ]


_FACE = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)], np.float32)
"""right eye, left eye, nose, right and left corner of the mouth, in parts of the box"""

_UPRIGHT = np.array(
    [
        (0.5, 0.08), (0.54, 0.06), (0.46, 0.06), (0.58, 0.08), (0.42, 0.08),  # nose, eyes, ears
        (0.7, 0.2), (0.3, 0.2), (0.78, 0.35), (0.22, 0.35), (0.8, 0.5), (0.2, 0.5),  # shoulders, elbows, wrists
        (0.62, 0.52), (0.38, 0.52), (0.62, 0.75), (0.38, 0.75), (0.62, 0.97), (0.38, 0.97),  # hips, knees, ankles
    ],
    np.float32,
)  # fmt: skip
"""COCO-17 keypoints in parts of the box"""
