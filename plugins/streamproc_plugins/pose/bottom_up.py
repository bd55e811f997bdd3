"""All people of a picture at once: heat maps and offsets to poses, functions of arrays.

The greedy multi-person decoder of PersonLab (Papandreou et al., PersonLab: Person Pose Estimation and Instance
Segmentation with a Bottom-Up, Part-Based, Geometric Embedding Model, ECCV 2018), as PoseNet and BodyPix use it. The
grid of the maps is corner-aligned: the cell in row r and column c stands for the pixel (c * stride, r * stride).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc import ModelError
from streamproc.errors import check_array
from streamproc.models import Net

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

PARTS = 17
EDGES: tuple[tuple[int, int], ...] = (
    (0, 1), (1, 3), (0, 2), (2, 4), (0, 5), (5, 7), (7, 9), (5, 11), (11, 13), (13, 15), (0, 6), (6, 8), (8, 10),
    (6, 12), (12, 14), (14, 16),
)  # fmt: skip
"""The tree along which mid-range offsets lead, (parent, child) in COCO-17 order; `forward` leads to the child."""

HEADS = {
    "float_heatmaps": PARTS,
    "float_short_offsets": 2 * PARTS,
    "float_mid_offsets": 4 * len(EDGES),
}
"""channels of the outputs that poses are made of, by name; each (1, h, w, channels)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeSettings:
    """Limits for a person. Lengths in input pixels."""

    min_root: float = 0.4
    """score, 0..1, from which a local maximum of a heat map may begin a person"""
    min_score: float = 0.2
    """mean keypoint score, 0..1, below which a pose is dropped"""
    nms_radius: float = 20.0
    """one keypoint of the same kind within this distance is enough; people farther apart are separate"""
    refine_steps: int = 2
    """how often a keypoint that was reached is corrected by the short-range offsets"""
    max_roots: int = 512
    """most local maxima that are followed, best first"""
    max_people: int = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PoseHeads:
    """Output of such a net for one picture, in real numbers on a grid of (h, w)."""

    scores: F32
    """float32 (h, w, 17), 0..1: a keypoint of this kind is near"""
    short: F32
    """float32 (h, w, 17, 2): x, y from the cell to the keypoint near it, input pixels"""
    mid: F32
    """float32 (h, w, 2, 16, 2): x, y from one end of an edge to the other of the same person; forward, then back"""
    stride: float
    """input pixels from one cell to the next"""

    def __post_init__(self) -> None:
        check_array("PoseHeads.scores", self.scores, np.float32, (None, None, PARTS))
        hw = self.scores.shape[:2]
        check_array("PoseHeads.short", self.short, np.float32, (*hw, PARTS, 2))
        check_array("PoseHeads.mid", self.mid, np.float32, (*hw, 2, len(EDGES), 2))
        for field in fields(self)[:3]:
            getattr(self, field.name).flags.writeable = False


def check_heads(net: Net, decode: str, channels: Mapping[str, int] = HEADS) -> float:
    """The stride of a net's maps, after a look at whether it has them all, on one grid.

    channels: of each output wanted, by name. Raises `ModelError` naming both shapes where one is missing or doesn't
    fit the others.
    """
    height, width = net.input_hw or (0, 0)
    rows = {tensor.name: tensor.shape[1] for tensor in net.outputs if len(tensor.shape) == 4}.get(next(iter(channels)))
    stride = float(round(height / (rows - 1))) if rows and rows > 1 else 16.0
    grid = (round(height / stride) + 1, round(width / stride) + 1) if height else (None, None)
    net.expect(decode, {name: (1, *grid, count) for name, count in channels.items()})
    return stride


def real_maps(net: Net, outputs: Sequence[NDArray[Any]], names: Sequence[str]) -> dict[str, F32]:
    """The named outputs of one picture as real numbers, float32 (h, w, channels): dequantised, without the batch.

    Raises `ModelError` where they aren't finite, as otherwise it would find no people without a reason.
    """
    found = {tensor.name: (tensor, values) for tensor, values in zip(net.outputs, outputs, strict=True)}
    maps = {name: found[name][0].dequantise(found[name][1][0]) for name in names}
    for values in maps.values():
        check_finite(net, values)
    return maps


def check_finite(net: Net, values: NDArray[Any]) -> None:
    """Raise `ModelError` for an answer that holds NaN or infinity."""
    if not np.isfinite(values).all():
        raise ModelError(
            f"{net.entry.name} answered numbers that are not finite; its weights or its input scale are wrong"
        )


def pose_heads(maps: Mapping[str, F32], stride: float) -> PoseHeads:
    """The heads from `real_maps`: heat maps as logits, offsets with all y before all x, as PoseNet orders them."""
    short, mid = maps["float_short_offsets"], maps["float_mid_offsets"]
    hw = short.shape[:2]
    pairs = short.reshape(*hw, 2, PARTS)
    # forward y, forward x, back y, back x
    edges = mid.reshape(*hw, 2, 2, len(EDGES))
    return PoseHeads(
        scores=sigmoid(maps["float_heatmaps"]),
        short=np.ascontiguousarray(pairs[..., ::-1, :].swapaxes(-1, -2)),
        mid=np.ascontiguousarray(edges[..., ::-1, :].swapaxes(-1, -2)),
        stride=stride,
    )


def sigmoid(logits: F32) -> F32:
    """Scores 0..1 of logits, of the same shape."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -60, 60))), np.float32)


def decode_poses(heads: PoseHeads, settings: DecodeSettings | None = None) -> tuple[F32, F32]:
    """People of one picture, best first: keypoints float32 (N, 17, 3) x, y, score in input pixels; scores (N,).

    Local maxima are the queue of roots, best first. Each root is followed along the tree to all other parts (its path
    to a part is the only one, so all roots go at once), a root that lies on the same part of a person already found is
    left out, and a person's score counts only keypoints that no better one has. A keypoint outside the input has the
    score 0.
    """
    settings = settings or DecodeSettings()
    xy, score, part = local_maxima(heads, settings)
    points = follow(heads, xy, score, part, settings.refine_steps)
    taken = _greedy(points, part, settings.nms_radius, settings.max_people)
    people = points[taken]
    worth = instance_scores(people, settings.nms_radius)
    order = np.argsort(-worth, kind="stable")
    order = order[worth[order] >= settings.min_score]
    return people[order], worth[order]


def local_maxima(heads: PoseHeads, settings: DecodeSettings) -> tuple[F32, F32, I64]:
    """Places float32 (R, 2) x, y in input pixels, scores (R,) and parts (R,) of heat map maxima, best first.

    A maximum is nowhere exceeded among its eight neighbours, and its place is refined by the short-range offsets.
    """
    scores = heads.scores
    height, width = scores.shape[:2]
    padded = np.pad(scores, ((1, 1), (1, 1), (0, 0)))
    around = np.max([padded[r : r + height, c : c + width] for r in range(3) for c in range(3)], axis=0)
    rows, columns, parts = np.nonzero((scores >= settings.min_root) & (scores == around))
    found = scores[rows, columns, parts]
    best = np.argsort(-found, kind="stable")[: settings.max_roots]
    rows, columns, parts = rows[best], columns[best], parts[best]
    cells = np.stack([columns, rows], axis=1) * heads.stride
    xy = cells + heads.short[rows, columns, parts]
    return xy.astype(np.float32), found[best], parts.astype(np.int64)


def follow(heads: PoseHeads, xy: F32, score: F32, part: I64, refine_steps: int) -> F32:
    """All parts of the people whose parts `part` (R,) lie at `xy` (R, 2): float32 (R, 17, 3)."""
    points = np.zeros((len(xy), PARTS, 3), np.float32)
    each = np.arange(len(xy))
    points[each, part, :2], points[each, part, 2] = xy, score
    routes = _routes()
    for step in range(len(EDGES)):
        source, target, edge, way = routes[part, step].T
        place = points[each, source, :2]
        place = place + sampled(heads.mid, heads.stride, place, (way, edge))
        for _ in range(refine_steps):
            place = place + sampled(heads.short, heads.stride, place, (target,))
        points[each, target, :2] = place
        points[each, target, 2] = sampled(heads.scores, heads.stride, place, (target,))
    limit = (np.array(heads.scores.shape[1::-1], np.float32) - 1) * np.float32(heads.stride)
    outside = ((points[..., :2] < 0) | (points[..., :2] > limit)).any(axis=-1)
    points[..., 2] = np.where(outside, 0, np.clip(points[..., 2], 0, 1))
    return points


def instance_scores(people: F32, radius: float) -> F32:
    """Score (N,) of each person of `people` (N, 17, 3), best first: the mean over keypoints that no one before has.

    PersonLab's soft non-maximum suppression of keypoints (section 3.2).
    """
    worth = np.zeros(len(people), np.float32)
    for row, person in enumerate(people):
        away = person[:, :2] - people[:row, :, :2]
        own = (np.square(away).sum(axis=-1) > radius * radius).all(axis=0)
        worth[row] = person[own, 2].sum() / PARTS
    return worth


def _greedy(points: F32, part: I64, radius: float, most: int) -> list[int]:
    """Rows whose root isn't on the same part of an earlier one."""
    retained: list[int] = []
    roots = points[np.arange(len(points)), part, :2]
    for row in range(len(points)):
        away = points[retained, part[row], :2] - roots[row]
        if (np.square(away).sum(axis=-1) > radius * radius).all():
            retained.append(row)
            if len(retained) >= most:
                break
    return retained


@lru_cache(maxsize=1)
def _routes() -> I64:
    """int64 (17, 16, 4): from each root the steps to all other parts; source, target, edge, 0 forward or 1 back."""
    routes = np.zeros((PARTS, len(EDGES), 4), np.int64)
    for root in range(PARTS):
        reached, steps = [root], []
        for source in reached:
            for edge, (parent, child) in enumerate(EDGES):
                for way, (start, end) in enumerate(((parent, child), (child, parent))):
                    if start == source and end not in reached:
                        reached.append(end)
                        steps.append((source, end, edge, way))
        routes[root] = steps
    routes.flags.writeable = False
    return routes


def sampled(maps: F32, stride: float, xy: F32, channel: tuple[I64, ...]) -> F32:
    """`maps` (h, w, ...) at the places xy (R, 2) in input pixels, between four cells, each in its own channel."""
    height, width = maps.shape[:2]
    cells = np.clip(xy / np.float32(stride), 0, np.array([width - 1, height - 1], np.float32))
    low = np.minimum(cells.astype(np.int64), [max(width - 2, 0), max(height - 2, 0)])
    part = cells - low
    (left, top), (right, bottom) = low.T, np.minimum(low + 1, [width - 1, height - 1]).T
    upper_left = maps[(top, left, *channel)]
    across, down = (part[:, axis].reshape(-1, *(1,) * (upper_left.ndim - 1)) for axis in (0, 1))
    above = upper_left * (1 - across) + maps[(top, right, *channel)] * across
    below = maps[(bottom, left, *channel)] * (1 - across) + maps[(bottom, right, *channel)] * across
    return np.asarray(above * (1 - down) + below * down, np.float32)


__all__ = [
    "EDGES",
    "HEADS",
    "DecodeSettings",
    "PoseHeads",
    "check_finite",
    "check_heads",
    "decode_poses",
    "follow",
    "instance_scores",
    "local_maxima",
    "pose_heads",
    "real_maps",
    "sampled",
    "sigmoid",
]
