"""Frames as messages: a picture's bytes, and headers for its stream and time.

The `frames` sink sends them and the `kafka` source takes them; anybody else may do either. Values of headers
are UTF-8 text:

    stream       the stream's name
    pts_ns       presentation time in ns, of any origin
    captured_ns  UTC of capture, ns since 1970 (left out where unknown)
    index        the frame's number in its stream
    keyframe     1 for a keyframe, else 0
    encoding     jpeg, png or raw (rgb, uint8, row by row)
    width        pixels (raw needs both)
    height       pixels
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from streamproc.errors import StreamprocError
from streamproc.frames import ArrayPicture, Frame, Image
from streamproc.media.header import MAX_PIXELS, TOO_LARGE, too_large

Encoding = Literal["jpeg", "png", "raw"]
Headers = list[tuple[str, bytes]]

_MAGIC: Mapping[str, bytes] = {"jpeg": b"\xff\xd8\xff", "png": b"\x89PNG\r\n\x1a\n"}
_ENDS: Mapping[str, bytes] = {"jpeg": b"\xff\xd9", "png": b"IEND"}
_TAIL = 4096
"""bytes of padding that cameras put behind a picture's end at most"""


class Unreadable(StreamprocError):
    """A message that is no frame; `reason` is a short word for counting."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """Facts from the headers of a frame message."""

    stream: str | None
    pts_ns: int | None
    captured_ns: int | None
    index: int | None
    keyframe: bool
    encoding: Encoding | None
    """None: found from the bytes"""
    size: tuple[int, int] | None
    """width, height"""


def frame_headers(frame: Frame, encoding: Encoding) -> Headers:
    """The headers of a frame's message."""
    values: dict[str, object] = {
        "stream": frame.stream.name,
        "pts_ns": frame.pts_ns,
        "captured_ns": frame.captured_ns,
        "index": frame.index,
        "keyframe": int(frame.keyframe),
        "encoding": encoding,
        "width": frame.width,
        "height": frame.height,
    }
    return [(name, str(value).encode()) for name, value in values.items() if value is not None]


def encode_frame(frame: Frame, encoding: Encoding, quality: int) -> bytes:
    """The picture's bytes; `quality` 1 to 100 is JPEG's."""
    if encoding == "raw":
        return frame.rgb.tobytes()
    import cv2

    suffix, options = (".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality]) if encoding == "jpeg" else (".png", [])
    done, data = cv2.imencode(suffix, frame.bgr, options)
    if not done:
        raise ValueError(f"OpenCV couldn't make a {encoding} of a {frame.width}x{frame.height} picture")
    return data.tobytes()


def read_label(headers: Iterable[tuple[str, bytes | None]]) -> Label:
    """Read the headers; unknown ones are ignored. Raises `Unreadable`."""
    found = {name: value for name, value in headers if value is not None}
    encoding = _text(found, "encoding")
    if encoding not in (None, "jpeg", "png", "raw"):
        raise Unreadable("bad_header", f"header encoding is {encoding!r}, expected jpeg, png or raw")
    width, height = _number(found, "width"), _number(found, "height")
    return Label(
        stream=_text(found, "stream"),
        pts_ns=_number(found, "pts_ns"),
        captured_ns=_number(found, "captured_ns"),
        index=_number(found, "index"),
        keyframe=_number(found, "keyframe") == 1,
        encoding=encoding,  # type: ignore[arg-type]  # narrowed by the check above
        size=None if width is None or height is None else (width, height),
    )


def read_picture(data: bytes | None, label: Label, max_pixels: int = MAX_PIXELS) -> ArrayPicture:
    """The picture of a message. Raises `Unreadable`, also for one of more than `max_pixels`: it isn't decoded."""
    if not data:
        raise Unreadable("empty", "the message has no value, expected a picture")
    if label.encoding == "raw":
        return ArrayPicture(_raw(data, label.size, max_pixels))
    kind = next((name for name, magic in _MAGIC.items() if data.startswith(magic)), None)
    if kind is None or (label.encoding or kind) != kind:
        raise Unreadable(
            "not_a_picture", f"a message of {len(data)} bytes starts with {data[:8]!r}, expected JPEG or PNG"
        )
    if _ENDS[kind] not in data[-_TAIL:]:
        raise Unreadable("truncated", f"a {kind} of {len(data)} bytes has no end")
    if found := too_large(data, max_pixels):
        raise Unreadable(TOO_LARGE, found)
    return ArrayPicture(_decoded(data, kind))


def _decoded(data: bytes, kind: str) -> Image:
    import cv2

    try:
        rgb = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise Unreadable("undecodable", f"a {kind} of {len(data)} bytes: {error}") from error
    if rgb is None:
        raise Unreadable("undecodable", f"a {kind} of {len(data)} bytes can't be decoded")
    return np.asarray(rgb, dtype=np.uint8)


def _raw(data: bytes, size: tuple[int, int] | None, max_pixels: int) -> Image:
    if size is not None and min(size) > 0 and size[0] * size[1] > max_pixels:
        raise Unreadable(TOO_LARGE, f"a raw picture says its size is {size}, expected {max_pixels} pixels at most")
    if size is None or min(size) <= 0:
        raise Unreadable("bad_header", f"a raw picture says its size is {size}, expected headers width and height")
    width, height = size
    if len(data) != width * height * 3:
        raise Unreadable(
            "truncated", f"a raw {width}x{height} picture has {len(data)} bytes, expected {width * height * 3}"
        )
    return np.frombuffer(data, np.uint8).reshape(height, width, 3)


def _text(found: Mapping[str, bytes], name: str) -> str | None:
    value = found.get(name)
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Unreadable("bad_header", f"header {name} is {value[:40]!r}, expected UTF-8 text") from None


def _number(found: Mapping[str, bytes], name: str) -> int | None:
    value = found.get(name)
    if value is None:
        return None
    try:
        return int(value)
    except ValueError:
        raise Unreadable("bad_header", f"header {name} is {value[:40]!r}, expected a whole number") from None


__all__ = ["Encoding", "Headers", "Label", "Unreadable", "encode_frame", "frame_headers", "read_label", "read_picture"]
