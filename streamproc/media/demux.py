"""Taking a recording or a live stream apart into packets of its one video stream."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING, Any

from streamproc.errors import SourceError, SourceLost, redact
from streamproc.media.arrival import stamped
from streamproc.media.context import LENIENT, set_up
from streamproc.media.convert import plain_packet, stream_format
from streamproc.media.decode import Decoder
from streamproc.media.facts import (
    LONGEST_NS,
    MOST_FRAMES,
    Facts,
    believed,
    false_claim,
    format_name,
    started_ns,
    stated_ns,
    utc_ns,
)
from streamproc.media.ffmpeg import check_file, explain, ffmpeg_name, fraction, is_url, load
from streamproc.media.header import MAX_PIXELS
from streamproc.media.orientation import UPRIGHT, Orientation, of_frame
from streamproc.media.stills import oversize
from streamproc.packets import NANOSECOND, Packet, VideoFormat, ticks_ns
from streamproc.paths import expand
from streamproc.timeline import DEFAULT_RATE, MOST_RATE

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_READ_ERRORS = 20
"""how many failed reads in a row end a recording; FFmpeg goes on behind a damaged place by itself"""

_NO_VIDEO = ("tty",)
"""what FFmpeg takes any text for and would draw as pictures of letters"""

_TURNED = ("mov", "matroska")
"""formats that say for all pictures how they are to be turned"""

_TURNED_INSIDE = ("mpegts", "h264", "hevc", "jpeg_pipe", "png_pipe", "webp_pipe", "tiff_pipe")
"""formats in which a picture may say so itself"""

_PUSHED = "mpjpeg"
"""FFmpeg's name for pictures that a server sends one after the other (multipart/x-mixed-replace)"""

_FIRST_PACKETS = 300
"""packets within which a picture must come out for its orientation to be known beforehand"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Settings with which an input is opened."""

    live: bool = False
    """whether its end means that it was lost"""
    rate: Fraction | None = None
    """frames per second of a raw stream, which has no time stamps; None: what the stream itself says, else 25"""
    open_timeout_s: float = 30.0
    read_timeout_s: float = 30.0
    max_pixels: int = MAX_PIXELS
    """pixels of one picture at most: a larger one isn't decoded"""
    options: Mapping[str, str] = field(default_factory=dict)
    """FFmpeg's own, for the demuxer and its protocol"""


class Demuxer:
    """Opens anything that FFmpeg reads and yields the packets of its best video stream.

    address: a path or a URL. Raises `SourceError` where it can't be opened or holds no video, `SourceLost` where a live
    one can't be reached now. To be used by one thread; `close` may be called twice.
    """

    def __init__(self, address: str, opening: Opening | None = None) -> None:
        self.opening = opening or Opening()
        self._address = address
        self._container = _open(address, self.opening)
        try:
            self._stream = _video_stream(self._container, address)
            _check_size(self._stream, address, self.opening.max_pixels)
            self.endless = is_url(address) and format_name(self._container) == _PUSHED
            """whether it turned out to be a live stream of pictures without time stamps, timed when they come in"""
            self.facts = self._facts()
        except BaseException:
            self.close()
            raise
        self.format = self._format()
        """of its packets"""
        self.broken_off = False
        """whether reading ended at a fault rather than at the end"""
        self.live = self.opening.live or self.endless
        """whether its end means that it was lost"""

    def packets(self) -> Iterator[Packet]:
        """Packets in decoding order, until the end; a live input that ends raises `SourceLost`.

        Those of a live input have the time of capture, see `CaptureClock`.

        A recording that can't be read on at some place goes on behind it where FFmpeg finds the way, else it ends there
        and `broken_off` is set; `SourceError` where that is before its first packet.
        """
        return stamped(self._packets(), self.format.time_base) if self.live and not self.endless else self._packets()

    def _packets(self) -> Iterator[Packet]:
        failures, empty = 0, True
        for found in self._reads():
            if isinstance(found, Exception):
                failures += 1
                if failures >= _READ_ERRORS or type(found).__name__ == "ExitError":
                    self.broken_off = True
                    if empty:
                        raise explain(found, self._address, live=False) from None
                    return
            elif found.size:
                failures, empty = 0, False
                yield self._arrived(found) if self.endless else plain_packet(found)
        if self.live:
            raise self._ended()

    def _ended(self) -> SourceLost:
        return SourceLost(f"{redact(self._address)} has ended, and a live stream never does")

    def decoder(self, count: Callable[[str], None], warn: Callable[[str], None]) -> Decoder:
        """The decoder of these packets, for one use; see there for the arguments."""
        return Decoder(self.format, count, warn, max_pixels=self.opening.max_pixels)

    def close(self) -> None:
        """Let go of the input."""
        self._container.close()

    def _reads(self) -> Iterator[Any]:
        """FFmpeg packets, and its errors as values; raises `SourceLost` on an error of a live input."""
        av = load()
        while True:
            try:
                yield from self._timely(self._container.demux(self._stream))
            except av.error.EOFError:
                return
            except (av.FFmpegError, OSError) as error:
                if self.endless and error.errno == errno.EIO:
                    raise self._ended() from None
                if self.live:
                    limit = f"{self.opening.read_timeout_s:g} s"
                    raise explain(error, self._address, live=True, limit=limit) from None
                yield error
            else:
                return

    def _timely(self, packets: Iterator[Any]) -> Iterator[Any]:
        """The packets; `TimeoutError` behind one that a live input did not send.

        FFmpeg answers a read that times out with the packet that its parser holds back, and would then wait once more.
        """
        asked = time.monotonic()
        for packet in packets:
            late = time.monotonic() - asked >= self.opening.read_timeout_s
            yield packet
            if late and self.live:
                raise TimeoutError
            asked = time.monotonic()

    def _arrived(self, packet: Any) -> Packet:
        """Give a packet its time of arrival, since FFmpeg's made-up stamps are of no use."""
        now_ns = time.monotonic_ns()
        return replace(plain_packet(packet), pts=now_ns, dts=now_ns, duration=None, captured_ns=time.time_ns())

    def _format(self) -> VideoFormat:
        facts = self.facts
        fixed = facts.orientation if facts.container in _TURNED else None
        known = VideoFormat(
            codec=facts.codec,
            time_base=facts.time_base,
            rate=facts.rate,
            rotation=fixed and fixed.rotation,
            mirrored=fixed is not None and fixed.mirrored,
            in_coding_order=facts.container == "avi",
        )
        return stream_format(self._stream, known)

    def _facts(self) -> Facts:
        container, stream = self._container, self._stream
        context = stream.codec_context
        time_base = fraction(stream.time_base) or Fraction(1, 90_000)
        name = format_name(container)
        duration_ns = ticks_ns(stream.duration, time_base) or ticks_ns(container.duration, Fraction(1, 1_000_000))
        stated, frames = stated_ns(container, stream), stream.frames or None
        rates = [rate for rate in self._rates() if rate]
        turned = not self.opening.live and name in (*_TURNED, *_TURNED_INSIDE)
        return Facts(
            container=name,
            codec=context.codec.canonical_name,
            pixel_format=context.pix_fmt or "",
            width=context.width,
            height=context.height,
            rate=next((rate for rate in rates if rate <= MOST_RATE), DEFAULT_RATE if self._raw else None),
            odd_rate=next((rate for rate in rates if rate > MOST_RATE), None) if self._raw else None,
            time_base=NANOSECOND if self.endless else time_base,
            orientation=_orientation(self._address, self.opening) if turned else UPRIGHT,
            duration_ns=believed(duration_ns, LONGEST_NS),
            stated_ns=believed(stated, LONGEST_NS),
            frames=believed(frames, MOST_FRAMES),
            false_claim=false_claim(frames, stated or duration_ns),
            started_ns=started_ns({**container.metadata, **stream.metadata}),
            has_b_frames=bool(context.has_b_frames),
            audio=bool(container.streams.audio),
        )

    def _rates(self) -> tuple[Fraction | None, ...]:
        """Candidates for the rate, the best first."""
        stream = self._stream
        if self._raw:
            return self.opening.rate, fraction(stream.codec_context.framerate)
        return fraction(stream.average_rate), fraction(stream.guessed_rate)

    @property
    def _raw(self) -> bool:
        """True if it is a bare stream without time stamps."""
        return self._container.format.name in ("h264", "hevc", "m4v", "mpegvideo", "vvc", "obu", "rawvideo", "mjpeg")


def _open(address: str, opening: Opening) -> InputContainer:
    av = load()
    if not is_url(address):
        path = expand(address)
        check_file(path)
        if found := oversize(path, opening.max_pixels):
            raise SourceError(f"{path} isn't read: {found}")
    timeout = (opening.open_timeout_s, opening.read_timeout_s)
    limits = {"max_pixels": str(opening.max_pixels)}  # FFmpeg may decode a picture to find out what this is
    rate = {"framerate": str(opening.rate)} if opening.rate else {}
    started = time.monotonic()
    try:
        container: InputContainer = av.open(
            ffmpeg_name(address),
            "r",
            options={**limits, **rate, **opening.options},
            timeout=timeout,
            metadata_errors="replace",
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        late = opening.live and time.monotonic() - started >= opening.open_timeout_s
        cause = TimeoutError() if late else error  # FFmpeg calls a time-out invalid data where it was probing
        raise explain(cause, address, live=opening.live, limit=f"{opening.open_timeout_s:g} s") from None
    return container


def _video_stream(container: InputContainer, address: str) -> VideoStream:
    """The stream that FFmpeg prefers, all others switched off; cover pictures of sound files don't count."""
    from av.stream import Discard, Disposition

    if container.format.name in _NO_VIDEO:
        raise SourceError(f"{redact(address)} is text, expected a video; check the path")
    videos = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not videos:
        what = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        raise SourceError(f"{redact(address)} holds {what}, expected a video stream; choose a file with pictures")
    best = container.streams.best("video")
    chosen = next((stream for stream in videos if stream is best), videos[0])
    if chosen.codec_context is None:
        raise SourceError(f"{redact(address)} holds a video codec that this FFmpeg can't decode; convert it to H.264")
    for stream in container.streams:
        if stream is not chosen:
            stream.discard = Discard.all
    return chosen


def _check_size(stream: VideoStream, address: str, max_pixels: int) -> None:
    """Refuse pictures that the header says to be larger than allowed; later ones are the decoder's to count."""
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > max_pixels:
        raise SourceError(
            f"{redact(address)} has pictures of {width}x{height}, which are {width * height / 1e6:.0f} million pixels, "
            f"expected {max_pixels / 1e6:g} million at most; raise `max_pixels` if they are meant to be that large"
        )


def _orientation(address: str, opening: Opening) -> Orientation:
    """Return the orientation of the first picture; PyAV knows it of pictures only."""
    container = _open(address, opening)
    try:
        stream = _video_stream(container, address)
        set_up(stream.codec_context, LENIENT, opening.max_pixels)
        with suppress(load().FFmpegError, OSError):
            for packet in islice(container.demux(stream), _FIRST_PACKETS):
                for frame in packet.decode():
                    return of_frame(frame, packet) or UPRIGHT
        return UPRIGHT
    finally:
        container.close()


__all__ = ["Demuxer", "Facts", "Opening", "utc_ns"]
