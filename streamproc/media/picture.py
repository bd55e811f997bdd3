"""A decoded picture as FFmpeg holds it, and its way to arrays.

Colours: the matrix and range that the video itself names; where it names no matrix BT.601 is taken, as swscale and most
players do, and limited range unless the pixel format says full. Chroma is enlarged and rounded as swscale's own fast
converter does it. The shape of pixels that aren't square is left alone: one stored pixel is one array element.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from streamproc.frames import ArrayPicture, Image, resize
from streamproc.media.orientation import UPRIGHT, Orientation

if TYPE_CHECKING:
    from av import VideoFrame
    from av.video.reformatter import VideoReformatter

_MOST_CONVERTERS = 8
"""a converter holds tables of its own for one size and format; building one takes longer than a conversion"""

_PLANES_420 = ("yuv420p", "yuvj420p")
_FULL, _LIMITED = 2, 1  # AVCOL_RANGE_JPEG, AVCOL_RANGE_MPEG


class _Converters(threading.local):
    """Converters of this thread, those used last."""

    def __init__(self) -> None:
        self.converters: OrderedDict[Any, VideoReformatter] = OrderedDict()

    def get(self, key: Any) -> VideoReformatter:
        if key not in self.converters:
            from av.video.reformatter import VideoReformatter

            self.converters[key] = VideoReformatter()
            if len(self.converters) > _MOST_CONVERTERS:
                self.converters.popitem(last=False)
        self.converters.move_to_end(key)
        return self.converters[key]


_converters = _Converters()


class AvPicture:
    """A `Picture` over a decoder's frame; keeps the frame alive, converts nothing until asked.

    orientation: how it is mirrored and turned.
    size: (width, height) after turning where it has to differ from the frame's own.
    """

    __slots__ = ("_frame", "_orientation", "_size")

    def __init__(
        self, frame: VideoFrame, orientation: Orientation = UPRIGHT, size: tuple[int, int] | None = None
    ) -> None:
        self._frame = frame
        self._orientation = orientation
        self._size = size or orientation.size(frame.width, frame.height)

    @property
    def width(self) -> int:
        return self._size[0]

    @property
    def height(self) -> int:
        return self._size[1]

    def to_rgb(self) -> Image:
        return self._finish(_rgb(self._frame))

    def to_gray(self) -> Image:
        luma = _luma(self._frame)
        if luma is None:
            import cv2

            luma = np.asarray(cv2.cvtColor(_rgb(self._frame), cv2.COLOR_RGB2GRAY), dtype=np.uint8)
        return self._finish(luma)

    def to_reduced(self, width: int, height: int) -> Image | None:
        """Average the planes over the pixels that become one, then convert them; None for all but upright 4:2:0."""
        frame = self._frame
        if (
            frame.format.name not in _PLANES_420
            or not self._orientation.upright
            or self._size != (frame.width, frame.height)
        ):
            return None
        import cv2

        small = _planar(frame.format.name, width, height, frame.colorspace, frame.color_range)
        for mine, theirs in zip(_pixels(small), _pixels(frame), strict=True):
            if mine.shape == theirs.shape:
                mine[:] = theirs
            else:
                cv2.resize(theirs, mine.shape[::-1], dst=mine, interpolation=cv2.INTER_AREA)
        return _rgb(small)

    def __reduce__(self) -> tuple[Any, ...]:
        """The decoder's planes, to the last bit; as RGB where there is a palette or rows go from the bottom up."""
        frame = self._frame
        if frame.format.has_palette or any(plane.line_size < 0 for plane in frame.planes):
            return (ArrayPicture, (self.to_rgb(),))
        planes = [_rows(plane, plane.height).copy() for plane in frame.planes]
        about = (frame.format.name, frame.width, frame.height, frame.colorspace, frame.color_range)
        return (_restored, (planes, about, self._orientation, self._size))

    def _finish(self, image: Image) -> Image:
        """Mirrored, turned and of the stream's size."""
        if not self._orientation.upright:
            image = image[:, ::-1] if self._orientation.mirrored else image
            image = np.ascontiguousarray(np.rot90(image, -self._orientation.rotation // 90))
        if (image.shape[1], image.shape[0]) != self._size:
            image = resize(image, *self._size)
        return image


def _restored(
    planes: Sequence[Image], about: tuple[str, int, int, int, int], orientation: Orientation, size: tuple[int, int]
) -> AvPicture:
    """Restore a picture from the parts that `__reduce__` returned."""
    frame = _planar(*about)
    for plane, saved in zip(frame.planes, planes, strict=True):
        rows = _rows(plane, plane.height)
        used = min(rows.shape[1], saved.shape[1])  # the rest is padding
        rows[:, :used] = saved[:, :used]
    return AvPicture(frame, Orientation(*orientation), size)


def _planar(name: str, width: int, height: int, colorspace: int, color_range: int) -> VideoFrame:
    """A new frame with planes to write to."""
    from av import VideoFrame

    frame = VideoFrame(width, height, name)
    frame.colorspace, frame.color_range = colorspace, color_range
    return frame


def same_pixels(one: VideoFrame, other: VideoFrame) -> bool:
    """Return whether two frames of one format hold the same picture."""
    if (one.format.name, one.width, one.height) != (other.format.name, other.width, other.height):
        return False
    for mine, theirs in zip(one.planes, other.planes, strict=True):
        used = min(mine.line_size, theirs.line_size, mine.width * _bytes_per_sample(one))
        if not np.array_equal(_rows(mine, mine.height)[:, :used], _rows(theirs, theirs.height)[:, :used]):
            return False
    return True


def _bytes_per_sample(frame: VideoFrame) -> int:
    return max((component.bits + 7) // 8 for component in frame.format.components)


def _pixels(frame: VideoFrame) -> Iterator[Image]:
    """Each plane as uint8 (h, w), padding left out; no copy."""
    for plane in frame.planes:
        yield _rows(plane, plane.height)[:, : plane.width]


def _rgb(frame: VideoFrame) -> Image:
    """uint8 (height, width, 3): FFmpeg's own new buffer where its rows touch, else a copy of it."""
    key = (frame.format.name, frame.width, frame.height, frame.colorspace, frame.color_range)
    # one thread: swscale's own cost more than they bring, and in FFmpeg 8.1 they give wrong pixels now and then
    converted = _converters.get(key).reformat(frame, format="rgb24", threads=1)
    rows = _rows(converted.planes[0], frame.height)[:, : frame.width * 3]
    if converted is frame:
        rows = rows.copy()  # rgb24 already: the decoder's own buffer, which others may still read
    return np.ascontiguousarray(rows).reshape(frame.height, frame.width, 3)


def _luma(frame: VideoFrame) -> Image | None:
    """uint8 (height, width) full range from the luma plane; None where the format has none."""
    luma = frame.format.components[0] if frame.format.components else None
    name = frame.format.name
    packed = not (frame.format.is_planar or name.startswith("gray"))
    if luma is None or packed or frame.format.is_rgb or frame.format.has_palette or frame.format.is_big_endian:
        return None
    if not luma.is_luma or name.startswith(("p0", "p2", "p4", "xyz", "grayf")) or frame.planes[0].line_size < 0:
        return None  # p010 and its like keep their bits at the upper end, floats have no table
    rows, full = _rows(frame.planes[0], frame.height), _is_full(frame)
    if luma.bits > 8:
        plane = rows.view("<u2")[:, : frame.width]
        return np.asarray(np.take(_luma_table(luma.bits, full=full), plane, mode="clip"), dtype=np.uint8)
    if full:
        return rows[:, : frame.width].copy()
    import cv2

    # the table's values by arithmetic, in half of the time of a look-up
    plane, gain = rows[:, : frame.width], 255 / 219
    return np.asarray(cv2.addWeighted(plane, gain, plane, 0, -16 * gain), dtype=np.uint8)


def _is_full(frame: VideoFrame) -> bool:
    if frame.format.name.startswith(("yuvj", "gray")):
        return frame.color_range != _LIMITED or frame.format.name.startswith("yuvj")
    return frame.color_range == _FULL


@cache
def _luma_table(bits: int, *, full: bool) -> NDArray[np.uint8]:
    """From stored luma of more than 8 `bits` to 0 black .. 255 white."""
    stored = np.arange(1 << bits, dtype=np.float64)
    unit = 1 << (bits - 8)
    scaled = stored * 255 / (256 * unit - 1) if full else (stored / unit - 16) * 255 / 219
    table = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    table.flags.writeable = False
    return table


def _rows(plane: Any, height: int) -> NDArray[np.uint8]:
    """The plane's bytes, row by row, padding included; no copy."""
    return np.frombuffer(plane, dtype=np.uint8).reshape(height, plane.line_size)
