"""Checks that a file ends where its own structure says that it does: GIF, MP4 in fragments, Matroska, MPEG-TS, HLS."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

_TS_SYNC = ord("G")
_TS_SIZES = (188, 192, 204)
"""bytes of a transport packet: plain, with a time code before it, with error correction behind it"""

_BOXES = (b"mdat", b"moof", b"moov")
"""boxes of an MP4 that hold pictures or say where they are"""

_TS_PROBE = 10
"""packets by whose sync bytes the size is known"""


def breaks_off(path: Path, container: str) -> str:
    """Describe the sign that a file is cut off, in words such as `ends within a picture`; empty where nothing does.

    container: FFmpeg's short name of the format. Raises nothing: a file that can't be read shows nothing.
    """
    look = {"gif": _gif, "mov": _boxes, "mpegts": _transport, "matroska": _segment}.get(container)
    try:
        if container == "hls":
            return _playlist(path)
        if look is None:
            return ""
        with path.open("rb") as file:
            return look(file, path.stat().st_size)
    except OSError:
        return ""


def _gif(file: BinaryIO, size: int) -> str:
    """Walk the blocks of a GIF89a (section 12 ff.) up to its trailer."""
    head = file.read(13)
    if len(head) < 13:
        return "ends within its header"
    file.seek(_colours(head[10]), 1)
    while kind := file.read(1):
        if kind == b";":
            return ""
        if kind == b"!":
            file.seek(1, 1)
        elif kind == b",":
            descriptor = file.read(9)
            if len(descriptor) < 9:
                return "ends within a picture"
            file.seek(_colours(descriptor[8]) + 1, 1)
        else:
            return ""  # not as the standard has it: it says nothing
        if not _skip_sub_blocks(file, size):
            return "ends within a picture"
    return ""  # some programs write no end mark


def _colours(flags: int) -> int:
    """Bytes of the colour table that these flags announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip_sub_blocks(file: BinaryIO, size: int) -> bool:
    """Return whether the blocks of data end within the file."""
    while length := file.read(1):
        if length == b"\0":
            return True
        if file.seek(length[0], 1) > size:
            return False
    return False


def _boxes(file: BinaryIO, size: int) -> str:
    """Walk the outermost boxes of an MP4 (ISO/IEC 14496-12, section 4.2)."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8).ljust(8, b"\0"))
        if length < 8:  # 0: up to the end of the file
            return ""
        if at + length > size and kind in _BOXES:  # something else is what some camera put behind the end
            return f"ends {at + length - size:,} bytes before its last part ({kind.decode('latin-1')}) does"
        at += length
    return ""


def _segment(file: BinaryIO, size: int) -> str:
    """Compare the size of Matroska's one segment with what is there (RFC 8794, section 6, and RFC 9559)."""
    at = 0
    for kind in (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"):
        file.seek(at)
        if file.read(4) != kind:
            return ""
        length, width = _variable(file.read(8).ljust(8, b"\0"))
        at += 4 + width + length
        if length == (1 << 7 * width) - 1:  # not known when it was written
            return ""
    return f"ends {at - size:,} bytes before its segment does" if at > size else ""


def _variable(data: bytes) -> tuple[int, int]:
    """A number of EBML, and how many bytes it takes."""
    width = 9 - data[0].bit_length()
    if width > 8:
        return 0, 1
    return int.from_bytes(data[:width], "big") & ((1 << 7 * width) - 1), width


def _transport(file: BinaryIO, size: int) -> str:
    head = file.read(_TS_SIZES[-1] * (_TS_PROBE + 1))
    for length in _TS_SIZES:
        for start in range(min(length, len(head))):
            marks = head[start::length][:_TS_PROBE]
            if len(marks) == _TS_PROBE and all(mark == _TS_SYNC for mark in marks):
                file.seek(size - (size - start) % length)
                whole = (size - start) % length in (0, length - 4)  # 4: a time code belongs to the packet behind it
                return "" if whole or file.read(1) != b"G" else "ends within a transport packet"
    return ""


def _playlist(path: Path) -> str:
    """The segments that a local media playlist lists and that aren't there (RFC 8216, section 4.3)."""
    lines = [line.strip() for line in path.read_text(errors="replace").splitlines()]
    listed = [line for line in lines if line and not line.startswith("#")]
    if any(line.startswith("#EXT-X-STREAM-INF") for line in lines) or any("://" in line for line in listed):
        return ""
    missing = [name for name in listed if not _is_there(_segment_file(path, name))]
    if missing:
        return f"lacks {len(missing)} of its {len(listed)} segments, {missing[0]} first"
    if "#EXT-X-ENDLIST" not in lines:
        return "has no end mark (#EXT-X-ENDLIST) in its playlist"
    last = _segment_file(path, listed[-1]) if listed else path
    return breaks_off(last, "mpegts") if last.suffix == ".ts" else ""


def _segment_file(playlist: Path, name: str) -> Path:
    return playlist.parent / unquote(name.split("?", maxsplit=1)[0])


def _is_there(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


__all__ = ["breaks_off"]
