"""Compressed pictures as plain data: they pickle, cross a process, and can be written to a file as they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from streamproc.frames import SECOND_NS

MAX_PIXELS = 100_000_000
"""pixels of one picture at most, unless the user says otherwise"""

NANOSECOND = Fraction(1, SECOND_NS)


def ticks_ns(ticks: int | None, time_base: Fraction | None) -> int | None:
    """Nanoseconds of `ticks` of `time_base` seconds, rounded once, half to even."""
    if ticks is None or not time_base:
        return None
    bottom = time_base.denominator
    whole, rest = divmod(ticks * SECOND_NS * time_base.numerator, bottom)
    return whole + (2 * rest > bottom or (2 * rest == bottom and whole & 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFormat:
    """Facts of a stream of packets that a decoder and a container need. Only `codec` is required."""

    codec: str
    """FFmpeg's name of the codec, such as `h264`, `hevc`, `mjpeg` or `vp9`"""
    time_base: Fraction = NANOSECOND
    """seconds per tick of the packets' time stamps"""
    extradata: bytes = field(default=b"", repr=False)
    """the codec's header where it isn't in the packets: parameter sets of H.264 and HEVC (`avcC`, `hvcC` or with start
    codes; empty where each keyframe carries them)"""
    width: int = 0
    height: int = 0
    """as stored, before rotation, in pixels; 0 where only the pictures say it"""
    pixel_format: str = ""
    """FFmpeg's name; needed for raw video only"""
    rate: Fraction | None = None
    """nominal frames per second"""
    rotation: int | None = None
    """degrees clockwise by which all pictures are to be turned: 0, 90, 180 or 270; None where each says it itself"""
    mirrored: bool = False
    """whether left and right are exchanged before turning"""
    in_coding_order: bool = False
    """whether time stamps count packets rather than say when pictures are shown, as in AVI"""
    reorder: int = 0
    """pictures that a decoder holds back at most, to put B-frames in order"""
    tag: str = ""
    """the four letters by which the container names the codec"""
    bits_per_sample: int = 0
    """as the container has it; some codecs of old need it"""
    colours: tuple[int, int, int, int] = (0, 2, 2, 2)
    """range, primaries, transfer and matrix as the container has them, in FFmpeg's numbers; 0 and 2: not stated"""
    sample_aspect: Fraction | None = None
    """width to height of a pixel, where the container says it"""
    field_order: int = 0
    """FFmpeg's number for interlaced video, 0 where it isn't stated"""

    def ns(self, ticks: int | None) -> int | None:
        """Nanoseconds of a packet's time stamp or duration."""
        return ticks_ns(ticks, self.time_base)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One compressed picture, or one field of an interlaced one."""

    data: bytes = field(repr=False)
    keyframe: bool
    """whether decoding can begin here"""
    pts: int | None = None
    """when the picture is shown, in ticks of the format's time base"""
    dts: int | None = None
    """when it is decoded; differs from `pts` where there are B-frames"""
    duration: int | None = None
    """how long it is shown, in the same ticks"""
    captured_ns: int | None = None
    """UTC of capture, for live inputs; its picture carries it"""
    damaged: bool = False
    """whether the container calls it corrupt: it isn't decoded"""
    hidden: bool = False
    """whether it is decoded but never shown, as in front of the first picture of an MP4 that was trimmed"""
    side_data: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)
    """what FFmpeg carries beside the data, by its name of the kind, such as `palette` or `new_extradata`"""
    format: VideoFormat | None = field(default=None, repr=False)
    """the format from this packet on, where it changes in mid-stream; a keyframe"""

    @property
    def size(self) -> int:
        """Bytes of the data."""
        return len(self.data)


__all__ = ["MAX_PIXELS", "NANOSECOND", "Packet", "VideoFormat", "ticks_ns"]
