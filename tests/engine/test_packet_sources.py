"""A stranger's video sources: packets and their format, no FFmpeg."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

from streamproc.config.plan import Plan, RuntimePlan, StreamPlan
from streamproc.engine import Engine, RunReport
from streamproc.errors import SourceLost
from streamproc.exits import STREAM_FAILED
from streamproc.options import Field, Options
from streamproc.source import InputInfo, Packet, SourceContext, VideoFormat, VideoSource
from streamproc.sources.file import FileOptions, FileSource
from streamproc.testing import check_source_contract
from tests.engine.running import closed, run_engine
from tests.videos import Recipe, encode, numbered, read

COUNT, STEP_NS = 40, 40_000_000
RAW = Recipe(frames=COUNT, gop=10, options={"x264-params": "aud=1:bframes=0:scenecut=0"})


class RawOptions(Options):
    path: Path = Field(description="a raw H.264 stream with an access unit delimiter before each picture")


class AnnexB(VideoSource[RawOptions]):
    """Cuts a raw H.264 stream into pictures."""

    def open(self, context: SourceContext) -> InputInfo:
        self._data = self.options.path.read_bytes()
        return InputInfo(identity="raw", live=False, rate=Fraction(25), format=VideoFormat(codec="h264"))

    def packets(self) -> Iterator[Packet]:
        mark = b"\0\0\0\1\x09"
        for number, unit in enumerate(self._data.split(mark)[1:]):
            yield Packet(data=mark + unit, pts=number * STEP_NS, keyframe=b"\0\0\1\x65" in unit)


class Jpegs(VideoSource[Options]):
    """Gives JPEG pictures."""

    sizes: ClassVar[tuple[tuple[int, int], ...]] = ((320, 180),) * COUNT

    def open(self, context: SourceContext) -> InputInfo:
        return InputInfo(identity="jpegs", live=False, format=VideoFormat(codec="mjpeg", time_base=Fraction(1, 25)))

    def packets(self) -> Iterator[Packet]:
        for number, size in enumerate(self.sizes):
            yield self.packet(number, size)

    def packet(self, number: int, size: tuple[int, int]) -> Packet:
        return Packet(data=jpeg(number, size), pts=number, duration=1, keyframe=True)


def jpeg(number: int, size: tuple[int, int]) -> bytes:
    done, data = cv2.imencode(".jpg", numbered(number, *size), [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert done
    return data.tobytes()


def raw(folder: Path) -> Path:
    return encode(folder / "a.h264", RAW)


def run(source: type[VideoSource[Any]], state: Path, options: Options | None = None) -> RunReport:
    stream = StreamPlan(name="own", source=source, source_options=options or Options(), chain=(), sinks=())
    return run_engine(Engine(Plan(streams=(stream,), runtime=RuntimePlan(state=state))))


def test_raw_packets_decode_like_the_file(tmp_path: Path) -> None:
    path = raw(tmp_path)
    own, whole = read(AnnexB(RawOptions(path=path))), read(FileSource(FileOptions(path=str(path))))
    assert own.pts_ns == [number * STEP_NS for number in range(COUNT)]
    assert own.numbers == list(range(COUNT))
    assert own.counts == {}
    for one, two in zip(own.frames, whole.frames, strict=True):
        assert np.array_equal(one.picture.to_rgb(), two.picture.to_rgb())


def test_jpeg_packets_are_decoded() -> None:
    found = read(Jpegs(Options()))
    assert found.numbers == list(range(COUNT))
    assert found.pts_ns == [number * STEP_NS for number in range(COUNT)]


def test_sources_of_packets_keep_the_contract(tmp_path: Path) -> None:
    check_source_contract(AnnexB, path=raw(tmp_path))
    check_source_contract(Jpegs)
    check_source_contract(FileSource, path=str(raw(tmp_path)))


def test_a_run_takes_packets_of_any_source(tmp_path: Path) -> None:
    for source, options in ((AnnexB, RawOptions(path=raw(tmp_path))), (Jpegs, Options())):
        report = run(source, tmp_path / source.__name__, options)
        assert report.exit_code == 0, report
        assert report.streams[0].ledger.total("processed") == COUNT
        assert closed(report)


class Switching(AnnexB):
    """Goes on with JPEG pictures of another size."""

    def packets(self) -> Iterator[Packet]:
        yield from super().packets()
        form = VideoFormat(codec="mjpeg")
        for number in range(COUNT, 2 * COUNT):
            data = jpeg(number, (160, 90))
            packet = Packet(data=data, pts=number * STEP_NS, keyframe=True)
            yield replace(packet, format=form) if number == COUNT else packet


def test_the_format_may_change_on_the_way(tmp_path: Path) -> None:
    found = read(Switching(RawOptions(path=raw(tmp_path))))
    assert found.numbers == list(range(2 * COUNT))
    assert {(frame.picture.width, frame.picture.height) for frame in found.frames} == {(320, 180)}


class Lossy(AnnexB):
    """Loses half of a packet in the middle of a group."""

    def packets(self) -> Iterator[Packet]:
        for number, packet in enumerate(super().packets()):
            yield replace(packet, data=packet.data[: packet.size // 2]) if number == 14 else packet


def test_damage_costs_pictures_up_to_the_next_keyframe(tmp_path: Path) -> None:
    found = read(Lossy(RawOptions(path=raw(tmp_path))))
    assert found.numbers == [*range(14), *range(20, COUNT)]
    assert found.counts == {"undecodable": 6}


class Camera(Jpegs):
    """Is lost after ten pictures, and comes back once with smaller ones."""

    opened = 0

    def open(self, context: SourceContext) -> InputInfo:
        type(self).opened += 1
        return replace(super().open(context), live=True)

    def packets(self) -> Iterator[Packet]:
        if self.opened > 2:
            return
        for number in range(10):
            yield self.packet(number, (320, 180) if self.opened == 1 else (160, 90))
        raise SourceLost("the camera is away; wait")


def test_live_source_keeps_its_size_after_reconnecting(tmp_path: Path) -> None:
    Camera.opened = 0
    stream = StreamPlan(name="own", source=Camera, source_options=Options(), chain=(), sinks=(), reconnect_ns=1_000_000)
    report = run_engine(Engine(Plan(streams=(stream,), runtime=RuntimePlan(state=tmp_path))))
    assert report.streams[0].ledger.observed == 20
    assert report.streams[0].reconnects == 2
    assert closed(report)


def bad(**members: Any) -> type[VideoSource[Any]]:
    return type("Bad", (Jpegs,), {"__doc__": "Is wrong.", **members})


PACKET: Any = Packet
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no format": (
        {"open": lambda self, context: InputInfo(identity="x", live=False)},
        "whose format is None, expected VideoFormat; write",
    ),
    "no codec of video": (
        {"open": lambda self, context: InputInfo(identity="x", live=False, format=VideoFormat(codec="h265"))},
        "packets of codec 'h265' can't be decoded by this FFmpeg; name a video codec as FFmpeg does",
    ),
    "no packet": ({"packets": lambda self: iter([b"abc"])}, "gave an object of class bytes in place of a packet"),
    "no bytes": (
        {"packets": lambda self: iter([PACKET(data=bytearray(b"abc"), pts=0, keyframe=True)])},
        "whose data is an object of class bytearray, expected bytes",
    ),
    "seconds": (
        {"packets": lambda self: iter([PACKET(data=b"abc", pts=0.5, keyframe=True)])},
        "gave a Packet at pts=0.5, expected a whole number of ticks",
    ),
}


@pytest.mark.parametrize(("members", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_packet_is_named(tmp_path: Path, members: dict[str, Any], words: str) -> None:
    report = run(bad(**members), tmp_path)
    assert words in report.streams[0].error
    assert report.exit_code == STREAM_FAILED


@pytest.mark.parametrize("name", ["no format", "no packet", "no bytes"])
def test_the_contract_finds_wrong_packets(name: str) -> None:
    with pytest.raises(AssertionError, match=r"format|packets gave|data is"):
        check_source_contract(bad(**WRONG[name][0]))
