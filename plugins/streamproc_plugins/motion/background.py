"""What the picture looks like while nothing moves, and which parts of it move. Knows grey pictures and media time only.

Background: a running mean and deviation of each pixel (a single Gaussian, Wren et al. 1997), light changes of the whole
picture taken out first. Something moves where the picture differs from the background *and* from itself a moment ago:
what was put down or taken away differs from the background only, and is soon part of it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc_plugins.packing import pack, unpack

Gray = NDArray[np.uint8]
Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Boxes = NDArray[np.float32]

_NS = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Grey levels are 0..255, times seconds of media time, areas parts of the picture."""

    contrast: float = 14.0
    """least difference in grey levels; pixels that flicker need more"""
    min_area: float = 0.002
    learn_s: float = 8.0
    """time over which the background follows slow changes"""
    still_s: float = 1.0
    """what differs from the background but doesn't change for so long becomes part of it"""
    global_share: float = 0.4
    """part of the picture that changes at once from which it is the light or the camera"""
    settle_s: float = 1.5
    """quiet after such a change, while the camera adapts"""
    shadows: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """What moves in a frame."""

    boxes: Boxes
    """float32 (N, 4) xyxy, pixels of the small picture, largest first; none overlap"""
    strength: NDArray[np.float32]
    """float32 (N,), 0..1: part of the box that moves or differs"""
    settling: bool
    """the picture changed as a whole; nothing is said for a while"""


_DEVIATIONS = 4.0
_LOOK_BACK_NS = 120_000_000
_LONGEST_BACK_NS = 3_000_000_000
_START_DEVIATION = 3.0
_MOST_GAIN = 1.6


class Background:
    """looked_at: bool (h, w), False where the user doesn't want to know."""

    def __init__(self, looked_at: Mask, settings: Settings) -> None:
        import cv2

        self._cv2: Any = cv2
        self._looked_at = looked_at
        self._settings = settings
        self._mean: Array | None = None
        self._spread: Array = np.zeros(looked_at.shape, np.float32)
        self._changed_ns: NDArray[np.int64] = np.zeros(looked_at.shape, np.int64)
        self._recent: deque[tuple[int, Gray, Array]] = deque()
        self._now_ns = 0
        self._quiet_until_ns = 0
        self._core = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
        reach = max(round(max(looked_at.shape) / 28), 3) | 1
        self._bridge = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))

    def look(self, now_ns: int, gray: Gray) -> Seen:
        """What moves in the picture at `now_ns`; learns from it."""
        picture = self._smooth(gray)
        before = self._before(now_ns)
        elapsed = (now_ns - self._now_ns) / _NS
        self._now_ns = now_ns
        self._recent.append((now_ns, gray, picture))
        if self._mean is None or before is None:
            self._start(picture, now_ns, 0.0 if self._mean is None else self._settings.settle_s)
            return self._nothing()
        moved = self._differs(picture, before, self._settings.contrast * 0.8)
        differs = self._differs(picture, self._mean, np.maximum(self._settings.contrast, _DEVIATIONS * self._spread))
        if self._all_changed(moved, differs):
            self._start(picture, now_ns, self._settings.settle_s)
            return self._nothing()
        if now_ns < self._quiet_until_ns:
            self._learn(picture, np.ones_like(moved), elapsed, 0.3)
            return self._nothing()
        self._changed_ns[moved] = now_ns
        if self._settings.shadows:
            differs &= ~self._shadow(picture)
        boxes, strength, kept = self._blobs(differs, moved)
        self._absorb(picture, kept, now_ns)
        self._learn(picture, ~kept, elapsed, self._settings.learn_s)
        return Seen(boxes=boxes, strength=strength, settling=False)

    def forget(self) -> None:
        """Another scene follows: learn it afresh."""
        self._mean = None
        self._recent.clear()

    def state(self) -> dict[str, Any]:
        """JSON values from which `restore` goes on exactly."""
        return {
            "mean": None if self._mean is None else pack(self._mean),
            "spread": pack(self._spread),
            "changed_ns": pack(self._changed_ns),
            "recent": [[now_ns, pack(gray)] for now_ns, gray, _ in self._recent],
            "now_ns": self._now_ns,
            "quiet_until_ns": self._quiet_until_ns,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`; `ValueError` where its pictures have another size than these."""
        spread = unpack(state["spread"])
        if spread.shape != self._looked_at.shape:
            raise ValueError(f"the stored background is {spread.shape}, expected {self._looked_at.shape}")
        self._mean = None if state["mean"] is None else unpack(state["mean"]).copy()
        self._spread, self._changed_ns = spread.copy(), unpack(state["changed_ns"]).copy()
        pictures = ((now_ns, unpack(gray)) for now_ns, gray in state["recent"])
        self._recent = deque((now_ns, gray, self._smooth(gray)) for now_ns, gray in pictures)
        self._now_ns, self._quiet_until_ns = state["now_ns"], state["quiet_until_ns"]

    def _before(self, now_ns: int) -> Array | None:
        """The picture of a moment ago; None where there is none near enough, as after a gap."""
        while len(self._recent) > 1 and now_ns - self._recent[1][0] >= _LOOK_BACK_NS:
            self._recent.popleft()
        if not self._recent or now_ns - self._recent[-1][0] > _LONGEST_BACK_NS:
            self._recent.clear()
            return None
        return self._recent[0][2]

    def _smooth(self, gray: Gray) -> Array:
        return np.asarray(self._cv2.GaussianBlur(gray, (0, 0), 1.0), np.float32)

    def _start(self, picture: Array, now_ns: int, quiet_s: float) -> None:
        self._mean = picture.copy()
        self._spread[:] = _START_DEVIATION
        self._quiet_until_ns = now_ns + round(quiet_s * _NS)

    def _nothing(self) -> Seen:
        none = np.zeros((0, 4), np.float32)
        return Seen(boxes=none, strength=none[:, 0], settling=self._now_ns < self._quiet_until_ns)

    def _differs(self, picture: Array, other: Array, limit: Any) -> Mask:
        """Where two pictures differ once the light of the whole has been made equal."""
        a, b = picture[self._looked_at], other[self._looked_at]
        gain = float(np.clip(np.median((a + 4) / (b + 4)), 1 / _MOST_GAIN, _MOST_GAIN)) if a.size else 1.0
        # what is clipped to white (black) didn't follow the light
        expected = np.clip((other + 4) * gain - 4, 0, 255)
        either = np.minimum(np.abs(picture - expected), np.abs(picture - other))
        return np.asarray((either > limit) & self._looked_at)

    def _all_changed(self, moved: Mask, differs: Mask) -> bool:
        """Light switched, exposure jumped, the camera was pushed: most of the picture is another one."""
        total = max(int(self._looked_at.sum()), 1)
        shares = (int(moved.sum()) / total, int((moved & differs).sum()) / total)
        return max(shares) > self._settings.global_share

    def _shadow(self, picture: Array) -> Mask:
        """Darker by an even share over a neighbourhood, as ground is in a shadow, with the same pattern on it."""
        assert self._mean is not None
        ratio = (picture + 1) / (self._mean + 1)
        near = self._cv2.blur(ratio, (5, 5))
        rough = self._cv2.blur(ratio * ratio, (5, 5)) - near * near
        return np.asarray((near > 0.55) & (near < 0.97) & (rough < 0.0012))

    def _blobs(self, differs: Mask, moved: Mask) -> tuple[Boxes, NDArray[np.float32], Mask]:
        """Boxes of what moves, how much of each, and all pixels that aren't background (still ones too)."""
        cv2 = self._cv2
        solid = cv2.morphologyEx(differs.astype(np.uint8), cv2.MORPH_OPEN, self._core)
        joined = cv2.morphologyEx(solid, cv2.MORPH_CLOSE, self._bridge)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
        least = max(self._settings.min_area * differs.size, 4.0)
        size = np.bincount(labels[solid > 0], minlength=count)
        active = np.bincount(labels[moved & (solid > 0)], minlength=count)
        large = size >= least
        large[0] = False
        moving = large & (active >= np.maximum(0.05 * size, least / 4))
        left, top, width, height = stats[:, 0], stats[:, 1], stats[:, 2], stats[:, 3]
        boxes, filled = merged(np.stack([left, top, left + width, top + height], axis=1)[moving], size[moving])
        sides = boxes[:, 2:] - boxes[:, :2]
        strength = np.clip(filled / np.maximum(sides[:, 0] * sides[:, 1], 1), 0, 1).astype(np.float32)
        return boxes.astype(np.float32), strength, np.asarray(large[labels])

    def _absorb(self, picture: Array, kept: Mask, now_ns: int) -> None:
        """What differs but hasn't changed for a while is background now."""
        assert self._mean is not None
        still = kept & (now_ns - self._changed_ns > self._settings.still_s * _NS)
        self._mean[still] = picture[still]

    def _learn(self, picture: Array, where: Mask, elapsed: float, over_s: float) -> None:
        assert self._mean is not None
        rate = np.where(where, np.float32(1 - math.exp(-elapsed / over_s)), np.float32(0))
        off = picture - self._mean
        self._mean += rate * off
        self._spread += rate * (1.25 * np.abs(off) - self._spread)


def merged(boxes: NDArray[Any], filled: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Boxes that overlap as one, until none do; `filled` of each is added up."""
    kept: list[tuple[NDArray[Any], float]] = []
    waiting = list(zip(boxes, filled.tolist(), strict=True))
    while waiting:
        box, amount = waiting.pop()
        for place, (other, more) in enumerate(kept):
            if (np.maximum(box[:2], other[:2]) < np.minimum(box[2:], other[2:])).all():
                del kept[place]
                union = np.concatenate([np.minimum(box[:2], other[:2]), np.maximum(box[2:], other[2:])])
                waiting.append((union, amount + more))
                break
        else:
            kept.append((box, amount))
    kept.sort(key=lambda pair: -pair[1])
    amounts = np.array([amount for _, amount in kept], np.float64)
    return np.array([box for box, _ in kept], np.float64).reshape(-1, 4), amounts


__all__ = ["Background", "Seen", "Settings", "merged"]
