"""Streams, frames, optical flow and clips: the input of plugins.

All times are integer nanoseconds of media time (`*_ns`, from the first frame) or of UTC (`captured_ns`, since
1970). Pictures are uint8, RGB unless the name says otherwise.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from streamproc.area import shrink_by_area
from streamproc.errors import check_array

SECOND_NS = 1_000_000_000

Image = NDArray[np.uint8]


class Picture(Protocol):
    """A decoded picture that can be turned into arrays; calls needn't be thread-safe (`Frame` holds a lock)."""

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...

    def to_rgb(self) -> Image:
        """Return a new uint8 array (height, width, 3)."""
        ...

    def to_gray(self) -> Image:
        """Return a new uint8 array (height, width): luma, 0 black to 255 white for any range of the video."""
        ...


@runtime_checkable
class PlanarPicture(Picture, Protocol):
    """A picture that can be made smaller before it is turned into RGB, and pickled as it is."""

    def to_reduced(self, width: int, height: int) -> Image | None:
        """Return a new uint8 array (height, width, 3), or None; which one depends on the picture's format alone."""
        ...


class ArrayPicture:
    """A picture that is an array already: rgb uint8 (height, width, 3)."""

    __slots__ = ("_rgb",)

    def __init__(self, rgb: Image) -> None:
        check_array("rgb", rgb, np.uint8, (None, None, 3))
        self._rgb = rgb

    @property
    def width(self) -> int:
        return int(self._rgb.shape[1])

    @property
    def height(self) -> int:
        return int(self._rgb.shape[0])

    def to_rgb(self) -> Image:
        return self._rgb

    def to_gray(self) -> Image:
        import cv2

        return np.asarray(cv2.cvtColor(self._rgb, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """Properties of a stream, known when it opens."""

    name: str
    identity: str
    """content fingerprint of a recording, or the user's choice, or a live stream's start; part of event ids"""
    width: int
    height: int
    """after rotation, in pixels"""
    rate: Fraction | None = None
    """nominal frames per second, None where the source doesn't say"""
    live: bool = False
    start_offset_ns: int = 0
    """PTS of the first frame in the source's own count"""
    started_ns: int | None = None
    """UTC of media time 0 where it is known"""
    duration_ns: int | None = None
    """length of a recording where it is known (for progress only)"""
    rotation: int = 0
    """degrees clockwise that were applied to the pictures: 0, 90, 180 or 270"""
    session: str = ""
    """mark of this beginning of the stream, empty where there is only one; ends the episode keys of its events"""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return (self.width, self.height)

    @property
    def nominal_ns(self) -> int | None:
        """Nominal time between two frames."""
        return None if not self.rate else round(SECOND_NS / self.rate)


class PixelCache:
    """Forms of a picture, each computed once, on first use; safe to share between threads.

    Resized forms are made from the full RGB picture by `resize`, so that all users get the same pixels.
    """

    __slots__ = ("_forms", "_lock", "_picture")

    def __init__(self, picture: Picture) -> None:
        self._picture: Picture | None = picture
        self._forms: dict[Any, Image] = {}
        self._lock = threading.Lock()

    @property
    def busy(self) -> bool:
        """Whether a conversion is under way on some thread; access to pixels waits for it."""
        return self._lock.locked()

    def rgb(self) -> Image:
        with self._lock:
            return self._get_rgb()

    def gray(self) -> Image:
        with self._lock:
            if "gray" not in self._forms:
                self._store("gray", self._source().to_gray())
            return self._forms["gray"]

    def bgr(self) -> Image:
        with self._lock:
            if "bgr" not in self._forms:
                import cv2

                self._store("bgr", np.asarray(cv2.cvtColor(self._get_rgb(), cv2.COLOR_RGB2BGR), dtype=np.uint8))
            return self._forms["bgr"]

    def resized(self, width: int, height: int) -> Image:
        with self._lock:
            rgb = self._get_rgb()
            if rgb.shape[:2] == (height, width):
                return rgb
            if (width, height) not in self._forms:
                self._store((width, height), resize(rgb, width, height))
            return self._forms[(width, height)]

    def reduced(self, width: int, height: int) -> Image:
        """Return the `resized` form, made from the picture's planes where it has some and the form is smaller."""
        picture = self._source()
        if not isinstance(picture, PlanarPicture) or width > picture.width or height > picture.height:
            return self.resized(width, height)
        with self._lock:
            form = ("reduced", width, height)
            if form not in self._forms:
                made = picture.to_reduced(width, height)
                self._store(form, resize(self._get_rgb(), width, height) if made is None else made)
            return self._forms[form]

    def small_gray(self, width: int, height: int) -> Image:
        """Return `gray` at another size, uint8 (height, width), as the input of optical flow."""
        gray = self.gray()
        if gray.shape == (height, width):
            return gray
        with self._lock:
            form = ("gray", width, height)
            if form not in self._forms:
                self._store(form, resize(gray, width, height))
            return self._forms[form]

    def carried(self) -> Picture:
        """Return the picture from which another process can make all forms again, with equal pixels."""
        with self._lock:
            picture = self._source()
            return picture if isinstance(picture, PlanarPicture) else ArrayPicture(self._get_rgb())

    def __getstate__(self) -> dict[str, Picture]:
        """Pickle the picture only; its forms are made again on use, with equal pixels."""
        return {"picture": self.carried()}

    def __setstate__(self, state: dict[str, Picture]) -> None:
        self.__init__(state["picture"])  # type: ignore[misc]

    def _source(self) -> Picture:
        assert self._picture is not None
        return self._picture

    def _get_rgb(self) -> Image:
        if "rgb" not in self._forms:
            self._store("rgb", self._source().to_rgb())
        return self._forms["rgb"]

    def _store(self, form: Any, image: Image) -> None:
        image.flags.writeable = False
        self._forms[form] = image


AREA_FROM = 2.0
"""factor from which a picture shrinks by area; a bilinear filter skips pixels there"""


def resize(image: Image, width: int, height: int) -> Image:
    """Resize uint8 (h, w) or (h, w, c): bilinear, or by area where a side shrinks to half or less."""
    import cv2

    if image.shape[:2] == (height, width):
        return image
    shrink = max(image.shape[1] / width, image.shape[0] / height)
    if shrink >= AREA_FROM and image.ndim == 2 and (small := shrink_by_area(image, width, height)) is not None:
        return small
    method = cv2.INTER_AREA if shrink >= AREA_FROM else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), dtype=np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """A picture of a stream and its place in time. Pixels are converted once, on first use, and are read-only."""

    stream: StreamInfo
    index: int
    """position among the source's decoded frames, from 0; missing numbers are dropped frames"""
    pts_ns: int
    """media time: PTS minus the first PTS, strictly increasing within a stream"""
    pixels: PixelCache = field(repr=False)
    captured_ns: int | None = None
    """UTC of capture, None where it isn't known"""
    keyframe: bool = False

    @property
    def pts_s(self) -> float:
        """Media time in seconds."""
        return self.pts_ns / SECOND_NS

    @property
    def width(self) -> int:
        return self.stream.width

    @property
    def height(self) -> int:
        return self.stream.height

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.stream.size

    @property
    def rgb(self) -> Image:
        """uint8 (height, width, 3)."""
        return self.pixels.rgb()

    @property
    def bgr(self) -> Image:
        """uint8 (height, width, 3), blue first, as OpenCV has it."""
        return self.pixels.bgr()

    @property
    def gray(self) -> Image:
        """uint8 (height, width), full range: 0 is black, 255 white."""
        return self.pixels.gray()

    def resized(self, width: int, height: int) -> Image:
        """Return RGB uint8 (height, width, 3) at another size and aspect; see `PixelCache` for the filter."""
        return self.pixels.resized(width, height)

    def reduced(self, width: int, height: int) -> Image:
        """Return RGB at another size, in half the time of `resized` for video: planes shrink before conversion.

        Use it for nets. Colours are as coarse as in a video of that size (4:2:0), and differ a little from `resized`.
        """
        return self.pixels.reduced(width, height)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Flow:
    """Optical flow from the previous source frame to this one.

    A point at (x, y) of the earlier picture is at (x, y) + uv[y, x] in this one.
    """

    uv: NDArray[np.float32]
    """float32 (h, w, 2): right and down, in pixels of this grid"""
    dt_ns: int
    """media time between the two frames, > 0"""
    scale: float = 1.0
    """width of this grid divided by the width of the picture"""
    valid: NDArray[np.bool_] | None = None
    """bool (h, w): where the flow can be trusted; None means everywhere"""

    def __post_init__(self) -> None:
        check_array("uv", self.uv, np.float32, (None, None, 2))
        if self.dt_ns <= 0:
            raise ValueError(f"dt_ns is {self.dt_ns}, expected a time > 0")
        self.uv.flags.writeable = False
        if self.valid is not None:
            check_array("valid", self.valid, np.bool_, self.uv.shape[:2])
            self.valid.flags.writeable = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Clip:
    """T frames of a stream sampled at a regular beat of media time; its result belongs to the frame `last`."""

    stream: StreamInfo
    rgb: NDArray[np.uint8]
    """uint8 (T, h, w, 3)"""
    pts_ns: NDArray[np.int64]
    """int64 (T,), media time of each picture"""
    last: Frame
    """frame at which the clip is processed: the first from its last picture on that the stream's rate takes"""
    flow: NDArray[np.float32] | None = None
    """float32 (T, h, w, 2) in pixels of this grid, the first from the sampled frame before the clip"""

    def __post_init__(self) -> None:
        check_array("rgb", self.rgb, np.uint8, (None, None, None, 3))
        check_array("pts_ns", self.pts_ns, np.int64, (self.rgb.shape[0],))
        self.rgb.flags.writeable = False
        self.pts_ns.flags.writeable = False
        if self.flow is not None:
            check_array("flow", self.flow, np.float32, (*self.rgb.shape[:3], 2))
            self.flow.flags.writeable = False
