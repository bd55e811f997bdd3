"""FFmpeg's decoder as used here: one thread, no exceptions, each picture with the facts of its packet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streamproc.media.convert import decoder_context
from streamproc.media.ffmpeg import load
from streamproc.packets import VideoFormat

if TYPE_CHECKING:
    from av import VideoFrame
    from av.video.codeccontext import VideoCodecContext

STRICT = "crccheck+explode"
"""every breach of the codec's rules is an error"""
LENIENT = "0"
"""breaches are patched up in silence"""

MOST_HELD = 64
"""packets after which a picture that hasn't come out never will; codecs reorder 16 at most"""


@dataclass(frozen=True, slots=True, eq=False)
class SentPacket:
    """Facts of a packet that come back from FFmpeg with its picture; each must be an object of its own."""

    number: int
    """of the picture; both fields of one have the same"""
    pts_ns: int | None
    captured_ns: int | None
    hidden: bool = False
    """whether its picture is never shown"""


def set_up(context: VideoCodecContext, strictness: str, max_pixels: int) -> VideoCodecContext:
    """Prepare a decoder: one thread (with frame threads a damaged file differs from run to run), its facts, limits."""
    context.thread_count = 1
    context.thread_type = "NONE"
    context.copy_opaque = True
    context.options = {**context.options, "err_detect": strictness, "max_pixels": str(max_pixels)}
    return context


def show_all(context: VideoCodecContext) -> VideoCodecContext:
    """Let pictures out, marked as corrupt, that aren't complete yet behind an entry point."""
    from av.codec.context import Flags

    context.flags |= Flags.output_corrupt
    return context


def new_decoder(form: VideoFormat, strictness: str, max_pixels: int) -> VideoCodecContext:
    """A decoder of packets of this format; `SourceError` where FFmpeg has none."""
    return set_up(decoder_context(form), strictness, max_pixels)


def decode(context: VideoCodecContext, payload: Any) -> tuple[list[VideoFrame], bool]:
    """The pictures that are ready, and whether decoding failed."""
    try:
        return _visible(context.decode(payload)), False
    except (load().FFmpegError, OSError, ValueError):
        return [], True


def drain(context: VideoCodecContext) -> list[VideoFrame]:
    """The pictures held back; the decoder is as new afterwards."""
    errors: Any = load().error
    frames: list[VideoFrame] = []
    for _ in range(MOST_HELD):
        try:
            held = context.decode(None)
        except (errors.EOFError, ValueError):
            break
        except (errors.FFmpegError, OSError):
            continue  # one that can't be had; others may come behind it
        if not held:
            break
        frames += _visible(held)
    context.flush_buffers()
    return frames


def _visible(frames: list[VideoFrame]) -> list[VideoFrame]:
    return [frame for frame in frames if not sent_packet_of(frame).hidden]


def sent_packet_of(frame: VideoFrame) -> SentPacket:
    """Return the facts of the packet that a picture came from; number 0 where it came from none."""
    found: Any = frame.opaque
    return found if isinstance(found, SentPacket) else SentPacket(0, None, None)


__all__ = [
    "LENIENT",
    "MOST_HELD",
    "STRICT",
    "SentPacket",
    "decode",
    "drain",
    "new_decoder",
    "sent_packet_of",
    "set_up",
    "show_all",
]
