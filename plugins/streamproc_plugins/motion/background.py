"""The background of a fixed camera, and the parts of a picture that move. Knows grey pictures and media time only.

Background: a running mean and deviation of each pixel (a single Gaussian, Wren et al. 1997), without light changes of
the whole picture. A part moves where the picture differs from the background *and* from itself a moment ago: an object
put down or taken away differs from the background only, and is soon part of it.

Buffers are reused, and work that only matters near differences is limited to a window around them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamproc_plugins.motion.blobs import Blobs, Grouping, Mask, Window
from streamproc_plugins.motion.light import Light
from streamproc_plugins.motion.scratch import scratch
from streamproc_plugins.packing import pack, unpack

Gray = NDArray[np.uint8]
Array = NDArray[np.float32]
Boxes = NDArray[np.float32]

_NS = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundSettings:
    """Grey levels are 0..255, times seconds of media time, areas parts of the picture."""

    contrast: float = 14.0
    """least difference in grey levels; pixels that flicker need more"""
    min_area: float = 0.002
    learn_s: float = 8.0
    """time over which the background follows slow changes"""
    still_s: float = 1.0
    """a difference that doesn't change for so long becomes part of the background"""
    global_share: float = 0.4
    """part of the picture that changes at once from which it is the light or the camera"""
    settle_s: float = 1.5
    """quiet after such a change, while the camera adapts"""
    shadows: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MotionRegions:
    """Moving regions of a frame."""

    boxes: Boxes
    """float32 (N, 4) xyxy, pixels of the small picture, largest first; none overlap"""
    strength: NDArray[np.float32]
    """float32 (N,), 0..1: part of the box that moves or differs"""
    settling: bool
    """the picture changed as a whole; nothing is said for a while"""


_DEVIATIONS = 4.0
_OF_MEAN_DEVIATION = 1.25
"""standard deviation of noise, divided by its mean deviation"""
_LOOK_BACK_NS = 120_000_000
_LONGEST_BACK_NS = 3_000_000_000
_START_DEVIATION = 3.0
_QUIET_LEARN_S = 0.3


class _Recent(NamedTuple):
    now_ns: int
    gray: Gray
    picture: Gray
    """`gray`, smoothed"""


class Background:
    """looked_at: bool (h, w), False where the user doesn't want to know."""

    def __init__(self, looked_at: NDArray[np.bool_], settings: BackgroundSettings) -> None:
        import cv2

        self._cv2: Any = cv2
        shape = looked_at.shape
        self._settings = settings
        self._all = max(int(np.count_nonzero(looked_at)), 1)
        self._looked_at = None if looked_at.all() else looked_at.astype(np.uint8)
        self._light = Light(looked_at)
        self._grouping = Grouping(shape[1], shape[0], max(settings.min_area * looked_at.size, 4.0))
        self._mean: Array | None = None
        self._spread: Array = np.zeros(shape, np.float32)
        self._changed_ns: NDArray[np.int64] = np.zeros(shape, np.int64)
        self._recent: deque[_Recent] = deque()
        self._now_ns = 0
        self._quiet_until_ns = 0

    def look(self, now_ns: int, gray: Gray) -> MotionRegions:
        """Moving regions of the picture at `now_ns`; learns from it."""
        picture = self._smooth(gray)
        before = self._before(now_ns)
        elapsed = (now_ns - self._now_ns) / _NS
        self._now_ns = now_ns
        self._recent.append(_Recent(now_ns, gray, picture))
        if self._mean is None or before is None:
            self._start(picture, 0.0 if self._mean is None else self._settings.settle_s)
            return self._nothing()
        moved, differs = self._compare(picture, before, self._mean)
        changed = self._cv2.countNonZero(moved)
        if changed / self._all > self._settings.global_share:
            # light switched, exposure jumped, the camera was pushed: most of the picture is another one
            self._start(picture, self._settings.settle_s)
            return self._nothing()
        if now_ns < self._quiet_until_ns:
            self._learn(picture, self._mean, elapsed / _QUIET_LEARN_S, None)
            return self._nothing()
        if changed:
            self._note_changes(moved)
        dismiss = self._shadow if self._settings.shadows else None
        blobs = self._grouping.blobs(differs, moved, dismiss)
        if blobs is not None:
            self._absorb(picture, self._mean, blobs)
        self._learn(picture, self._mean, elapsed / self._settings.learn_s, blobs)
        if blobs is None:
            return self._nothing()
        return MotionRegions(boxes=blobs.boxes, strength=blobs.strength, settling=False)

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
            "recent": [[recent.now_ns, pack(recent.gray)] for recent in self._recent],
            "now_ns": self._now_ns,
            "quiet_until_ns": self._quiet_until_ns,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`; `ValueError` where its pictures have another size than these."""
        spread = unpack(state["spread"])
        if spread.shape != self._spread.shape:
            raise ValueError(f"the stored background is {spread.shape}, expected {self._spread.shape}")
        self._mean = None if state["mean"] is None else unpack(state["mean"]).copy()
        self._spread, self._changed_ns = spread.copy(), unpack(state["changed_ns"]).copy()
        pictures = ((now_ns, unpack(gray)) for now_ns, gray in state["recent"])
        self._recent = deque(_Recent(now_ns, gray, self._smooth(gray)) for now_ns, gray in pictures)
        self._now_ns, self._quiet_until_ns = state["now_ns"], state["quiet_until_ns"]

    def _before(self, now_ns: int) -> Gray | None:
        """The picture of a moment ago; None where there is none near enough, as after a gap."""
        while len(self._recent) > 1 and now_ns - self._recent[1].now_ns >= _LOOK_BACK_NS:
            self._recent.popleft()
        if not self._recent or now_ns - self._recent[-1].now_ns > _LONGEST_BACK_NS:
            self._recent.clear()
            return None
        return self._recent[0].picture

    def _smooth(self, gray: Gray) -> Gray:
        return np.asarray(self._cv2.GaussianBlur(gray, (0, 0), 1.0), np.uint8)

    def _start(self, picture: Gray, quiet_s: float) -> None:
        self._mean = picture.astype(np.float32)
        self._spread[:] = _START_DEVIATION
        self._quiet_until_ns = self._now_ns + round(quiet_s * _NS)

    def _nothing(self) -> MotionRegions:
        none = np.zeros((0, 4), np.float32)
        return MotionRegions(boxes=none, strength=none[:, 0], settling=self._now_ns < self._quiet_until_ns)

    def _compare(self, picture: Gray, before: Gray, mean: Array) -> tuple[Mask, Mask]:
        """Masks of motion, and of differences from the background."""
        contrast, work = self._settings.contrast, scratch(picture.shape)
        moved = self._light.differs(picture, before, contrast * 0.8, work)
        np.multiply(self._spread, np.float32(_DEVIATIONS), out=work.limit)
        np.maximum(work.limit, np.float32(contrast), out=work.limit)
        differs = self._light.differs_from_mean(picture, mean, work.limit, work)
        if self._looked_at is not None:
            for mask in (moved, differs):
                self._cv2.bitwise_and(mask, self._looked_at, dst=mask)
        return moved, differs

    def _note_changes(self, moved: Mask) -> None:
        x, y, width, height = self._cv2.boundingRect(moved)
        window = slice(y, y + height), slice(x, x + width)
        np.copyto(self._changed_ns[window], self._now_ns, where=moved[window].view(np.bool_))

    def _shadow(self, window: Window) -> NDArray[np.bool_]:
        """Darker by an even share over a neighbourhood, as ground is in a shadow, with the same pattern on it."""
        assert self._mean is not None
        rows, columns = window
        top, left = max(rows.start - 2, 0), max(columns.start - 2, 0)  # so far a neighbourhood reaches
        wide = slice(top, rows.stop + 2), slice(left, columns.stop + 2)
        ratio = (self._recent[-1].picture[wide] + np.float32(1)) / (self._mean[wide] + 1)
        near = self._cv2.blur(ratio, (5, 5))
        rough = self._cv2.blur(ratio * ratio, (5, 5)) - near * near
        shadow = (near > 0.55) & (near < 0.97) & (rough < 0.0012)
        down, right = rows.start - top, columns.start - left
        return np.asarray(shadow[down : down + rows.stop - rows.start, right : right + columns.stop - columns.start])

    def _absorb(self, picture: Gray, mean: Array, blobs: Blobs) -> None:
        """Make differences that haven't changed for a while part of the background."""
        window = blobs.window
        still = blobs.large & (self._now_ns - self._changed_ns[window] > self._settings.still_s * _NS)
        np.copyto(mean[window], picture[window], where=still)

    def _learn(self, picture: Gray, mean: Array, times: float, without: Blobs | None) -> None:
        """Follow the picture everywhere but at blobs; times: elapsed time as a part of the learning time."""
        rate, work = 1 - math.exp(-times), scratch(picture.shape)
        if without is not None:
            work.learnt[without.window] = ~without.large
        where = None if without is None else work.learnt
        np.multiply(work.off, np.float32(_OF_MEAN_DEVIATION), out=work.off)
        self._cv2.accumulateWeighted(work.off, self._spread, rate, where)
        self._cv2.accumulateWeighted(picture, mean, rate, where)
        if without is not None:
            work.learnt[without.window] = 1


__all__ = ["Background", "BackgroundSettings", "MotionRegions"]
