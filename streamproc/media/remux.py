"""Writing packets to a file as they are, without decoding or encoding."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from heapq import heappop, heappush
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from streamproc.errors import SinkError
from streamproc.media.convert import av_packet, describe
from streamproc.media.ffmpeg import load, reason
from streamproc.media.orientation import Orientation, to_matrix
from streamproc.packets import Packet, VideoFormat
from streamproc.timeline import DEFAULT_RATE

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

_CONTAINERS = {
    ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".ts": "mpegts", ".avi": "avi",
}  # fmt: skip

_OPTIONS = {
    # what is written so far can be read at any time; on closing it becomes a plain file with an index
    "mp4": {"movflags": "hybrid_fragmented+frag_keyframe+delay_moov", "flush_packets": "1"},
    "mov": {"movflags": "hybrid_fragmented+frag_keyframe+delay_moov", "flush_packets": "1"},
}

_TURNING = ("mp4", "mov", "matroska")
"""containers that can say how pictures are to be turned"""

_IN_TRANSPORT = {
    "h264": "h264_mp4toannexb,dump_extra=freq=keyframe",
    "hevc": "hevc_mp4toannexb,dump_extra=freq=keyframe",
    "mpeg4": "dump_extra=freq=keyframe",
    "mpeg2video": "dump_extra=freq=keyframe",
    "mpeg1video": "dump_extra=freq=keyframe",
}
"""what puts the codec's header into the packets, as MPEG-TS has it nowhere else; FFmpeg would write others as data"""

_BY_CODEC = "\0\0\0\0"
"""the name of a codec that the container chooses"""


class PacketWriter:
    """Writes packets of one format into an MP4, MOV, MKV, WebM, AVI or MPEG-TS file; the name's ending says which.

    The file begins at the first keyframe; packets before it, and pictures behind it that are shown before it, are left
    out, as they can't be decoded without what came before. The first picture is shown at 0. Without a keyframe no file
    is made. An MP4 can be read while it is written and after a crash, up to its last whole group of pictures. As a
    context manager it closes at the end. Not thread-safe.

    path: its folder is made where it is missing; an existing file is replaced.
    """

    def __init__(self, path: Path | str, form: VideoFormat) -> None:
        self.path = Path(path)
        self.packets = 0
        """written so far"""
        self._form = form
        self._name = _CONTAINERS.get(self.path.suffix.lower(), "")
        if not self._name:
            raise SinkError(
                f"{self.path} ends in {self.path.suffix or 'nothing'!r}, expected one of {', '.join(_CONTAINERS)}"
            )
        self._stamps = _Stamps(form)
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._filter: Any = None
        self._closed = False

    def write(self, packet: Packet) -> None:
        """Append the next packet, in decoding order. Raises `SinkError`."""
        if self._closed:
            raise ValueError(f"{self.path} is closed already; write before close()")
        if packet.format is not None and packet.format != self._form:
            raise ValueError(f"the format of the packets has changed; close {self.path} and begin another file")
        stamps = self._stamps.of(packet)
        if stamps is None:
            return
        if self._container is None:
            self._start(packet)
        made = av_packet(packet)
        made.pts, made.dts = stamps
        made.duration = packet.duration or self._stamps.step
        try:
            self._mux(made)
        except (load().FFmpegError, OSError, ValueError) as error:
            raise SinkError(
                f"{self.path} can't be written: {reason(error)}; check the space left on the disk"
            ) from None
        self.packets += 1

    def close(self) -> None:
        """Finish the file; may be called twice."""
        self._closed = True
        container, self._container, self._stream = self._container, None, None
        if container is None:
            return
        try:
            container.close()
        except (load().FFmpegError, OSError) as error:
            raise SinkError(
                f"{self.path} can't be finished: {reason(error)}; check the space left on the disk"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _mux(self, packet: Any) -> None:
        assert self._container is not None
        assert self._stream is not None
        for made in [packet] if self._filter is None else self._filter.filter(packet):
            made.time_base, made.stream = self._form.time_base, self._stream
            self._container.mux_one(made)

    def _start(self, first: Packet) -> None:
        av = load()
        form = self._form
        self._check_fit()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(
                str(self.path), "w", format=self._name, container_options=_OPTIONS.get(self._name, {})
            )
            self._stream = _stream(self._container, form, first)
            self._container.start_encoding()
            self._filter = _filter(form, self._stream) if self._name == "mpegts" else None
        except OSError as error:
            self._abandon()
            raise SinkError(f"{self.path} can't be written: {reason(error)}; check the folder") from None
        except (av.FFmpegError, ValueError) as error:
            self._abandon()
            raise SinkError(self._unfit(str(error))) from None

    def _check_fit(self) -> None:
        form = self._form
        if self._name == "mpegts" and form.codec not in _IN_TRANSPORT:
            raise SinkError(self._unfit(f"expected {', '.join(_IN_TRANSPORT)}"))
        if (form.rotation or form.mirrored) and self._name not in _TURNING:
            raise SinkError(
                f"{self.path}: {self._name} can't say that pictures are to be turned by {form.rotation} degrees; "
                "write .mp4, .mov or .mkv"
            )

    def _unfit(self, why: str) -> str:
        return (
            f"{self.path}: {self._name} doesn't take packets of codec {self._form.codec} ({why}); write .mkv, which "
            "takes nearly all, or encode the pictures anew"
        )

    def _abandon(self) -> None:
        container, self._container, self._stream = self._container, None, None
        self._closed = True
        if container is not None:
            with suppress(load().FFmpegError, OSError):
                container.close()
            with suppress(OSError):
                self.path.unlink()


class _Stamps:
    """Time stamps from 0 that every container takes: decoding times rise and aren't behind those of showing."""

    def __init__(self, form: VideoFormat) -> None:
        self.step = max(1, round(1 / ((form.rate or DEFAULT_RATE) * form.time_base)))
        """ticks of a packet that doesn't say how long it is shown"""
        self._origin: int | None = None
        self._leading = False  # whether pictures may come that are shown before the first keyframe
        self._last: int | None = None  # dts
        self._until = 0
        self._order: _Order | None = None
        self._depth = form.reorder

    def of(self, packet: Packet) -> tuple[int, int] | None:
        """pts and dts; None for a packet that is to be left out."""
        if self._origin is None:
            if not packet.keyframe:
                return None
            self._begin(packet)
        elif packet.keyframe:
            self._leading = False
        assert self._origin is not None
        if self._leading and packet.pts is not None and packet.pts < self._origin:
            return None
        pts, dts = self._rebased(packet, self._origin)
        if self._last is not None:
            dts = max(dts, self._last + 1)
        if self._order is not None and dts > pts:
            raise SinkError(
                "packets without dts are shown in another order than they are decoded in; give their dts, or how far "
                f"they change places, which is {self._depth}: VideoFormat(..., reorder=2)"
            )
        self._last = dts
        self._until = dts + (packet.duration or self.step)
        return max(pts, dts), dts

    def _begin(self, packet: Packet) -> None:
        self._origin = (packet.dts if packet.pts is None else packet.pts) or 0
        self._leading = packet.pts is not None
        if packet.dts is None and packet.pts is not None:
            self._order = _Order(self._depth, self.step)

    def _rebased(self, packet: Packet, origin: int) -> tuple[int, int]:
        """pts and dts; what is missing comes from the other, or from the packet before."""
        shown = packet.dts if packet.pts is None else packet.pts
        pts = self._until if shown is None else shown - origin
        if self._order is not None:
            return pts, self._order.dts(pts)
        return pts, (pts if packet.dts is None else packet.dts - origin)


class _Order:
    """Decoding times of packets that have none: the times of showing in rising order, `depth` packets earlier."""

    def __init__(self, depth: int, step: int) -> None:
        self._ahead = depth
        self._step = step
        self._times: list[int] = []

    def dts(self, pts: int) -> int:
        """The decoding time of the next packet."""
        heappush(self._times, pts)
        if self._ahead == 0:
            return heappop(self._times)
        self._ahead -= 1
        return -(self._ahead + 1) * self._step


def _filter(form: VideoFormat, stream: Any) -> Any:
    from av.bitstream import BitStreamFilterContext

    return BitStreamFilterContext(_IN_TRANSPORT[form.codec], stream)


def _stream(container: OutputContainer, form: VideoFormat, first: Packet) -> VideoStream:
    """The stream of a container; PyAV takes a codec's header from a template only."""
    with load().open(BytesIO(), "w", format="nut") as scratch:
        template = scratch.add_stream(form.codec)
        stream: Any = container.add_stream_from_template(template, opaque=True)
    apple = form.tag == "hvc1" and container.format.name in ("mp4", "mov")  # its players want this name for HEVC
    extradata = form.extradata or _extradata(form.codec, first)
    describe(stream.codec_context, replace(form, extradata=extradata, tag="hvc1" if apple else _BY_CODEC))
    stream.codec_context.framerate = form.rate or 0
    stream.time_base = form.time_base
    if form.rotation or form.mirrored:
        stream.set_display_matrix(to_matrix(Orientation(form.rotation or 0, form.mirrored)))
    return stream  # type: ignore[no-any-return]


def _extradata(codec: str, first: Packet) -> bytes:
    """The codec's header out of the first keyframe; empty where there is none or the codec has none."""
    from av.bitstream import BitStreamFilterContext

    with suppress(load().FFmpegError, ValueError):
        for found in BitStreamFilterContext("extract_extradata", codec).filter(av_packet(first)):
            if found.has_sidedata("new_extradata"):
                return bytes(found.get_sidedata("new_extradata"))
    return b""


__all__ = ["PacketWriter"]
