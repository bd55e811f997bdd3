"""Field-coded H.264, written bit by bit: no encoder at hand writes it."""

from __future__ import annotations

from collections.abc import Iterator

DELIMITER = b"\0\0\0\1\x09\xf0"
GROUP = 25
"""pictures from one IDR to the next"""


class _Bits:
    def __init__(self) -> None:
        self._text: list[str] = []

    def fixed(self, count: int, value: int) -> _Bits:
        self._text.append(f"{value:0{count}b}")
        return self

    def golomb(self, *values: int) -> _Bits:
        for value in values:
            digits = f"{value + 1:b}"
            self._text.append("0" * (len(digits) - 1) + digits)
        return self

    def raw(self, data: bytes) -> _Bits:
        return self._aligned("0").fixed(8 * len(data), int.from_bytes(data, "big"))

    def unit(self, kind: int) -> bytes:
        """As a NAL unit of Annex B."""
        text = "".join(self.fixed(1, 1)._aligned("0")._text)
        plain = int(text, 2).to_bytes(len(text) // 8, "big")
        escaped, zeros = bytearray([3 << 5 | kind]), 0
        for byte in plain:
            if zeros >= 2 and byte <= 3:
                escaped.append(3)
                zeros = 0
            escaped.append(byte)
            zeros = zeros + 1 if byte == 0 else 0
        return b"\0\0\0\1" + bytes(escaped)

    def _aligned(self, filler: str) -> _Bits:
        missing = -len("".join(self._text)) % 8
        self._text.append(filler * missing)
        return self


def _parameter_sets() -> bytes:
    """Main profile, 16x32 pixels, pictures of two fields, no deblocking."""
    sps = _Bits().fixed(8, 77).fixed(8, 0).fixed(8, 20).golomb(0, 0, 0, 4, 1).fixed(1, 0).golomb(0, 0)
    sps.fixed(1, 0).fixed(1, 0).fixed(1, 1).fixed(1, 0).fixed(1, 0)
    pps = _Bits().golomb(0, 0).fixed(2, 0).golomb(0, 0, 0).fixed(3, 0).golomb(0, 0, 0).fixed(1, 1).fixed(2, 0)
    return sps.unit(7) + pps.unit(8)


def _field(number: int, bottom: bool, luma: int) -> bytes:
    """One field of picture `number`: grey of value `luma`, its one macroblock stored as it is."""
    place = number % GROUP
    idr = place == 0 and not bottom
    head = _Bits().golomb(0, 7, 0).fixed(4, place % 16).fixed(1, 1).fixed(1, int(bottom))
    if idr:
        head.golomb(number // GROUP % 2)
    head.fixed(8, (2 * place + bottom) % 256).fixed(2 if idr else 1, 0).golomb(0, 1)
    head.golomb(25).raw(bytes([luma] * 256 + [128] * 128))
    return head.unit(5 if idr else 1)


def luma_of(number: int) -> int:
    """The grey value of both fields of picture `number`, 0-99."""
    return 20 + 2 * number


def field_coded(frames: int) -> Iterator[bytes]:
    """The access units of `frames` pictures, two for each: its top field and its bottom field."""
    for number in range(frames):
        start = _parameter_sets() if number % GROUP == 0 else b""
        yield DELIMITER + start + _field(number, bottom=False, luma=luma_of(number))
        yield DELIMITER + _field(number, bottom=True, luma=luma_of(number))
