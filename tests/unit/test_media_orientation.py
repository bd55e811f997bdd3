"""Pictures that are stored turned or mirrored: display matrices, side information of H.264, EXIF of stills."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamproc.frames import Image
from streamproc.media import probe
from streamproc.sources.file import FileOptions, FileSource
from tests.videos import Reading, Recipe, encode, read

STORED = np.array([[30, 90], [150, 210]], np.uint8)
"""grey levels of the stored picture's quarters"""

WANTED: dict[int, Image] = {
    1: STORED,
    2: STORED[:, ::-1],
    3: STORED[::-1, ::-1],
    4: STORED[::-1],
    5: STORED.T,
    6: STORED[::-1].T,
    7: STORED[::-1, ::-1].T,
    8: STORED[:, ::-1].T,
}
"""what is to be shown, by the numbers that EXIF gives the orientations"""

MATRICES = {
    1: (1, 0, 0, 1), 2: (-1, 0, 0, 1), 3: (-1, 0, 0, -1), 4: (1, 0, 0, -1),
    5: (0, 1, 1, 0), 6: (0, 1, -1, 0), 7: (0, -1, -1, 0), 8: (0, -1, 1, 0),
}  # fmt: skip
"""a, b, c and d of the display matrix of the same orientations"""

SEI = {2: "flip=horizontal", 3: "rotate=180", 4: "flip=vertical", 6: "rotate=270", 8: "rotate=90"}
"""FFmpeg's words for the same; it counts degrees the other way round"""


def stored() -> Image:
    return np.repeat(np.kron(STORED, np.ones((48, 64), np.uint8))[..., None], 3, axis=2)


def quarters(image: Image) -> Image:
    """The mean of each quarter of uint8 (h, w) or (h, w, 3)."""
    gray = image if image.ndim == 2 else image.mean(axis=2)
    height, width = gray.shape
    return np.asarray(gray.reshape(2, height // 2, 2, width // 2).mean(axis=(1, 3)))


def check(found: Reading, orientation: int) -> None:
    for decoded in found.frames:
        for image in (decoded.picture.to_rgb(), decoded.picture.to_gray()):
            assert image.shape[:2] == (decoded.picture.height, decoded.picture.width)
            assert np.abs(quarters(image) - WANTED[orientation].astype(float)).max() < 4
    assert found.counts == {}
    assert found.frames


def read_file(path: Path) -> Reading:
    return read(FileSource(FileOptions(path=str(path))))


def video(path: Path) -> Path:
    return encode(path, Recipe(frames=6, gop=3, size=(128, 96), b_frames=1, picture=lambda _: stored()))


@pytest.mark.parametrize("orientation", WANTED)
def test_a_display_matrix_turns_and_mirrors(tmp_path: Path, orientation: int) -> None:
    path = video(tmp_path / "a.mp4")
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version 0
    a, b, c, d = (value << 16 for value in MATRICES[orientation])
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    check(read_file(path), orientation)
    assert probe(path).facts.size == ((128, 96) if orientation < 5 else (96, 128))


@pytest.mark.parametrize("orientation", SEI)
@pytest.mark.parametrize("name", ["a.ts", "a.h264"])
def test_side_information_of_h264_turns_and_mirrors(tmp_path: Path, name: str, orientation: int) -> None:
    import av

    with av.open(str(video(tmp_path / "plain.ts"))) as given, av.open(str(tmp_path / name), "w") as container:
        source = given.streams.video[0]
        target: Any = container.add_stream_from_template(source)
        change = av.BitStreamFilterContext(f"h264_metadata=display_orientation=insert:{SEI[orientation]}", source)
        for packet in given.demux(source):
            for changed in change.filter(packet if packet.size else None):
                changed.stream = target
                container.mux(changed)
    check(read_file(tmp_path / name), orientation)


def exif(orientation: int, order: str) -> bytes:
    """A TIFF header with one directory with one entry."""
    head = {"<": b"II", ">": b"MM"}[order]
    return head + struct.pack(f"{order}HIHHHIHHI", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def jpeg(orientation: int) -> bytes:
    import cv2

    data = cv2.imencode(".jpg", stored())[1].tobytes()
    body = b"Exif\0\0" + exif(orientation, "<")
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


def png(orientation: int) -> bytes:
    import zlib

    import cv2

    data = cv2.imencode(".png", stored())[1].tobytes()
    body = b"eXIf" + exif(orientation, ">")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunk + data[33:]


@pytest.mark.parametrize("orientation", WANTED)
def test_exif_of_a_still_turns_and_mirrors(tmp_path: Path, orientation: int) -> None:
    for name, content in (("a.jpg", jpeg(orientation)), ("a.png", png(orientation))):
        (tmp_path / name).write_bytes(content)
        check(read_file(tmp_path / name), orientation)


def test_exif_that_ends_early_turns_nothing(tmp_path: Path) -> None:
    whole = jpeg(6)
    at = whole.index(b"Exif")
    (tmp_path / "a.jpg").write_bytes(whole[: at + 16] + b"\xff" * 16 + whole[at + 32 :])
    check(read_file(tmp_path / "a.jpg"), 1)
