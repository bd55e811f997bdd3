"""Masks of people: each pixel goes to the person whose keypoints it points at. Functions of arrays.

Papandreou et al., PersonLab: Person Pose Estimation and Instance Segmentation with a Bottom-Up, Part-Based, Geometric
Embedding Model, ECCV 2018, section 3.3. Every place of the person segment has long-range offsets to its own person's 17
keypoints; it goes to the person whose keypoints they hit best.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from streamproc.errors import check_array
from streamproc_plugins.pose.bottom_up import HEADS, PARTS, PoseHeads, pose_heads, sampled, sigmoid

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

SEGMENT_HEADS = {**HEADS, "float_segments": 1, "float_long_offsets": 2 * PARTS}
"""channels of the outputs that people and their masks are made of, by name; each (1, h, w, channels)"""

_SURE = 0.05
"""keypoints less sure don't help to separate people"""
WORK_SIDE = 512
"""longer side of the grid on which people are separated, pixels"""
_EDGE = 0.02
"""least weight of a cell, so that none has none"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmentHeads:
    """Output of such a net for one picture, in real numbers on a corner-aligned grid of (h, w)."""

    poses: PoseHeads
    person: F32
    """float32 (h, w), 0..1: the place belongs to a person"""
    long: F32
    """float32 (h, w, 17, 2): x, y from the cell to the keypoints of the person that it belongs to, input pixels"""

    def __post_init__(self) -> None:
        hw = self.poses.scores.shape[:2]
        check_array("SegmentHeads.person", self.person, np.float32, hw)
        check_array("SegmentHeads.long", self.long, np.float32, (*hw, PARTS, 2))
        for field in fields(self)[1:]:
            getattr(self, field.name).flags.writeable = False


def segment_heads(maps: Mapping[str, F32], stride: float) -> SegmentHeads:
    """The heads from `real_maps`: the segment as a logit, offsets with all y before all x, as BodyPix orders them."""
    offsets = maps["float_long_offsets"]
    pairs = offsets.reshape(*offsets.shape[:2], 2, PARTS)
    return SegmentHeads(
        poses=pose_heads(maps, stride),
        person=sigmoid(maps["float_segments"][..., 0]),
        long=np.ascontiguousarray(pairs[..., ::-1, :].swapaxes(-1, -2)),
    )


def embedding(heads: SegmentHeads, cells: NDArray[np.bool_], long_steps: int = 2, short_steps: int = 2) -> F32:
    """Keypoints that cells point at, float32 (P, 17, 2): x, y in input pixels.

    cells: bool (h, w), the P cells to follow. Long-range offsets fall short of far keypoints, so those at the place
    reached lead on, `long_steps` times (as BodyPix does); then short-range offsets correct the rest (as PersonLab
    does).
    """
    stride = heads.poses.stride
    rows, columns = np.nonzero(cells)
    own = np.stack([columns, rows], axis=1).astype(np.float32) * np.float32(stride)
    xy = (own[:, None] + heads.long[cells]).reshape(-1, 2)
    part = np.tile(np.arange(PARTS), len(rows))
    for maps in (*[heads.long] * long_steps, *[heads.poses.short] * short_steps):
        xy = xy + sampled(maps, stride, xy, (part,))
    return np.asarray(xy.reshape(-1, PARTS, 2), np.float32)


def sizes(people: F32, sure: float = _SURE) -> F32:
    """The root of the area of the box round each person's keypoints, float32 (N,), at least 1; people (N, 17, 3)."""
    scored = (people[..., 2] >= sure)[..., None]
    low = np.where(scored, people[..., :2], np.inf).min(axis=1)
    high = np.where(scored, people[..., :2], -np.inf).max(axis=1)
    sides = np.maximum(np.where(np.isfinite(high - low), high - low, 0), 1)
    return np.asarray(np.sqrt(sides.prod(axis=-1)), np.float32)


def distances(places: F32, people: F32) -> F32:
    """Distance of the keypoints of places from those of each person, in the person's size: float32 (P, N).

    places: (P, 17, 2) as `embedding` gives them. people: (N, 17, 3). The mean over keypoints, weighed by how sure the
    person's are (PersonLab, equation 6); infinite for a person without any.
    """
    weight = np.where(people[..., 2] >= _SURE, people[..., 2], 0).astype(np.float32)
    total = np.zeros((len(places), len(people)), np.float32)
    for part in range(PARTS):  # at once it would take 17 times the memory
        away = places[:, None, part] - people[:, part, :2]
        total += weight[:, part] * np.hypot(away[..., 0], away[..., 1])
    whole = weight.sum(axis=1)
    return np.where(whole > 0, total / np.maximum(whole * sizes(people), 1e-6), np.float32(np.inf))


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskGrid:
    """A grid that covers the whole picture, which lies in the net's input as `scale` says."""

    width: int
    height: int
    scale_x: float
    """cells of the net's grid per pixel of this one"""
    scale_y: float

    def at_most(self, side: int) -> MaskGrid:
        """The same, its longer side at most `side`."""
        shrink = side / max(self.width, self.height)
        if shrink >= 1:
            return self
        width, height = max(round(self.width * shrink), 1), max(round(self.height * shrink), 1)
        scale_x, scale_y = self.scale_x * self.width / width, self.scale_y * self.height / height
        return MaskGrid(width=width, height=height, scale_x=scale_x, scale_y=scale_y)


def enlarged(maps: F32, target: MaskGrid) -> F32:
    """`maps` (h, w) or (h, w, c) of the net's corner-aligned grid on the masks' grid, bilinear: (H, W) or (H, W, c)."""
    import cv2

    # the middle of the first pixel is half a pixel inside the picture
    matrix = np.array(
        [[target.scale_x, 0, 0.5 * target.scale_x], [0, target.scale_y, 0.5 * target.scale_y]], np.float64
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (target.width, target.height)
    return np.asarray(cv2.warpAffine(maps, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32)


def pixel_owners(heads: SegmentHeads, people: F32, target: MaskGrid, limit: float) -> NDArray[np.int16]:
    """Owner of each pixel if it were a person's: row of `people` int16 (H, W), or -1 where no person is near.

    Distances are made on the net's grid and enlarged, each cell weighed by how sure it is a person's: cells of the
    background don't count.
    """
    weight = np.maximum(np.square(heads.person), _EDGE)
    asked = weight > _EDGE
    far = np.full((*asked.shape, len(people)), 2 * limit, np.float32)
    far[asked] = np.minimum(distances(embedding(heads, asked), people), 4 * limit)
    total = enlarged(weight, target)
    best = np.full((target.height, target.width), limit, np.float32)
    owner = np.full(best.shape, -1, np.int16)
    for row in range(len(people)):
        distance = enlarged(far[..., row] * weight, target) / total
        nearer = distance < best
        best[nearer], owner[nearer] = distance[nearer], row
    return owner


def people_masks(
    heads: SegmentHeads, people: F32, target: MaskGrid, threshold: float, limit: float
) -> NDArray[np.bool_]:
    """bool (N, H, W): the pixels of each person, no pixel with two.

    people: (N, 17, 3) x, y, score in input pixels. threshold: of the person segment. limit: pixels farther from every
    person (`distances`) have no owner. Borders between people are as fine as `WORK_SIDE` allows, those to the
    background as fine as the target.
    """
    import cv2

    masks = np.zeros((len(people), target.height, target.width), np.bool_)
    here = enlarged(heads.person, target) >= threshold
    if not len(people) or not here.any():
        return masks
    owner = pixel_owners(heads, people, target.at_most(WORK_SIDE), limit)
    size = (target.width, target.height)
    enlarged_owner = cv2.resize(owner, size, interpolation=cv2.INTER_NEAREST)
    enlarged_owner[~here] = -1
    for row in range(len(people)):
        np.equal(enlarged_owner, row, out=masks[row])
    return masks


def boxes_of(masks: NDArray[np.bool_]) -> F32:
    """Boxes float32 (N, 4) of the masks (N, H, W) in their pixels, right and bottom exclusive; zeros for empty ones."""
    import cv2

    out = np.zeros((len(masks), 4), np.float32)
    for row, mask in enumerate(masks):
        left, top, width, height = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
        out[row] = (left, top, left + width, top + height)
    return out


__all__ = [
    "SEGMENT_HEADS",
    "WORK_SIDE",
    "MaskGrid",
    "SegmentHeads",
    "boxes_of",
    "distances",
    "embedding",
    "enlarged",
    "people_masks",
    "pixel_owners",
    "segment_heads",
    "sizes",
]
