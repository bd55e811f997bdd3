"""Headers that state a number of pictures or a duration that can't be meant."""

from __future__ import annotations

import logging
import struct
from pathlib import Path

import pytest

from streamproc.sources.file import FileOptions, FileSource
from tests.videos import Reading, Recipe, encode, read


def read_file(path: Path) -> Reading:
    return read(FileSource(FileOptions(path=str(path))), breaks_off=True)


def with_avi_count(path: Path, count: int) -> Path:
    data = bytearray(path.read_bytes())
    at = data.index(b"strh") + 8 + 32
    data[at : at + 4] = struct.pack("<I", count)
    path.write_bytes(data)
    return path


def with_flv_duration(path: Path, seconds: float) -> Path:
    data = bytearray(path.read_bytes())
    at = data.index(b"duration") + len("duration") + 1
    data[at : at + 8] = struct.pack(">d", seconds)
    path.write_bytes(data)
    return path


def with_matroska_duration(path: Path, seconds: float) -> Path:
    data = bytearray(path.read_bytes().replace(b"DURATION", b"DURATIOX"))
    at = data.index(b"\x44\x89\x88") + 3
    data[at : at + 8] = struct.pack(">d", 1000 * seconds)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "change", "stated"),
    [
        pytest.param("a.avi", lambda path: with_avi_count(path, 0xFFFFFFF0), "4,294,967,280 pictures", id="avi"),
        pytest.param("a.flv", lambda path: with_flv_duration(path, 1e9), "a duration of 11,574 days", id="flv"),
        pytest.param("a.mkv", lambda path: with_matroska_duration(path, 1e9), "a duration of 11,574 days", id="mkv"),
    ],
)
def test_impossible_claims_are_ignored_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, change: object, stated: str
) -> None:
    assert callable(change)
    codec = "flv1" if name == "a.flv" else "mpeg4"
    path = change(encode(tmp_path / name, Recipe(codec=codec, frames=12)))
    with caplog.at_level(logging.WARNING):
        found = read_file(path)
    assert found.numbers == list(range(12))
    assert (found.counts, found.error) == ({}, "")
    assert (found.info.frames, found.info.duration_ns) == (None, None)
    assert [record.message for record in caplog.records if stated in record.message]


def test_a_plausible_large_number_is_counted_at_once(tmp_path: Path) -> None:
    path = with_avi_count(encode(tmp_path / "a.avi", Recipe(codec="mpeg4", frames=12)), 500_000_012)
    found = read_file(path)
    assert found.counts == {"truncated": 500_000_000}
    assert "breaks off after 12 pictures of 500000012" in found.error
