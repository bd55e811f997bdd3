"""Rotation and mirroring of a stored picture: display matrices of containers and streams, EXIF of stills.

Display matrices are those of ISO/IEC 14496-12, section 8.3.2; H.264 and HEVC carry them as a display orientation SEI.
EXIF is JEITA CP-3451, tag 0x0112.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from av import VideoFrame

_EXIF_TAG = 0x0112
_IN_JPEG, _IN_PNG, _IN_WEBP = b"Exif\0\0", b"eXIf", b"EXIF"
_MOST_ENTRIES = 1000
"""entries of one EXIF directory that are read"""


class Orientation(NamedTuple):
    """The way from the stored picture to the one that is shown: mirrored first, then turned."""

    rotation: int = 0
    """degrees clockwise: 0, 90, 180 or 270"""
    mirrored: bool = False
    """whether left and right are exchanged before turning"""

    @property
    def upright(self) -> bool:
        """True if nothing is to be done."""
        return self == UPRIGHT

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of a picture of `width` times `height` after turning."""
        return (height, width) if self.rotation in (90, 270) else (width, height)


UPRIGHT = Orientation()

_OF_EXIF = {
    2: Orientation(0, mirrored=True),
    3: Orientation(180),
    4: Orientation(180, mirrored=True),
    5: Orientation(270, mirrored=True),
    6: Orientation(90),
    7: Orientation(90, mirrored=True),
    8: Orientation(270),
}


def of_matrix(matrix: bytes) -> Orientation:
    """The orientation that a display matrix asks for, its angle rounded to a quarter turn.

    matrix: nine int32 in native byte order, as FFmpeg gives them.
    """
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix)
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    return Orientation(round(math.degrees(math.atan2(b, a)) / 90) % 4 * 90, mirrored)


def to_matrix(orientation: Orientation) -> tuple[int, ...]:
    """The display matrix that asks for this orientation, as FFmpeg takes it."""
    one = 1 << 16
    cos, sin = {0: (one, 0), 90: (0, one), 180: (-one, 0), 270: (0, -one)}[orientation.rotation]
    sign = -1 if orientation.mirrored else 1
    return (sign * cos, sign * sin, 0, -sin, cos, 0, 0, 0, 1 << 30)


def of_frame(frame: VideoFrame, packet: Any) -> Orientation | None:
    """The orientation that came with a decoded picture itself; None where none did.

    packet: bytes that it was decoded from, for codecs of single pictures: PyAV can't list what a picture with EXIF
    carries.
    """
    try:
        found = _matrix(frame)
    except ValueError:
        return of_exif(bytes(packet))
    return None if found is None else of_matrix(found)


def _matrix(frame: VideoFrame) -> bytes | None:
    from av.sidedata.sidedata import Type

    wanted: Any = Type.DISPLAYMATRIX
    found: Any = frame.side_data.get(wanted)
    return None if found is None else bytes(found)


def of_exif(picture: bytes) -> Orientation:
    """The orientation in the EXIF data of a JPEG, PNG, WebP or TIFF file; upright where there is none."""
    start = _exif_start(picture)
    if start is None:
        return UPRIGHT
    try:
        return _OF_EXIF.get(_exif_value(picture[start:]), UPRIGHT)
    except struct.error:  # it ends early
        return UPRIGHT


def _exif_start(picture: bytes) -> int | None:
    if picture[:4] in (b"II*\0", b"MM\0*"):
        return 0
    for mark, skip in ((_IN_JPEG, 6), (_IN_PNG, 4), (_IN_WEBP, 8)):
        at = picture.find(mark)
        if at >= 0:
            # WebP's data may begin with JPEG's mark as well, which the first round finds
            return at + skip
    return None


def _exif_value(tiff: bytes) -> int:
    """The value of the orientation tag in the first directory, 1 (upright) where it has none."""
    order = "<" if tiff[:2] == b"II" else ">"
    (at,) = struct.unpack_from(f"{order}I", tiff, 4)
    (count,) = struct.unpack_from(f"{order}H", tiff, at)
    for index in range(min(count, _MOST_ENTRIES)):
        tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, at + 2 + 12 * index)
        if tag == _EXIF_TAG:
            return int(value)
    return 1


__all__ = ["UPRIGHT", "Orientation", "of_exif", "of_frame", "of_matrix", "to_matrix"]
