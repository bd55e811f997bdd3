"""H.264 that is entered in the middle, refreshed bit by bit, or coded in fields."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamproc.media import Demuxer
from streamproc.sources.file import FileOptions, FileSource
from tests.h264 import field_coded, luma_of
from tests.videos import Reading, Recipe, encode, hurt, read, remux

KEYFRAMES = range(0, 80, 20)
OPEN = "open-gop=1:scenecut=0:keyint=250:min-keyint=1"


def read_file(path: Path) -> Reading:
    return read(FileSource(FileOptions(path=str(path))), breaks_off=True)


def recipe(x264: str, keyframes: Iterable[int] = KEYFRAMES) -> Recipe:
    return Recipe(frames=80, size=(160, 96), keyframes=tuple(keyframes), gop=250, options={"x264-params": x264})


def without_first(path: Path, count: int) -> Path:
    """A copy that begins `count` packets later."""
    return remux(path, path.with_name(f"late{path.suffix}"), lambda index, packet: [packet] if index >= count else [])


@pytest.mark.parametrize("name", ["a.ts", "a.mkv", "a.h264"])
@pytest.mark.parametrize(
    "x264",
    [
        pytest.param(f"{OPEN}:bframes=3:b-adapt=0:ref=3", id="pictures shown before the keyframe"),
        pytest.param(f"{OPEN}:bframes=3", id="as x264 chooses"),
        pytest.param(f"{OPEN}:bframes=5:b-adapt=2:ref=8", id="many references"),
        pytest.param(f"{OPEN}:bframes=2:b-pyramid=strict:cabac=0:ref=4", id="CAVLC"),
    ],
)
def test_an_open_group_costs_only_its_leading_pictures(tmp_path: Path, name: str, x264: str) -> None:
    whole = encode(tmp_path / name, recipe(x264))
    right = {number: decoded.picture.to_gray() for number, decoded in enumerate(read_file(whole).frames)}
    assert sorted(right) == list(range(80))
    found = read_file(without_first(whole, 5))
    assert found.numbers == list(range(20, 80))
    assert found.counts == {"undecodable": 15}
    assert all(
        np.array_equal(decoded.picture.to_gray(), right[number])
        for number, decoded in zip(found.numbers, found.frames, strict=True)
    )


def test_open_group_damage_lasts_until_the_next_group(tmp_path: Path) -> None:
    import av

    def spoil(index: int, packet: Any) -> list[Any]:
        if index != 24:
            return [packet]
        spoilt = av.Packet(bytes(40))
        spoilt.pts, spoilt.dts, spoilt.time_base = packet.pts, packet.dts, packet.time_base
        return [spoilt]

    whole = encode(tmp_path / "a.mkv", recipe(f"{OPEN}:bframes=3:b-adapt=0"))
    found = read_file(remux(whole, tmp_path / "b.mkv", spoil))
    assert found.numbers[-40:] == list(range(40, 80))
    assert found.numbers == sorted(set(found.numbers))
    assert len(found.frames) + found.counts["undecodable"] == 80
    assert 15 <= found.counts["undecodable"] <= 24


def test_a_gradually_refreshed_stream_starts_when_complete(tmp_path: Path) -> None:
    """The stream has one keyframe at the very beginning; a column of each picture is coded on its own."""
    whole = encode(tmp_path / "a.ts", recipe("intra-refresh=1:keyint=20:bframes=0:ref=1", keyframes=()))
    right = [decoded.picture.to_gray() for decoded in read_file(whole).frames]
    found = read_file(without_first(whole, 5))
    assert 40 <= len(found.frames) <= 60
    assert found.numbers == list(range(80 - len(found.frames), 80))
    assert len(found.frames) + found.counts["undecodable"] == 75
    for number, decoded in zip(found.numbers, found.frames, strict=True):
        assert np.array_equal(decoded.picture.to_gray(), right[number])


def fields(path: Path, count: int = 100) -> Path:
    path.write_bytes(b"".join(field_coded(count)))
    return path


def stored_luma(reading: Reading) -> list[int]:
    """The luma values before they are stretched to 0-255."""
    return [round(16 + float(decoded.picture.to_gray().mean()) * 219 / 255) for decoded in reading.frames]


def test_two_fields_are_one_picture(tmp_path: Path) -> None:
    found = read_file(fields(tmp_path / "a.h264"))
    assert stored_luma(found) == [luma_of(number) for number in range(100)]
    assert found.counts == {}


def test_a_damaged_field_costs_its_picture_once(tmp_path: Path) -> None:
    found = read_file(hurt(fields(tmp_path / "a.h264"), at=0.4))
    numbers = [(luma - luma_of(0)) // 2 for luma in stored_luma(found)]
    assert numbers == sorted(set(numbers))
    assert len(numbers) + found.counts["undecodable"] == 100
    assert 1 <= found.counts["undecodable"] <= 15


def test_field_coded_pictures_come_as_soon_as_complete(tmp_path: Path) -> None:
    demuxer = Demuxer(str(fields(tmp_path / "a.h264")))
    decoder = demuxer.decoder(lambda _: None, lambda _: None)
    out = [len(list(decoder.decode(packet))) for packet in demuxer.packets()]
    demuxer.close()
    assert out == [0, 1] * 100
