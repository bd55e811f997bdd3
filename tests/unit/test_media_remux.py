"""Packets as plain data: pickled, decoded elsewhere, written to a file as they are."""

from __future__ import annotations

import hashlib
import multiprocessing
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from streamproc.errors import SinkError
from streamproc.media import Decoder, Demuxer, PacketWriter
from streamproc.packets import Packet, VideoFormat
from tests.machine import NO_SHARED, SHARED
from tests.videos import Recipe, encode

COUNT = 60
OPEN = "open-gop=1:bframes=3:b-adapt=0:scenecut=0:keyint=20:min-keyint=20"
RECIPES = {
    "h264.mp4": Recipe(frames=COUNT, b_frames=3, options={"x264-params": "scenecut=0"}),
    "open.mkv": Recipe(frames=COUNT, options={"x264-params": OPEN}),
    "h264.ts": Recipe(frames=COUNT, b_frames=2),
    "h264.h264": Recipe(frames=COUNT, b_frames=2),
    "hevc.mp4": Recipe(frames=COUNT, codec="libx265", options={"x265-params": "log-level=none:keyint=20:bframes=3"}),
    "mpeg4.avi": Recipe(frames=COUNT, codec="mpeg4", b_frames=2),
    "mpeg4.mp4": Recipe(frames=COUNT, codec="mpeg4", b_frames=2),
    "mjpeg.avi": Recipe(frames=COUNT, codec="mjpeg", pixels="yuvj420p"),
    "vp9.webm": Recipe(frames=COUNT, codec="libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"}),
    "turned.mp4": Recipe(frames=COUNT, b_frames=2, rotation=90),
}
TRANSPORT = ("h264", "hevc", "mpeg4")

Pictures = list[tuple[int, str]]
Clip = tuple[VideoFormat, list[Packet]]


def decoded(form: VideoFormat, packets: Sequence[Packet]) -> tuple[Pictures, Counter[str]]:
    """Time and fingerprint of each picture, and those that can't be decoded."""
    counts = Counter[str]()
    decoder = Decoder(form, lambda reason: counts.update({reason: 1}), lambda _: None)
    frames = [frame for packet in (*packets, None) for frame in decoder.decode(packet)]
    return [(f.pts_ns or 0, hashlib.sha256(f.picture.to_rgb().tobytes()).hexdigest()) for f in frames], counts


def demuxed(path: Path) -> Clip:
    demuxer = Demuxer(str(path))
    try:
        return demuxer.format, list(demuxer.packets())
    finally:
        demuxer.close()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Clip]:
    """Packets of an encoded clip, pickled and unpickled."""
    folder, made = tmp_path_factory.mktemp("remux"), dict[str, bytes]()

    def get(name: str) -> Clip:
        if name not in made:
            made[name] = pickle.dumps(demuxed(encode(folder / name, RECIPES[name])))
        form, packets = pickle.loads(made[name])
        return form, packets

    return get


def write(path: Path, form: VideoFormat, packets: Sequence[Packet]) -> Path:
    with PacketWriter(path, form) as writer:
        for packet in packets:
            writer.write(packet)
    return path


def check(path: Path, clip: Clip, start: int) -> None:
    """The file from packet `start` on has the same pictures at the same distances, from the keyframe on."""
    form, packets = clip
    whole, _ = decoded(form, packets)
    found, counts = decoded(*demuxed(write(path, form, packets[start:])))
    assert counts == {}
    count = len(found)
    assert count >= len(packets) - start - 25  # what a group has before its keyframe
    assert [picture for _, picture in found] == [picture for _, picture in whole[-count:]]
    if form.time_base and packets[start].pts is not None:
        steps = [
            (time - whole[-count][0]) - (own - found[0][0])
            for (time, _), (own, _) in zip(whole[-count:], found, strict=True)
        ]
        assert max(map(abs, steps)) < 1_000_000


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".ts"])
@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("start", [0, 5])
def test_a_remuxed_file_has_the_same_pictures(
    clip: Callable[[str], Clip], tmp_path: Path, name: str, suffix: str, start: int
) -> None:
    form, packets = clip(name)
    if (form.codec, suffix) == ("vp9", ".mov") or (suffix == ".ts" and (form.codec not in TRANSPORT or form.rotation)):
        with pytest.raises(SinkError, match=r"mov doesn't take|mpegts"):
            write(tmp_path / f"a{suffix}", form, packets)
        assert list(tmp_path.iterdir()) == []
        return
    check(tmp_path / f"a{suffix}", (form, packets), start)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_the_first_picture_is_at_zero(clip: Callable[[str], Clip], tmp_path: Path, suffix: str) -> None:
    for name in ("h264.mp4", "open.mkv", "hevc.mp4", "turned.mp4"):
        form, packets = clip(name)
        again, _ = decoded(*demuxed(write(tmp_path / f"a{suffix}", form, packets[30:])))
        assert again[0][0] == 0, name


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_rotation_stays(clip: Callable[[str], Clip], tmp_path: Path, rotation: int, mirrored: bool) -> None:
    form, packets = clip("h264.mp4")
    turned = replace(form, rotation=rotation, mirrored=mirrored)
    found, _ = demuxed(write(tmp_path / "a.mp4", turned, packets))
    assert (found.rotation, found.mirrored) == (rotation, mirrored)


@pytest.mark.parametrize("name", ["cctv_retail02_1080p_hevc.mp4", "sport_gymnastics.avi", "edge_bottles_640x360.mp4"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_real_recording_is_remuxed(tmp_path: Path, name: str, suffix: str) -> None:
    path = SHARED / "media" / name
    if not path.is_file():
        pytest.skip(NO_SHARED)
    form, packets = demuxed(path)
    check(tmp_path / f"a{suffix}", (form, packets[:80]), 0)


def test_another_process_decodes_the_same(clip: Callable[[str], Clip]) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for name in ("open.mkv", "hevc.mp4", "mpeg4.avi", "vp9.webm"):
            assert pool.apply(decoded, clip(name)) == decoded(*clip(name))


CRASH = """
import os, pickle, sys
from streamproc.media import PacketWriter
form, packets = pickle.load(sys.stdin.buffer)
writer = PacketWriter(sys.argv[1], form)
for packet in packets:
    writer.write(packet)
os._exit(1)
"""


def test_an_mp4_can_be_read_after_a_crash(clip: Callable[[str], Clip], tmp_path: Path) -> None:
    form, packets = clip("h264.mp4")
    path = tmp_path / "a.mp4"
    subprocess.run([sys.executable, "-c", CRASH, str(path)], input=pickle.dumps((form, packets)), check=False)
    found, _ = decoded(*demuxed(path))
    assert 40 <= len(found) < COUNT
    assert [picture for _, picture in found] == [picture for _, picture in decoded(form, packets)[0]][: len(found)]


def test_header_in_the_packets_is_enough(clip: Callable[[str], Clip], tmp_path: Path) -> None:
    form, packets = clip("h264.ts")
    bare = VideoFormat(codec="h264", time_base=form.time_base, width=320, height=180)
    for suffix in (".mp4", ".mkv", ".ts"):
        check(tmp_path / f"a{suffix}", (bare, packets), 0)


def test_missing_decoding_times_are_worked_out(clip: Callable[[str], Clip], tmp_path: Path) -> None:
    form, packets = clip("h264.mp4")
    without = [replace(packet, dts=None) for packet in packets]
    check(tmp_path / "a.mp4", (form, without), 0)
    with pytest.raises(SinkError, match="reorder=2"):
        write(tmp_path / "b.mp4", replace(form, reorder=0), without)


def test_a_codec_that_does_not_fit_is_named(clip: Callable[[str], Clip], tmp_path: Path) -> None:
    form, packets = clip("h264.mp4")
    with pytest.raises(SinkError, match=r"webm doesn't take packets of codec h264 .*write \.mkv"):
        write(tmp_path / "a.webm", form, packets)
    with pytest.raises(SinkError, match=r"ends in '\.xyz', expected one of \.mp4"):
        PacketWriter(tmp_path / "a.xyz", form)
    with pytest.raises(SinkError, match="codec nonsense"):
        write(tmp_path / "a.mkv", VideoFormat(codec="nonsense"), packets)
    assert list(tmp_path.iterdir()) == []


def test_without_a_keyframe_there_is_no_file(clip: Callable[[str], Clip], tmp_path: Path) -> None:
    form, packets = clip("h264.mp4")
    write(tmp_path / "a.mp4", form, packets[1:5])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(clip: Callable[[str], Clip], tmp_path: Path) -> None:
    form, packets = clip("h264.mp4")
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="can't be written"):
        write(tmp_path / "file" / "a.mp4", form, packets)


def test_another_format_needs_another_file(clip: Callable[[str], Clip], tmp_path: Path) -> None:
    form, packets = clip("h264.mp4")
    writer = PacketWriter(tmp_path / "a.mp4", form)
    writer.write(replace(packets[0], format=form))
    with pytest.raises(ValueError, match="begin another file"):
        writer.write(replace(packets[0], format=VideoFormat(codec="hevc")))
    writer.close()
    writer.close()
    with pytest.raises(ValueError, match="closed already"):
        writer.write(packets[0])


def test_ticks_become_nanoseconds_rounded_once() -> None:
    form = VideoFormat(codec="h264", time_base=Fraction(1, 90_000))
    for ticks in (*range(-50, 50), 2**40 + 1, -(2**40)):
        assert form.ns(ticks) == round(Fraction(ticks * 10**9, 90_000))
    assert form.ns(None) is None
