"""The file source: exact times, exact pictures, and what becomes of broken input."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from streamproc.errors import SourceError
from streamproc.frames import SECOND_NS
from streamproc.media import probe
from streamproc.sources.file import FileOptions, FileSource
from tests.videos import Reading, Recipe, cut_off, encode, hurt, read, remux

NTSC = Fraction(30000, 1001)


def read_file(path: Path, **options: Any) -> Reading:
    return read(FileSource(FileOptions(path=str(path), **options)), breaks_off=True)


def beats(count: int, rate: Fraction | int) -> list[int]:
    return [round(index * SECOND_NS / Fraction(rate)) for index in range(count)]


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        pytest.param("a.mp4", Recipe(rate=NTSC), id="h264 29.97"),
        pytest.param("a.mp4", Recipe(b_frames=3), id="h264 B-frames"),
        pytest.param("a.mp4", Recipe(codec="libx265", options={"x265-params": "log-level=none"}), id="hevc"),
        pytest.param("a.mp4", Recipe(codec="mpeg4", b_frames=2), id="mpeg4"),
        pytest.param("a.mp4", Recipe(audio=True), id="with sound"),
        pytest.param("a.mp4", Recipe(size=(321, 179), pixels="yuv444p"), id="odd size"),
        pytest.param("a.mp4", Recipe(pixels="yuv420p10le"), id="10 bit"),
        pytest.param("a.avi", Recipe(codec="mjpeg", pixels="yuvj420p"), id="avi mjpeg"),
        pytest.param("a.ts", Recipe(b_frames=2), id="mpeg-ts"),
        pytest.param("a.gif", Recipe(codec="gif", pixels="rgb8", rate=Fraction(10), frames=20), id="gif"),
        pytest.param("a.webm", Recipe(codec="libvpx-vp9", frames=25, options={"deadline": "realtime", "cpu-used": "8"}),
                     id="vp9"),
    ],
)  # fmt: skip
def test_every_picture_comes_once_at_its_time(tmp_path: Path, name: str, recipe: Recipe) -> None:
    found = read_file(encode(tmp_path / name, recipe))
    assert found.numbers == list(range(recipe.frames))
    first = found.pts_ns[0]
    assert first is not None
    assert [pts - first for pts in found.pts_ns if pts is not None] == beats(recipe.frames, recipe.rate)
    assert found.counts == {}
    assert found.frames[0].keyframe


def test_av1_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SVT_LOG", "0")  # the encoder would write to stderr
    path = encode(tmp_path / "a.mkv", Recipe(codec="libsvtav1", frames=8, options={"preset": "12"}))
    assert read_file(path).numbers == list(range(8))


def test_matroska_rounds_to_milliseconds_and_so_do_we(tmp_path: Path) -> None:
    found = read_file(encode(tmp_path / "a.mkv", Recipe(rate=NTSC)))
    assert found.numbers == list(range(60))
    assert all(abs((pts or 0) - time) <= 500_001 for pts, time in zip(found.pts_ns, beats(60, NTSC), strict=True))
    assert found.info.rate == NTSC


def test_a_variable_rate_and_gaps_keep_their_times(tmp_path: Path) -> None:
    steps = np.random.default_rng(2).integers(5, 400, size=59) * 1_000_000
    steps[20] = 12 * SECOND_NS
    times = [0, *np.cumsum(steps).tolist()]
    found = read_file(encode(tmp_path / "a.mp4", Recipe(times_ns=times, b_frames=2)))
    assert found.pts_ns == times
    assert found.numbers == list(range(60))


def test_rotation_in_the_metadata_turns_the_pictures(tmp_path: Path) -> None:
    corner = np.zeros((180, 320, 3), np.uint8)
    corner[:90, :160] = 255  # top left
    wanted = {
        90: (slice(0, 160), slice(90, 180)),
        180: (slice(90, 180), slice(160, 320)),
        270: (slice(160, 320), slice(0, 90)),
    }
    for rotation, place in wanted.items():
        recipe = Recipe(frames=2, rotation=rotation, picture=lambda _: corner)
        found = read_file(encode(tmp_path / f"{rotation}.mp4", recipe))
        picture = found.frames[0].picture
        assert found.info.rotation == rotation
        assert (picture.width, picture.height) == ((180, 320) if rotation != 180 else (320, 180))
        for image in (picture.to_rgb(), picture.to_gray()):
            bright = np.zeros(image.shape[:2], bool)
            bright[place] = True
            assert image.shape[:2] == (picture.height, picture.width)
            assert image[bright].mean() > 250
            assert image[~bright].mean() < 5


def test_a_raw_stream_has_only_its_rate(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.h264", Recipe(rate=Fraction(10), b_frames=2, frames=30))
    found = read_file(path)
    assert found.pts_ns == [None] * 30
    assert found.numbers == list(range(30))
    assert found.info.rate == 10
    assert read_file(path, rate=12.5).info.rate == Fraction(25, 2)


def test_recording_start_comes_from_metadata_or_option(tmp_path: Path) -> None:
    dated = encode(tmp_path / "a.mp4", Recipe(frames=2, metadata={"creation_time": "2024-05-01T08:00:00Z"}))
    plain = encode(tmp_path / "b.mp4", Recipe(frames=2))
    at_ns = 1_714_550_400_000_000_000
    assert read_file(dated).info.started_ns == at_ns
    assert read_file(dated, started="unknown").info.started_ns is None
    assert read_file(plain).info.started_ns is None
    assert read_file(plain, started="2024-05-01T10:00:00+02:00").info.started_ns == at_ns
    assert read_file(plain, started="2024-05-01T08:00:00").info.started_ns == at_ns
    with pytest.raises(ValidationError):
        FileOptions(path="a.mp4", started="yesterday")


def test_only_a_copy_has_the_same_identity(tmp_path: Path) -> None:
    first = encode(tmp_path / "a.mp4", Recipe(frames=3))
    shutil.copy(first, tmp_path / "renamed.mov")
    other = encode(tmp_path / "b.mp4", Recipe(frames=4))
    identity = read_file(first).info.identity
    assert read_file(tmp_path / "renamed.mov").info.identity == identity
    assert read_file(other).info.identity != identity


def test_what_is_known_beforehand(tmp_path: Path) -> None:
    info = read_file(encode(tmp_path / "a.mp4")).info
    assert (info.live, info.rate, info.frames, info.duration_ns) == (False, Fraction(25), 60, 60 * SECOND_NS // 25)


def test_a_damaged_group_is_dropped_and_counted(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.ts", Recipe(frames=100, b_frames=2, options={"sc_threshold": "0", "crf": "18"}))
    found = read_file(hurt(path, at=0.5, length=2000))
    lost = found.counts["undecodable"]
    assert 0 < lost <= 40
    assert len(found.frames) + lost == 100
    numbers = found.numbers
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 99
    assert [round(Fraction((pts or 0) - (found.pts_ns[0] or 0), 40_000_000)) for pts in found.pts_ns] == numbers


def test_damaged_files_show_no_patched_pictures(tmp_path: Path) -> None:
    import av

    def spoil(index: int, packet: Any) -> list[Any]:
        if index not in (11, 27):
            return [packet]
        noise = np.random.default_rng(index).integers(0, 256, packet.size, dtype=np.uint8).tobytes()
        spoilt = av.Packet(noise)
        spoilt.pts, spoilt.dts, spoilt.time_base = packet.pts, packet.dts, packet.time_base
        return [spoilt]

    recipe = Recipe(frames=80, b_frames=3, options={"sc_threshold": "0"})
    clean = read_file(encode(tmp_path / "a.mp4", recipe))
    pictures = {pts: decoded.picture.to_rgb() for pts, decoded in zip(clean.pts_ns, clean.frames, strict=True)}
    found = read_file(remux(tmp_path / "a.mp4", tmp_path / "b.mp4", spoil))
    assert 15 <= found.counts["undecodable"] <= 30
    assert len(found.frames) + found.counts["undecodable"] == 80
    assert found.numbers[-40:] == list(range(40, 80))
    for pts, decoded in zip(found.pts_ns, found.frames, strict=True):
        assert np.array_equal(decoded.picture.to_rgb(), pictures[pts])


def test_damaged_files_give_the_same_pictures_again(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.ts", Recipe(frames=80, b_frames=3, size=(640, 360)))
    for at in (0.3, 0.6):
        hurt(path, at=at, length=3000)
    first, second = read_file(path), read_file(path)
    assert first.counts == second.counts
    assert first.pts_ns == second.pts_ns
    for one, two in zip(first.frames, second.frames, strict=True):
        assert np.array_equal(one.picture.to_rgb(), two.picture.to_rgb())


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        pytest.param("a.mp4", Recipe(container={"movflags": "faststart"}, b_frames=2), id="mp4"),
        pytest.param("a.mkv", Recipe(b_frames=2), id="mkv"),
        pytest.param("a.ts", Recipe(codec="mpeg2video", b_frames=2), id="mpeg2 ts"),
        pytest.param(
            "b.mp4", Recipe(codec="libx265", options={"x265-params": "log-level=none"}, b_frames=2), id="hevc"
        ),
        pytest.param("a.avi", Recipe(codec="mpeg4"), id="avi"),
        pytest.param("b.avi", Recipe(codec="mjpeg", pixels="yuvj420p"), id="mjpeg"),
        pytest.param("a.gif", Recipe(codec="gif", pixels="rgb8", rate=Fraction(10)), id="gif"),
        pytest.param("a.h264", Recipe(b_frames=2), id="raw"),
    ],
)
def test_no_damage_makes_it_fail_hang_or_differ(tmp_path: Path, name: str, recipe: Recipe) -> None:
    whole = encode(tmp_path / name, replace(recipe, frames=40, size=(160, 96))).read_bytes()
    path = tmp_path / f"hurt{Path(name).suffix}"
    for seed in range(4):
        path.write_bytes(whole)
        hurt(path, at=0.15 + 0.2 * seed, length=300 * (seed + 1), seed=seed)
        try:
            first = read_file(path)
        except SourceError:
            continue  # the damage hit what nothing can be read without
        second = read_file(path)
        assert (first.pts_ns, first.counts) == (second.pts_ns, second.counts)
        assert len(first.frames) + sum(first.counts.values()) <= 41
        for one, two in zip(first.frames, second.frames, strict=True):
            assert np.array_equal(one.picture.to_rgb(), two.picture.to_rgb())


@pytest.mark.parametrize(
    ("name", "at", "sentence"),
    [
        pytest.param("a.mp4", 0.6, "of 60", id="mp4"),
        pytest.param("a.mkv", 0.6, "of 2.40 s", id="mkv"),
        pytest.param("a.webm", 0.6, "of 2.40 s", id="webm"),
        pytest.param("a.flv", 0.6, "of 2.40 s", id="flv"),
        pytest.param("a.avi", 0.7, "of 60", id="avi"),
    ],
)
def test_a_truncated_file_names_its_missing_pictures(tmp_path: Path, name: str, at: float, sentence: str) -> None:
    """The number of missing pictures is known where the container says how much there should be."""
    codec = {".webm": "libvpx", ".flv": "flv1"}.get(Path(name).suffix, "libx264")
    recipe = Recipe(codec=codec, frames=60, container={"movflags": "faststart"} if name == "a.mp4" else {})
    found = read_file(cut_off(encode(tmp_path / name, recipe), at=at))
    assert 10 < len(found.frames) < 60
    assert found.numbers == list(range(len(found.frames)))
    assert found.counts["truncated"] >= 60 - len(found.frames) - found.counts.get("undecodable", 0) - 1
    assert sum(found.counts.values()) + len(found.frames) in (59, 60, 61)
    assert "breaks off after" in found.error
    assert sentence in found.error
    probed = probe(tmp_path / name)
    assert not probed.complete
    assert sentence in probed.broken_off


@pytest.mark.parametrize(
    ("name", "recipe", "sentence"),
    [
        pytest.param("a.gif", Recipe(codec="gif", pixels="rgb8", rate=Fraction(10)), "ends within a picture", id="gif"),
        pytest.param("a.ts", Recipe(), "ends within a transport packet", id="ts"),
        pytest.param("a.mp4", Recipe(container={"movflags": "frag_keyframe+empty_moov"}), "last part (mdat)", id="mp4"),
    ],
)
def test_files_without_length_end_by_their_structure(tmp_path: Path, name: str, recipe: Recipe, sentence: str) -> None:
    found = read_file(cut_off(encode(tmp_path / name, recipe), at=0.61))
    assert 10 < len(found.frames) < 60
    assert found.numbers == list(range(len(found.frames)))
    assert sentence in found.error
    assert sentence in probe(tmp_path / name).broken_off
    assert "after" in found.error


def test_matroska_that_ends_a_little_early_says_so(tmp_path: Path) -> None:
    """By less than what the stated duration would show."""
    path = encode(tmp_path / "a.mkv", Recipe(codec="mpeg4", frames=60))
    found = read_file(cut_off(path, at=0.95))
    assert 50 < len(found.frames) < 60
    assert "before its segment does" in found.error


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        pytest.param("a.gif", Recipe(codec="gif", pixels="rgb8", rate=Fraction(10)), id="gif"),
        pytest.param("a.mp4", Recipe(container={"movflags": "frag_keyframe+empty_moov"}), id="mp4"),
        pytest.param("a.ts", Recipe(), id="ts"),
        pytest.param("a.mkv", Recipe(), id="mkv"),
    ],
)
def test_data_behind_the_end_is_no_truncation(tmp_path: Path, name: str, recipe: Recipe) -> None:
    path = encode(tmp_path / name, recipe)
    path.write_bytes(path.read_bytes() + b"\x7f\xff\xff\xffSEFT of some maker, serial number 17")
    found = read_file(path)
    assert found.numbers == list(range(60))
    assert found.error == ""


def test_a_gif_without_end_mark_is_whole(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.gif", Recipe(codec="gif", pixels="rgb8", rate=Fraction(10)))
    path.write_bytes(path.read_bytes().removesuffix(b";"))
    found = read_file(path)
    assert (len(found.frames), found.error, found.counts) == (60, "", {})


def test_half_a_gif_picture_is_not_shown(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.gif", Recipe(codec="gif", pixels="rgb8", rate=Fraction(10)))
    right = [decoded.picture.to_rgb() for decoded in read_file(path).frames]
    found = read_file(cut_off(path, at=0.61))
    assert found.counts == {"truncated": 1}
    for decoded, picture in zip(found.frames, right, strict=False):
        assert np.array_equal(decoded.picture.to_rgb(), picture)


def test_a_raw_stream_ending_within_a_picture_warns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = encode(tmp_path / "a.h264", Recipe())
    with caplog.at_level(logging.WARNING):
        whole = read_file(path)
        assert (len(whole.frames), caplog.text) == (60, "")
        found = read_file(cut_off(path, at=0.5))
    assert found.numbers == list(range(len(found.frames)))
    assert "ends within a picture" in caplog.text


def test_a_playlist_names_the_segment_that_it_lacks(tmp_path: Path) -> None:
    segments = {"hls_time": "0.4", "hls_list_size": "0", "hls_segment_filename": str(tmp_path / "s%d.ts")}
    recipe = Recipe(frames=30, gop=10, options={"sc_threshold": "0"}, container=segments)
    path = encode(tmp_path / "a.m3u8", recipe)
    assert read_file(path).error == ""
    path.write_text(path.read_text().replace("#EXT-X-ENDLIST", ""))
    found = read_file(path)
    assert found.numbers == list(range(30))
    assert "has no end mark" in found.error
    (tmp_path / "s2.ts").unlink()
    found = read_file(path)
    assert found.numbers == list(range(20))
    assert "lacks 1 of its 3 segments, s2.ts first" in found.error


def test_truncated_files_with_sound_compare_picture_durations(tmp_path: Path) -> None:
    found = read_file(cut_off(encode(tmp_path / "a.mkv", Recipe(frames=100, audio=True)), at=0.5))
    assert "of 4.00 s" in found.error
    assert 98 <= len(found.frames) + sum(found.counts.values()) <= 102


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        pytest.param("a.mkv", Recipe(audio=True, frames=3), id="sound goes on for longer"),
        pytest.param("a.mkv", Recipe(b_frames=3), id="B-frames"),
        pytest.param("a.mkv", Recipe(times_ns=[0, SECOND_NS, 3 * SECOND_NS, 9 * SECOND_NS], frames=4), id="slides"),
        pytest.param("a.mkv", Recipe(times_ns=[k * SECOND_NS for k in range(5, 9)], frames=4), id="begins late"),
        pytest.param("a.mkv", Recipe(rate=NTSC, frames=1), id="one picture"),
        pytest.param("a.mkv", Recipe(rate=Fraction(1, 2), frames=6), id="slow"),
        pytest.param("a.avi", Recipe(codec="mpeg4", times_ns=[k * 40_000_000 for k in (0, 1, 2, 10, 11, 30)], frames=6,
                                     time_base=Fraction(1, 25)), id="avi with empty beats"),
        pytest.param("a.avi", Recipe(b_frames=2), id="avi with B-frames"),
        pytest.param("a.flv", Recipe(codec="flv1"), id="flv"),
        pytest.param("a.mp4", Recipe(container={"movflags": "frag_keyframe+empty_moov"}), id="fragmented"),
        pytest.param("a.m3u8", Recipe(container={"hls_time": "1", "hls_list_size": "0"}), id="hls"),
    ],
)  # fmt: skip
def test_a_whole_file_is_never_called_truncated(tmp_path: Path, name: str, recipe: Recipe) -> None:
    found = read_file(encode(tmp_path / name, recipe))
    assert len(found.frames) == recipe.frames
    assert (found.error, found.counts) == ("", {})


def test_a_longer_recordings_duration_is_ignored(tmp_path: Path) -> None:
    whole = bytearray(encode(tmp_path / "a.mkv", Recipe(frames=10)).read_bytes())
    at = whole.index(b"00:00:00.400000000")
    whole[at : at + 8] = b"00:07:00"
    (tmp_path / "b.mkv").write_bytes(whole)
    assert read_file(tmp_path / "b.mkv").error == ""


def test_an_mp4_trimmed_by_edit_list_is_whole(tmp_path: Path) -> None:
    """As telephones trim: the pictures behind the new end stay in the file, and aren't shown."""
    path = encode(tmp_path / "trimmed.mp4", Recipe(frames=60, b_frames=2))
    data = bytearray(path.read_bytes())
    entry = data.index(b"elst") + 12
    shown = int.from_bytes(data[entry : entry + 4], "big")
    data[entry : entry + 4] = (shown // 2).to_bytes(4, "big")
    path.write_bytes(data)
    found = read_file(path)
    assert 0 < len(found.frames) < 60
    assert (found.error, found.counts) == ("", {})


@pytest.mark.real
def test_no_clip_is_said_to_break_off(shared: Path) -> None:
    from streamproc.media import Demuxer
    from streamproc.media.ending import Ending
    from streamproc.media.structure import breaks_off

    clips = [path for path in (shared / "media").iterdir() if path.suffix in (".mp4", ".gif", ".avi", ".mkv")]
    for path in clips:
        demuxer = Demuxer(str(path))
        ending = Ending(demuxer.facts)
        for packet in demuxer.packets():
            ending.add(packet)
        demuxer.close()
        found = (ending.missing, demuxer.broken_off, breaks_off(path, demuxer.facts.container))
        assert found == (0, False, ""), path.name
    assert clips


def test_a_stream_starts_at_its_first_keyframe(tmp_path: Path) -> None:
    whole = encode(tmp_path / "a.ts", Recipe(frames=60, gop=20, options={"sc_threshold": "0"}))
    found = read_file(remux(whole, tmp_path / "b.ts", lambda index, packet: [packet] if index >= 7 else []))
    assert found.numbers == list(range(20, 60))
    assert found.counts == {"undecodable": 13}


@pytest.mark.parametrize(
    ("change", "stamps"),
    [
        pytest.param(lambda index: index if index != 5 else 4, [0, 1, 2, 3, 4, 4, 6], id="repeated"),
        pytest.param(lambda index: index if index < 5 else index + 500, [0, 1, 2, 3, 4, 505, 506], id="gap"),
    ],
)
def test_time_stamps_are_handed_on_as_they_are(tmp_path: Path, change: Callable[[int], int], stamps: list[int]) -> None:
    def restamp(index: int, packet: Any) -> list[Any]:
        packet.pts = packet.dts = change(index) * 40
        packet.time_base = Fraction(1, 1000)
        return [packet]

    path = remux(encode(tmp_path / "a.mp4", Recipe(frames=7)), tmp_path / "b.mkv", restamp)
    assert read_file(path).pts_ns == [stamp * 40_000_000 for stamp in stamps]


def test_picture_size_stays_when_resolution_changes(tmp_path: Path) -> None:
    parts = [encode(tmp_path / f"{w}.h264", Recipe(frames=10, size=(w, h))) for w, h in ((320, 180), (640, 360))]
    (tmp_path / "both.h264").write_bytes(b"".join(part.read_bytes() for part in parts))
    found = read_file(tmp_path / "both.h264")
    assert [decoded.picture.to_rgb().shape for decoded in found.frames] == [(180, 320, 3)] * 20
    assert found.numbers == [*range(10)] * 2


def test_faulty_side_information_is_still_decoded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = encode(tmp_path / "a.h264", Recipe(frames=120, gop=6, options={"sc_threshold": "0", "aud": "1"}))
    delimiter = b"\x00\x00\x00\x01\x09"
    units = whole.read_bytes().split(delimiter)[1:]
    overlong = b"\x00\x00\x00\x01\x06\x05\x70\x01\x80"  # user data that claims more bytes than there are
    whole.write_bytes(b"".join(delimiter + unit[:1] + overlong + unit[1:] for unit in units))
    with caplog.at_level(logging.WARNING):
        found = read_file(whole)
    assert len(found.frames) >= 40
    assert found.numbers == sorted(found.numbers)
    assert len(found.frames) + sum(found.counts.values()) == 120
    assert "less strictly" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        pytest.param("a.mp4", None, "doesn't exist", id="missing"),
        pytest.param("a.mp4", b"", "empty", id="zero bytes"),
        pytest.param("a.mp4", b"not a video at all " * 50, "isn't a video", id="wrong content"),
        pytest.param("a.txt", b"plain text\n" * 50, "text, expected a video", id="text"),
        pytest.param("a.jpg.mp4", bytes(range(256)) * 40, "isn't a video", id="bytes"),
    ],
)
def test_other_files_are_refused_in_a_sentence(
    tmp_path: Path, name: str, content: bytes | None, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=words):
        read_file(tmp_path / name)
    assert capfd.readouterr() == ("", "")


def test_only_relative_paths_name_the_searched_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=rf"^a.mp4 doesn't exist \(looked in {tmp_path}\); check the path$"):
        read_file(Path("a.mp4"))
    with pytest.raises(SourceError, match=rf"^{tmp_path}/a.mp4 doesn't exist; check the path$"):
        read_file(tmp_path / "a.mp4")


def test_irregular_files_are_refused_at_once(tmp_path: Path) -> None:
    """Opening a pipe that nobody writes into would wait for ever."""
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(SourceError, match="is a pipe, expected a video file"):
        read_file(tmp_path / "a.mp4")
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind(str(tmp_path / "b.mp4"))
        with pytest.raises(SourceError, match="is a socket"):
            read_file(tmp_path / "b.mp4")
    with pytest.raises(SourceError, match=r"is a device.*type: camera"):
        read_file(Path("/dev/null"))


def test_folders_and_sound_files_are_refused(tmp_path: Path) -> None:
    import av

    with pytest.raises(SourceError, match="type: images"):
        read_file(tmp_path)
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(SourceError, match="holds audio, expected a video stream"):
        read_file(tmp_path / "a.wav")


def test_paths_may_hold_colon_percent_and_space(tmp_path: Path) -> None:
    path = tmp_path / "a: %03d b.mp4"
    shutil.move(encode(tmp_path / "a.mp4", Recipe(frames=3)), path)
    assert len(read_file(path).frames) == 3


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Write nothing."""


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """Serves the test's folder over HTTP, with user and password in the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path)))
    assert isinstance(server, socketserver.BaseServer)
    thread = threading.Thread(target=server.serve_forever, name="web")
    thread.start()
    try:
        yield f"http://ann:s3cret@127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_video_comes_over_http_and_hls(tmp_path: Path, web: str) -> None:
    encode(tmp_path / "a.mp4", Recipe(frames=30, gop=10, container={"movflags": "faststart"}))
    (tmp_path / "hls").mkdir()
    segments = {"hls_time": "0.4", "hls_list_size": "0", "hls_segment_filename": str(tmp_path / "hls" / "s%d.ts")}
    encode(tmp_path / "hls" / "a.m3u8", Recipe(frames=30, gop=10, options={"sc_threshold": "0"}, container=segments))
    for address in (f"{web}/a.mp4", f"{web}/hls/a.m3u8"):
        found = read(FileSource(FileOptions(path=address)))
        assert found.numbers == list(range(30))
        assert "s3cret" not in found.info.identity


def test_address_errors_hold_no_password(web: str) -> None:
    with pytest.raises(SourceError) as caught:
        read(FileSource(FileOptions(path=f"{web}/missing.mp4?token=hush")))
    assert "s3cret" not in str(caught.value)
    assert "hush" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)
