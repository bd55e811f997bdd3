"""Time stamps that containers get wrong: B-frames in AVI, packed ones too, no offsets, rates that can't be meant."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from streamproc.frames import SECOND_NS
from streamproc.sources.file import FileOptions, FileSource
from tests.videos import Reading, Recipe, encode, read, remux

STEP_NS = SECOND_NS // 25
NOTHING_NEW = b"\0\0\1\xb6\x50\x5f"
"""a picture of MPEG-4 that says: as before"""


def read_file(path: Path) -> Reading:
    return read(FileSource(FileOptions(path=str(path))))


def check(found: Reading, count: int) -> None:
    """All pictures in order, each on its beat."""
    first = found.pts_ns[0] or 0
    assert found.numbers == list(range(count))
    assert [pts - first for pts in found.pts_ns if pts is not None] == [STEP_NS * index for index in range(count)]
    assert found.counts == {}


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(Recipe(b_frames=2, gop=250, options={"x264-params": "b-adapt=0:b-pyramid=none"}), id="h264"),
        pytest.param(
            Recipe(b_frames=3, options={"x264-params": "b-adapt=0"}), id="h264, B-frames that are referred to"
        ),
        pytest.param(Recipe(codec="mpeg4", b_frames=2), id="mpeg4"),
    ],
)
def test_b_frames_in_avi_have_their_own_times(tmp_path: Path, recipe: Recipe) -> None:
    check(read_file(encode(tmp_path / "a.avi", recipe)), recipe.frames)


def is_b(data: bytes) -> bool:
    """Return whether a picture of MPEG-4 is a B-frame."""
    return data[data.index(b"\0\0\1\xb6") + 4] >> 6 == 2


def packed(pictures: list[bytes]) -> Iterator[bytes]:
    """As DivX and XviD write them: a picture and the B-frame behind it in one packet, an empty one after the last."""
    waiting = b""
    for number, data in enumerate(pictures):
        following = number + 1 < len(pictures) and is_b(pictures[number + 1])
        if is_b(data) and waiting:
            yield waiting + data
            waiting = b""
        elif following and not is_b(data):
            waiting = data
            continue
        else:
            yield data
        if is_b(data) and not following:
            yield NOTHING_NEW


@pytest.mark.parametrize("b_frames", [1, 2])
def test_packed_b_frames_have_their_own_times(tmp_path: Path, b_frames: int) -> None:
    import av

    plain = encode(tmp_path / "plain.avi", Recipe(codec="mpeg4", b_frames=b_frames, gop=250))
    with av.open(str(plain)) as given, av.open(str(tmp_path / "a.avi"), "w") as container:
        source = given.streams.video[0]
        pictures = [bytes(packet) for packet in given.demux(source) if packet.size]
        target: Any = container.add_stream_from_template(source)
        at = pictures[0].index(b"\0\0\1\xb2")
        end = pictures[0].index(b"\0\0\1", at + 4)
        pictures[0] = pictures[0][: at + 4] + b"DivX503b1393p" + pictures[0][end:]
        for number, data in enumerate(packed(pictures)):
            packet = av.Packet(data)
            packet.stream, packet.time_base = target, Fraction(1, 25)
            packet.pts = packet.dts = number
            packet.is_keyframe = number == 0
            container.mux(packet)
    check(read_file(tmp_path / "a.avi"), 60)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.flv"])
def test_b_frames_without_offsets_have_their_own_times(tmp_path: Path, name: str) -> None:
    """Some recorders stamp pictures in the order in which they are coded."""

    def stamp(index: int, packet: Any) -> list[Any]:
        packet.time_base = Fraction(1, 1000)
        packet.pts = packet.dts = 40 * index
        return [packet]

    whole = encode(tmp_path / "plain.mkv", Recipe(b_frames=3, gop=250, options={"x264-params": "b-adapt=0"}))
    check(read_file(remux(whole, tmp_path / name, stamp)), 60)


def test_clock_ticks_are_no_rate(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import av

    plain = encode(tmp_path / "plain.ts", Recipe(frames=6))
    with av.open(str(plain)) as given, av.open(str(tmp_path / "a.h264"), "w") as container:
        source = given.streams.video[0]
        target: Any = container.add_stream_from_template(source)
        change = av.BitStreamFilterContext("h264_metadata=tick_rate=180000", source)
        for packet in given.demux(source):
            for changed in change.filter(packet if packet.size else None):
                changed.stream = target
                container.mux(changed)
    with caplog.at_level(logging.WARNING):
        assert read_file(tmp_path / "a.h264").info.rate == 25
    assert "90000 pictures per second" in caplog.text
    assert "set `rate`" in caplog.text
