"""Between PyAV's objects, which live in one process, and plain packets and formats."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from streamproc.errors import SourceError
from streamproc.media.ffmpeg import fraction, load
from streamproc.packets import Packet, VideoFormat

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

_PADDING = bytes(64)
"""FFmpeg reads beyond the end of what it decodes; it must find zeros there, so that each run gives the same"""

_PREFERRED = {"av1": ("libdav1d", "libaom-av1")}
"""codecs whose FFmpeg decoder of the same name needs hardware"""

_USEFUL = frozenset({"palette", "new_extradata", "param_change"})
"""side data without which a packet isn't decoded rightly"""


def plain_packet(packet: Any) -> Packet:
    """A copy of PyAV's packet."""
    side_data = tuple((part.data_type, bytes(part)) for part in packet.iter_sidedata() if part.data_type in _USEFUL)
    return Packet(
        data=bytes(packet),
        keyframe=packet.is_keyframe,
        pts=packet.pts,
        dts=packet.dts,
        duration=packet.duration or None,
        damaged=packet.is_corrupt,
        hidden=packet.is_discard,
        side_data=side_data,
    )


def av_packet(packet: Packet) -> Any:
    """PyAV's packet for a decoder or a container, without its time base."""
    av = load()
    made = av.Packet(len(packet.data))  # FFmpeg's own buffer, with padding behind the data
    made.update(packet.data)
    made.pts, made.dts = packet.pts, packet.dts
    if packet.duration is not None:
        made.duration = packet.duration
    made.is_keyframe = packet.keyframe
    for kind, data in packet.side_data:
        made.set_sidedata(_side_data(kind, data), move=True)
    return made


def _side_data(kind: str, data: bytes) -> Any:
    from av.packet import PacketSideData, packet_sidedata_type_from_literal

    make: Any = PacketSideData
    made = make(packet_sidedata_type_from_literal(kind), len(data))  # type: ignore[arg-type]
    made.update(data)
    return made


def stream_format(stream: Any, known: VideoFormat) -> VideoFormat:
    """The format of PyAV's input stream; known: what only its container says."""
    context = stream.codec_context
    return VideoFormat(
        codec=context.codec.canonical_name,
        time_base=known.time_base,
        extradata=context.extradata or b"",
        width=context.width,
        height=context.height,
        pixel_format=context.pix_fmt or "",
        rate=known.rate,
        rotation=known.rotation,
        mirrored=known.mirrored,
        in_coding_order=known.in_coding_order,
        reorder=context.reorder_depth,
        tag=context.codec_tag,
        bits_per_sample=context.bits_per_coded_sample,
        colours=(context.color_range, context.color_primaries, context.color_trc, context.colorspace),
        sample_aspect=fraction(stream.sample_aspect_ratio),
        field_order=context.field_order,
    )


def decoder_context(form: VideoFormat) -> VideoCodecContext:
    """A new decoder, not open yet; `SourceError` where FFmpeg has none."""
    context = _found(form.codec)
    describe(context, form)
    context.reorder_depth = form.reorder
    context.bits_per_coded_sample = form.bits_per_sample
    return context


def describe(context: VideoCodecContext, form: VideoFormat) -> None:
    """Set what decoders and containers both need."""
    if form.extradata:
        context.extradata = form.extradata + _PADDING
        context.extradata = form.extradata  # in the same memory: the padding stays behind it
    context.width, context.height = form.width, form.height
    if form.pixel_format:
        context.pix_fmt = form.pixel_format
    if form.tag:
        context.codec_tag = form.tag
    context.color_range, context.color_primaries, context.color_trc, context.colorspace = form.colours
    context.field_order = form.field_order
    if form.sample_aspect:
        context.sample_aspect_ratio = form.sample_aspect


def _found(codec: str) -> VideoCodecContext:
    av = load()
    for name in (*_PREFERRED.get(codec, ()), codec):
        with suppress(av.FFmpegError, ValueError):
            made = av.CodecContext.create(name, "r")
            if made.type == "video":
                return made  # type: ignore[no-any-return]
    raise SourceError(
        f"packets of codec {codec!r} can't be decoded by this FFmpeg; name a video codec as FFmpeg does, such as h264, "
        "hevc, mjpeg or vp9"
    )


__all__ = ["av_packet", "decoder_context", "describe", "plain_packet", "stream_format"]
