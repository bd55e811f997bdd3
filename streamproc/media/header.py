"""The size of a still picture by its header, so that nothing needs to be decoded to know it."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

from streamproc.packets import MAX_PIXELS

HEAD_BYTES = 1 << 18
"""bytes of a file in which its size stands; a JPEG may have colour profiles and previews before it"""

TOO_LARGE = "too_large"
"""why a picture of more isn't decoded, for counting"""

TIFF = (b"II*\0", b"MM\0*")

_GAP = rb"\s+(?:#[^\n]*\n\s*)*"
_PNM = re.compile(rb"P[1-6]" + _GAP + rb"(?P<width>\d{1,9})" + _GAP + rb"(?P<height>\d{1,9})")
_PAM = re.compile(rb"WIDTH\s+(?P<width>\d{1,9})\s.*?HEIGHT\s+(?P<height>\d{1,9})", re.DOTALL)
_HDR = re.compile(rb"[-+]Y\s+(?P<height>\d{1,9})\s+[-+]X\s+(?P<width>\d{1,9})\s*\n")

Size = tuple[int, int]


def picture_size(data: bytes) -> Size | None:
    """(width, height) as stored; None where the header is unknown, damaged or longer than `data`.

    Knows PNG, JPEG, GIF, WebP, BMP, TIFF, AVIF, JPEG 2000, PBM to PAM, Radiance HDR, OpenEXR and Sun raster.
    """
    for magic, read in _READERS.items():
        if re.match(magic, data, re.DOTALL):
            try:
                return read(data)
            except (struct.error, IndexError):
                return None
    return None


def too_large(data: bytes, max_pixels: int) -> str:
    """Describe the fault of a picture of more pixels than allowed, by its header; empty where nothing is."""
    size = picture_size(data)
    if size is None or size[0] * size[1] <= max_pixels:
        return ""
    return (
        f"{size[0]}x{size[1]} are {size[0] * size[1] / 1e6:.0f} million pixels, expected {max_pixels / 1e6:g} million "
        "at most; scale it down, or raise `max_pixels` if it is meant to be that large"
    )


def _png(data: bytes) -> Size:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _gif(data: bytes) -> Size:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _bmp(data: bytes) -> Size:
    if struct.unpack_from("<I", data, 14)[0] == 12:
        width, height = struct.unpack_from("<HH", data, 18)
        return width, height
    width, height = struct.unpack_from("<ii", data, 18)
    return abs(width), abs(height)


def _jpeg(data: bytes) -> Size | None:
    """The largest frame header's (SOF0 to SOF15 but for DHT, JPG and DAC), up to the scan."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        kind = data[at + 1]
        if kind == 0xFF:
            at += 1
        elif 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        elif kind in (0x01, *range(0xD0, 0xDA)):
            at += 2
        else:
            at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    return None


def _webp(data: bytes) -> Size | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _tiff(data: bytes) -> Size | None:
    order = "<" if data[:2] == b"II" else ">"
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, at)
    found: dict[int, int] = {}
    for index in range(count):
        tag, kind = struct.unpack_from(f"{order}HH", data, at + 2 + 12 * index)
        if tag in (256, 257):
            form = "H" if kind == 3 else "I"
            (found[tag],) = struct.unpack_from(f"{order}{form}", data, at + 10 + 12 * index)
    return (found[256], found[257]) if len(found) == 2 else None


def _boxed(mark: bytes, skip: int, *, width_first: bool) -> Callable[[bytes], Size | None]:
    """A reader of the two numbers `skip` bytes behind a box's name."""

    def read(data: bytes) -> Size | None:
        found = [match.end() + skip for match in re.finditer(re.escape(mark), data)]
        sizes = [struct.unpack_from(">II", data, at) for at in found]
        largest = max(sizes, key=lambda size: int(size[0]) * int(size[1]), default=None)
        return None if largest is None else (largest if width_first else largest[::-1])

    return read


def _text(pattern: re.Pattern[bytes]) -> Callable[[bytes], Size | None]:
    """A reader of the numbers that a pattern calls `width` and `height`."""

    def read(data: bytes) -> Size | None:
        match = pattern.search(data)
        return (int(match["width"]), int(match["height"])) if match else None

    return read


def _exr(data: bytes) -> Size | None:
    at = data.find(b"dataWindow\0box2i\0")
    if at < 0:
        return None
    left, top, right, bottom = struct.unpack_from("<iiii", data, at + 21)
    return right - left + 1, bottom - top + 1


def _sun(data: bytes) -> Size:
    width, height = struct.unpack_from(">II", data, 4)
    return width, height


_READERS: dict[bytes, Callable[[bytes], Size | None]] = {
    rb"\x89PNG\r\n\x1a\n": _png,
    rb"\xff\xd8\xff": _jpeg,
    rb"GIF8": _gif,
    rb"RIFF....WEBP": _webp,
    rb"BM": _bmp,
    rb"II\*\0|MM\0\*": _tiff,
    rb"....ftypavi[fs]": _boxed(b"ispe", 4, width_first=True),
    rb"\0\0\0\x0cjP  ": _boxed(b"ihdr", 0, width_first=False),
    rb"\xff\x4f\xff\x51": lambda data: struct.unpack_from(">II", data, 8),
    rb"P[1-6]\s": _text(_PNM),
    rb"P7\s": _text(_PAM),
    rb"#\?": _text(_HDR),
    rb"\x76\x2f\x31\x01": _exr,
    rb"\x59\xa6\x6a\x95": _sun,
}

__all__ = ["HEAD_BYTES", "MAX_PIXELS", "TIFF", "TOO_LARGE", "picture_size", "too_large"]
