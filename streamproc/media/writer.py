"""Writing H.264 MP4 files from arrays, each picture at its own time."""

from __future__ import annotations

import fcntl
import glob
import logging
import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self
from uuid import uuid4

import numpy as np

from streamproc.errors import SinkError, check_array
from streamproc.frames import SECOND_NS, Image
from streamproc.media.ffmpeg import load, reason

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.reformatter import VideoReformatter
    from av.video.stream import VideoStream

log = logging.getLogger(__name__)

_TICKS = 90_000
"""ticks a second of the file's clock: exact for 24, 25, 30 and 29.97 pictures a second, else within 6 microseconds"""

_LONGEST_STEP = 1 << 30
"""most ticks between two pictures, 3.3 hours: a step is a 32-bit number in an MP4 file"""

_LONGEST_GAP = 7 * 24 * 3600 * _TICKS
"""a gap that is longer is shortened: a time stamp that is out by years would give a file of millions of pictures"""

Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"]


class VideoWriter:
    """Writes one MP4 (H.264, 4:2:0, BT.709 and tagged so) that any player and browser shows.

    It writes to a hidden file beside `path` that becomes `path` in one step on `close`; a run that is killed leaves no
    half file under that name, and the hidden one goes with the next run. Without a picture no file is made. As a
    context manager it closes at the end, and throws the file away when the block raises. Not thread-safe.

    path: its folder is made where it is missing; an existing file is replaced.
    crf: quality, 0 (lossless) to 51; 23 is x264's default, smaller is better and larger.
    """

    def __init__(self, path: Path | str, *, preset: Preset = "veryfast", crf: int = 23) -> None:
        self.path = Path(path)
        # two writers of one name must not write into one file: the last to finish wins
        self._part = self.path.with_name(f".{self.path.name}.{uuid4().hex[:8]}.part")
        self._settings = {"preset": preset, "crf": str(crf), "bf": "0"}  # B-frames blur the length of irregular files
        self._claim: int | None = None
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._converter: VideoReformatter | None = None
        self._size = (0, 0)
        self._last_tick = -1
        self._shift = 0
        self._before: Image | None = None
        self._closed = False

    def write(self, rgb: Image, pts_ns: int) -> None:
        """Append a picture: uint8 (height, width, 3), the same size each time, at `pts_ns` >= 0 of media time.

        Odd sizes get one more row or column, the last one repeated. Times must increase; two within one tick of the
        file's clock (11 microseconds) are put a tick apart. Over a gap of hours the picture before it is repeated, as a
        step in an MP4 file can't be that long; a gap of more than a week becomes one of a second, with a warning.
        """
        check_array("rgb", rgb, np.uint8, (None, None, 3))
        if self._closed:
            raise ValueError(f"{self.path} is closed already; write before close()")
        if self._stream is None:
            self._start(rgb.shape[1], rgb.shape[0])
        if (rgb.shape[1], rgb.shape[0]) != self._size:
            raise ValueError(
                f"picture is {rgb.shape[1]}x{rgb.shape[0]}, expected {self._size[0]}x{self._size[1]} as the first one; "
                "resize it, or write another file"
            )
        tick = max(round(pts_ns * _TICKS / SECOND_NS) - self._shift, self._last_tick + 1)
        if self._before is not None:
            tick = self._bridge(self._before, tick)
        self._last_tick, self._before = tick, rgb
        self._encode(rgb, tick)

    def _bridge(self, before: Image, tick: int) -> int:
        """Fill a long gap up to `tick`; the tick of the picture behind it."""
        if tick - self._last_tick > _LONGEST_GAP:
            hours = (tick - self._last_tick) / _TICKS / 3600
            log.warning("%s: a gap of %.0f hours between two pictures is shortened to a second", self.path, hours)
            self._shift += tick - self._last_tick - _TICKS
            return self._last_tick + _TICKS
        while tick - self._last_tick > _LONGEST_STEP:
            self._last_tick += _LONGEST_STEP
            self._encode(before, self._last_tick)
        return tick

    def close(self) -> None:
        """Finish the file and give it its name; may be called twice."""
        if self._closed:
            return
        self._closed = True
        container, stream = self._container, self._stream
        if container is None or stream is None:
            return
        try:
            container.mux(stream.encode(None))
            container.close()
            self._part.replace(self.path)
        except (load().FFmpegError, OSError) as error:
            raise SinkError(
                f"{self.path} can't be finished: {reason(error)}; check the space left on the disk"
            ) from None
        finally:
            self._let_go()

    def discard(self) -> None:
        """Stop and leave no file."""
        self._closed = True
        self._let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def _start(self, width: int, height: int) -> None:
        av = load()
        self._size = (width, height)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._claim = _claimed(self._part)
            _remove_leftovers(self.path)
            self._container = av.open(str(self._part), "w", format="mp4")
            stream = self._container.add_stream("libx264", options=self._settings)
        except (av.FFmpegError, OSError) as error:
            self.discard()
            raise SinkError(f"{self.path} can't be written: {reason(error)}; check the folder's permissions") from None
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, _TICKS)
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
        context.color_range = 1  # limited
        self._stream = stream

    def _encode(self, rgb: Image, tick: int) -> None:
        av = load()
        from av.video.reformatter import VideoReformatter

        assert self._container is not None
        assert self._stream is not None
        height, width = rgb.shape[:2]
        if height % 2 or width % 2:
            rgb = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24")
        self._converter = self._converter or VideoReformatter()
        frame = self._converter.reformat(frame, format="yuv420p", dst_colorspace=1, dst_color_range=1, threads=1)
        frame.pts, frame.time_base = tick, Fraction(1, _TICKS)
        try:
            self._container.mux(self._stream.encode(frame))
        except (av.FFmpegError, OSError) as error:
            raise SinkError(
                f"{self.path} can't be written: {reason(error)}; check the space left on the disk"
            ) from None

    def _let_go(self) -> None:
        """Close the container whatever state it is in, and remove what is left of the hidden file."""
        container, self._container, self._stream = self._container, None, None
        self._before = None
        if container is not None:
            with suppress(load().FFmpegError, OSError):
                container.close()
        claim, self._claim = self._claim, None
        if claim is not None:
            os.close(claim)
        with suppress(OSError):
            self._part.unlink()


def _claimed(part: Path) -> int:
    """Make a file that is locked as long as what is given back, a file descriptor, is open: until the process dies."""
    hidden = part.with_suffix(".new")  # it gets its name once it is locked: nobody takes it for a leftover
    claim = os.open(hidden, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    with suppress(OSError):  # a file system without locks
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    hidden.replace(part)
    return claim


def _remove_leftovers(path: Path) -> None:
    """Remove the hidden files for `path` that nobody writes any more: those of runs that were killed."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.????????.part"):
        with suppress(OSError):  # somebody writes it, or it is gone
            found = os.open(part, os.O_RDONLY)
            try:
                fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
                part.unlink()
            finally:
                os.close(found)
