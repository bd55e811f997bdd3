"""Checks of a source's output, like those of plugins: name an author's mistake where it is made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from operator import index
from typing import Any

from streamproc.classes import class_name
from streamproc.errors import SourceError
from streamproc.packets import Packet, VideoFormat
from streamproc.source import DecodedFrame, InputInfo


def checked_info(source: object, info: Any) -> InputInfo:
    """Check and return the result of `open`; a `SourceError` names the class and the mistake."""
    if isinstance(info, InputInfo):
        return info
    raise SourceError(
        f"{class_name(type(source))}: open gave {_what(info)}, expected InputInfo; end it with: "
        'return InputInfo(identity="...", live=False)'
    )


def checked_format(source: object, info: InputInfo) -> VideoFormat:
    """The format of a video source's packets; `SourceError` names the class where it says none."""
    if isinstance(info.format, VideoFormat):
        return info.format
    raise SourceError(
        f"{class_name(type(source))}: open gave an InputInfo whose format is {_what(info.format)}, expected "
        'VideoFormat; write: InputInfo(..., format=VideoFormat(codec="h264"))'
    )


def checked_packet(source: object, packet: Any) -> Packet:
    """Check and return a packet of a video source; a `SourceError` names the class and the mistake."""
    if not isinstance(packet, Packet):
        raise SourceError(
            f"{class_name(type(source))} gave {_what(packet)} in place of a packet, expected Packet; write: "
            "yield Packet(data=..., pts=..., keyframe=...)"
        )
    if type(packet.data) is not bytes:
        raise SourceError(
            f"{class_name(type(source))} gave a Packet whose data is {_what(packet.data)}, expected bytes; write: "
            "data=bytes(...)"
        )
    for name, value in (("pts", packet.pts), ("dts", packet.dts), ("duration", packet.duration)):
        if value is not None and type(value) is not int:
            raise SourceError(
                f"{class_name(type(source))} gave a Packet at {name}={value!r}, expected a whole number of ticks, "
                "or None"
            )
    return packet


def checked_frames(source: object, pictures: Any) -> Iterator[DecodedFrame | None]:
    """Check and yield the frames of a source; a `SourceError` names the class and the mistake."""
    if not isinstance(pictures, Iterable):
        raise SourceError(
            f"{class_name(type(source))} gave {_what(pictures)}, expected pictures; yield them one by one"
        )
    for decoded in pictures:
        yield _checked(source, decoded)


def _checked(source: object, decoded: Any) -> DecodedFrame | None:
    if decoded is None:
        return None
    if not isinstance(decoded, DecodedFrame):
        raise SourceError(
            f"{class_name(type(source))} gave {_what(decoded)} in place of a picture, expected DecodedFrame; write: "
            "yield DecodedFrame(picture=ArrayPicture(rgb), pts_ns=...)"
        )
    if not hasattr(decoded.picture, "to_rgb"):
        raise SourceError(
            f"{class_name(type(source))} gave a DecodedFrame whose picture is {_what(decoded.picture)}, "
            "expected a picture; write: picture=ArrayPicture(rgb)"
        )
    if decoded.pts_ns is None or type(decoded.pts_ns) is int:
        return decoded
    try:
        return replace(decoded, pts_ns=index(decoded.pts_ns))
    except TypeError:
        raise SourceError(
            f"{class_name(type(source))} gave a DecodedFrame at pts_ns={decoded.pts_ns!r}, expected a whole number of "
            "nanoseconds, or None; of seconds make: pts_ns=seconds(1.5)"
        ) from None


def _what(value: object) -> str:
    return "None" if value is None else f"an object of class {type(value).__name__}"


__all__ = ["checked_format", "checked_frames", "checked_info", "checked_packet"]
