"""Finds clean entry points and second fields in H.264 (ITU-T H.264, sections 7.3.2 and 7.3.3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from streamproc.packets import Packet, VideoFormat

_SLICE, _IDR, _SPS, _PPS = 1, 5, 7, 8
_HIGH = (44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 144, 244)
"""profiles whose parameter sets say more about the colours"""
HEAD = 4096
"""bytes of a packet within which its first slice begins, side information with captions before it"""

_SLICE_HEAD = 64
"""bytes of a slice that hold all of its header that is read here"""


@dataclass(frozen=True, slots=True)
class _Sps:
    frame_num_bits: int
    planes_apart: bool
    frames_only: bool


@dataclass(frozen=True, slots=True)
class _Field:
    """The head of a slice of a single field."""

    idr: bool
    frame_num: int
    bottom: bool


class H264Reader:
    """Reads the packets of one stream in their order.

    extradata: the parameter sets of the container, None where they come in the packets.
    """

    def __init__(self, extradata: bytes | None) -> None:
        self._length_bytes = 0
        """bytes of the length in front of each unit; 0: start codes"""
        self._sps: dict[int, _Sps] = {}
        self._sps_of_pps: dict[int, int] = {}
        self._first: _Field | None = None  # the field before, where it was the first of its picture
        self._has_fields = False
        if extradata and extradata[0] == 1:
            self._length_bytes = (extradata[4] & 3) + 1 if len(extradata) > 4 else 4
            self._learn(_configuration_units(extradata))
        elif extradata:
            self._learn(_start_code_units(extradata))

    def is_idr(self, data: bytes) -> bool:
        """Return whether a packet with a keyframe needs nothing from before it; records its parameter sets."""
        units = list(self._units(data))
        self._learn(units)
        return any(unit[0] & 31 == _IDR for unit in units if unit)

    @property
    def has_fields(self) -> bool:
        """True if pictures may come as two fields, each in a packet of its own."""
        return self._has_fields

    def is_second_field(self, data: bytes) -> bool:
        """Return whether a packet completes the picture of the packet before it; call it for each packet."""
        first, self._first = self._first, None
        field = self._field(data)
        if field is None:
            return False
        pair = first is not None and first.frame_num == field.frame_num and first.bottom != field.bottom
        if pair and not field.idr:
            return True
        self._first = field
        return False

    def _field(self, data: bytes) -> _Field | None:
        """The first slice's head, None where it is one of a whole frame or can't be read."""
        head = next((unit for unit in self._units(data) if unit and unit[0] & 31 in (_SLICE, _IDR)), None)
        if head is None:
            return None
        try:
            return self._slice(head)
        except (IndexError, KeyError):
            return None

    def _slice(self, unit: bytes) -> _Field | None:
        bits = _Bits(_plain(unit[1:_SLICE_HEAD]))
        bits.golomb()  # first macroblock
        bits.golomb()  # type
        sps = self._sps[self._sps_of_pps[bits.golomb()]]
        if sps.frames_only:
            return None
        if sps.planes_apart:
            bits.take(2)
        frame_num = bits.take(sps.frame_num_bits)
        if not bits.take(1):
            return None
        return _Field(idr=unit[0] & 31 == _IDR, frame_num=frame_num, bottom=bool(bits.take(1)))

    def _learn(self, units: Iterator[bytes] | list[bytes]) -> None:
        for unit in units:
            kind = unit[0] & 31 if unit else 0
            try:
                if kind == _SPS:
                    number, sps = _read_sps(_Bits(_plain(unit[1:])))
                    self._sps[number] = sps
                elif kind == _PPS:
                    bits = _Bits(_plain(unit[1:_SLICE_HEAD]))
                    self._sps_of_pps[bits.golomb()] = bits.golomb()
            except IndexError:
                continue  # damaged: the decoder has its own word on it
        self._has_fields = any(not sps.frames_only for sps in self._sps.values())

    def _units(self, data: bytes) -> Iterator[bytes]:
        return _length_units(data, self._length_bytes) if self._length_bytes else _start_code_units(data)


class PictureCount:
    """Finds the packets of one stream, in their order, that begin a picture that is shown."""

    def __init__(self, form: VideoFormat) -> None:
        self._reader = H264Reader(form.extradata) if form.codec == "h264" else None

    def begins(self, packet: Packet) -> bool:
        """Return whether this packet does: a second field and a hidden picture don't; call it for each packet."""
        reader = self._reader
        if reader is None:
            return not packet.hidden
        if packet.keyframe:
            reader.is_idr(packet.data)  # for its parameter sets
        second = reader.has_fields and reader.is_second_field(packet.data[:HEAD])
        return not (packet.hidden or second)


class _Bits:
    """Reads bits from the front; `IndexError` behind the end."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise IndexError("the unit ends early")
        return (self._value >> self._left) & ((1 << count) - 1)

    def golomb(self) -> int:
        """An unsigned Exp-Golomb code."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        code = self.golomb()
        return (code + 1) // 2 if code % 2 else -(code // 2)


def _plain(unit: bytes) -> bytes:
    """Return it without the bytes that prevent start codes in it."""
    return unit.replace(b"\0\0\3", b"\0\0")


def _start_code_units(data: bytes) -> Iterator[bytes]:
    at = data.find(b"\0\0\1")
    while at >= 0:
        end = data.find(b"\0\0\1", at + 3)
        yield data[at + 3 :] if end < 0 else data[at + 3 : end]
        at = end


def _length_units(data: bytes, size: int) -> Iterator[bytes]:
    at = 0
    while at + size < len(data):
        length = int.from_bytes(data[at : at + size], "big")
        yield data[at + size : at + size + length]
        at += size + length


def _configuration_units(data: bytes) -> list[bytes]:
    """The parameter sets of an `avcC` box (ISO/IEC 14496-15, section 5.3.3)."""
    units: list[bytes] = []
    at = 5
    for mask in (31, 255):
        if at >= len(data):
            break
        count, at = data[at] & mask, at + 1
        for _ in range(count):
            length = int.from_bytes(data[at : at + 2], "big")
            units.append(data[at + 2 : at + 2 + length])
            at += 2 + length
    return units


def _read_sps(bits: _Bits) -> tuple[int, _Sps]:
    """Its number, and what is needed of it."""
    profile = bits.take(8)
    bits.take(16)  # constraints, level
    number = bits.golomb()
    planes_apart = _read_colours(bits) if profile in _HIGH else False
    frame_num_bits = bits.golomb() + 4
    order_type = bits.golomb()
    if order_type == 0:
        bits.golomb()
    elif order_type == 1:
        bits.take(1)
        bits.signed(), bits.signed()
        for _ in range(bits.golomb()):
            bits.signed()
    bits.golomb()  # reference frames
    bits.take(1)
    bits.golomb(), bits.golomb()  # width, height
    return number, _Sps(frame_num_bits, planes_apart, frames_only=bool(bits.take(1)))


def _read_colours(bits: _Bits) -> bool:
    """Past chroma format, depths and scaling lists; whether the planes are coded apart."""
    chroma = bits.golomb()
    planes_apart = chroma == 3 and bool(bits.take(1))
    bits.golomb(), bits.golomb()  # depths
    bits.take(1)
    if bits.take(1):
        for index in range(12 if chroma == 3 else 8):
            if bits.take(1):
                _skip_scaling_list(bits, 16 if index < 6 else 64)
    return planes_apart


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


__all__ = ["HEAD", "H264Reader"]
