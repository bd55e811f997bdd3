"""Pictures of more pixels than allowed: known by their header, never decoded, counted and named."""

from __future__ import annotations

import logging
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from streamproc.errors import SourceError
from streamproc.media.header import picture_size
from streamproc.media.wire import Unreadable, read_label, read_picture
from streamproc.sources.file import FileOptions, FileSource
from streamproc.sources.images import ImagesOptions, ImagesSource
from tests.videos import Recipe, encode, numbered, read

SMALL, LARGE = (160, 96), (320, 180)
LIMIT = 20_000
"""pixels: between the two"""


def bomb() -> bytes:
    """A PNG of 12,000 times 9,000 pixels in a few kilobytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 12_000, 9_000, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(9_000 * (1 + 12_000 // 8)), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def still(suffix: str, size: tuple[int, int]) -> bytes:
    import cv2

    image = numbered(3, *size)
    return cv2.imencode(suffix, image.astype(np.float32) if suffix == ".hdr" else image)[1].tobytes()


@pytest.mark.parametrize(
    "suffix", [".png", ".jpg", ".webp", ".bmp", ".tif", ".jp2", ".ppm", ".pam", ".hdr", ".ras", ".avif"]
)
def test_the_header_gives_the_picture_size(suffix: str) -> None:
    assert picture_size(still(suffix, (321, 179))) == (321, 179)


def test_truncated_or_unknown_headers_give_no_size() -> None:
    for suffix in (".png", ".jpg", ".webp", ".tif", ".bmp"):
        assert picture_size(still(suffix, SMALL)[:12]) is None
    assert picture_size(b"") is None
    assert picture_size(b"something else") is None


def test_one_too_large_picture_costs_itself_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, content in (("1.png", still(".png", SMALL)), ("2.png", bomb()), ("3.jpg", still(".jpg", SMALL))):
        (tmp_path / name).write_bytes(content)
    with caplog.at_level(logging.WARNING):
        found = read(ImagesSource(ImagesOptions(path=str(tmp_path))))
    assert found.pts_ns == [0, 80_000_000]
    assert found.counts == {"too_large": 1}
    assert "2.png isn't read: 12000x9000 are 108 million pixels" in caplog.text
    assert len(read(ImagesSource(ImagesOptions(path=str(tmp_path / "3*"), max_pixels=LIMIT))).frames) == 1
    assert read(ImagesSource(ImagesOptions(path=str(tmp_path / "3*"), max_pixels=100))).counts == {"too_large": 1}


def test_a_too_large_message_is_not_decoded() -> None:
    label = read_label([])
    assert read_picture(still(".jpg", SMALL), label, LIMIT).width == SMALL[0]
    for content, limit in ((bomb(), 100_000_000), (still(".jpg", LARGE), LIMIT)):
        with pytest.raises(Unreadable, match="max_pixels") as caught:
            read_picture(content, label, limit)
        assert caught.value.reason == "too_large"
    raw = read_label([("encoding", b"raw"), ("width", b"100000"), ("height", b"100000")])
    with pytest.raises(Unreadable) as caught:
        read_picture(b"abc", raw)
    assert caught.value.reason == "too_large"


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        pytest.param("a.mp4", Recipe(frames=2), id="mp4"),
        pytest.param("a.h264", Recipe(frames=2), id="raw"),
        pytest.param("a.ts", Recipe(frames=2), id="ts"),
        pytest.param("a.gif", Recipe(frames=2, codec="gif", pixels="rgb8"), id="gif"),
    ],
)
def test_a_video_of_too_large_pictures_is_refused(tmp_path: Path, name: str, recipe: Recipe) -> None:
    path = encode(tmp_path / name, recipe)
    with pytest.raises(SourceError, match=r"320x180.*raise `max_pixels`"):
        read(FileSource(FileOptions(path=str(path), max_pixels=LIMIT)))


def test_a_still_as_video_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(bomb())
    with pytest.raises(SourceError, match="12000x9000 are 108 million pixels"):
        read(FileSource(FileOptions(path=str(tmp_path / "a.png"))))


def test_too_large_jpegs_in_videos_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = encode(tmp_path / "a.avi", Recipe(frames=3, codec="mjpeg", pixels="yuvj420p"))
    with caplog.at_level(logging.WARNING):
        found = read(FileSource(FileOptions(path=str(path), max_pixels=LIMIT)))
    assert (found.frames, found.counts) == ([], {"too_large": 3})
    assert "raise `max_pixels`" in caplog.text


def test_pictures_that_become_too_large_are_counted(tmp_path: Path) -> None:
    parts = [encode(tmp_path / f"{size[0]}.h264", Recipe(frames=4, size=size)) for size in (SMALL, LARGE)]
    path = tmp_path / "a.h264"
    path.write_bytes(b"".join(parts[index].read_bytes() for index in (0, 1, 0)))
    found = read(FileSource(FileOptions(path=str(path), max_pixels=LIMIT)))
    assert found.numbers == [0, 1, 2, 3, 0, 1, 2, 3]
    assert found.counts["too_large"] >= 1
    assert sum(found.counts.values()) == 4
