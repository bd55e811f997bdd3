"""Writing MP4 files, and what `probe` says of videos."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from streamproc.errors import SinkError, SourceError
from streamproc.frames import SECOND_NS
from streamproc.media import VideoWriter, fingerprint, probe
from streamproc.sources.file import FileOptions, FileSource
from tests.videos import Reading, Recipe, encode, numbered, read


def read_file(path: Path) -> Reading:
    return read(FileSource(FileOptions(path=str(path))))


def test_pictures_come_back_at_their_own_times(tmp_path: Path) -> None:
    times = [0, 33_366_667, 66_733_333, 500_000_000, 501_000_000, 9 * SECOND_NS]
    with VideoWriter(tmp_path / "new" / "a.mp4") as writer:
        for number, pts_ns in enumerate(times):
            writer.write(numbered(number), pts_ns)
    found = read_file(tmp_path / "new" / "a.mp4")
    assert found.numbers == list(range(6))
    assert all(abs((pts or 0) - time) <= 6_000 for pts, time in zip(found.pts_ns, times, strict=True))


def test_a_file_may_begin_late(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4") as writer:
        for number in range(3):
            writer.write(numbered(number), (number + 50) * SECOND_NS)
    assert read_file(tmp_path / "a.mp4").pts_ns == [50 * SECOND_NS, 51 * SECOND_NS, 52 * SECOND_NS]


def test_long_gaps_are_bridged_or_shortened(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hour = 3600 * SECOND_NS
    times = [30 * hour, 30 * hour + SECOND_NS, 51 * hour, 51 * hour + SECOND_NS, 10**6 * hour, 10**6 * hour + SECOND_NS]
    with VideoWriter(tmp_path / "a.mp4") as writer:
        for number, pts_ns in enumerate(times):
            writer.write(numbered(number), pts_ns)
    found = read_file(tmp_path / "a.mp4")
    at = dict(reversed(list(zip(found.numbers, found.pts_ns, strict=True))))
    shortened = 51 * hour + 2 * SECOND_NS
    assert [at[n] for n in range(6)] == pytest.approx([*times[:4], shortened, shortened + SECOND_NS], abs=6_000)
    assert "a gap of 999949 hours between two pictures is shortened to a second" in caplog.text


def test_odd_sizes_are_padded_and_colours_stay(tmp_path: Path) -> None:
    colour = (200, 30, 60)
    with VideoWriter(tmp_path / "a.mp4", crf=1) as writer:
        writer.write(np.full((35, 51, 3), colour, np.uint8), 0)
    rgb = read_file(tmp_path / "a.mp4").frames[0].picture.to_rgb()
    assert rgb.shape == (36, 52, 3)
    assert np.abs(rgb.astype(int) - colour).max() <= 4


def test_only_a_whole_file_has_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"older")
    writer = VideoWriter(path)
    writer.write(numbered(0), 0)
    assert path.read_bytes() == b"older"
    writer.close()
    writer.close()
    assert len(read_file(path).frames) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]


def test_a_failure_or_no_picture_leaves_no_file(tmp_path: Path) -> None:
    def fail() -> None:
        with VideoWriter(tmp_path / "a.mp4") as writer:
            writer.write(numbered(0), 0)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        fail()
    VideoWriter(tmp_path / "b.mp4").close()
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, sys, numpy
from streamproc.media import VideoWriter
writer = VideoWriter(sys.argv[1])
writer.write(numpy.zeros((64, 64, 3), numpy.uint8), 0)
os._exit(1)
"""


def test_leftovers_of_killed_runs_are_removed(tmp_path: Path) -> None:
    def hidden() -> set[str]:
        return {path.name for path in tmp_path.iterdir() if path.name.startswith(".")}

    path = tmp_path / "a [1].mp4"
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    left = hidden()
    assert len(left) == 1
    first, second, other = VideoWriter(path), VideoWriter(path), VideoWriter(tmp_path / "a.mp4")
    first.write(numbered(0), 0)
    assert not left & hidden()
    second.write(numbered(1), 0)
    other.write(numbered(2), 0)
    assert len(hidden()) == 3
    for writer in (other, second, first):
        writer.close()
    assert hidden() == set()
    assert read_file(path).numbers == [0]


def test_unwritable_videos_are_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SinkError, match="can't be written"):
        VideoWriter(tmp_path / "file" / "a.mp4").write(numbered(0), 0)
    with VideoWriter(tmp_path / "a.mp4") as writer:
        writer.write(numbered(0), 0)
        with pytest.raises(ValueError, match="expected 320x180"):
            writer.write(np.zeros((90, 90, 3), np.uint8), SECOND_NS)
        with pytest.raises(ValueError, match="expected uint8"):
            writer.write(np.zeros((180, 320, 3), np.float32), SECOND_NS)


def test_probe_tells_a_regular_video(tmp_path: Path) -> None:
    recipe = Recipe(b_frames=2, audio=True, rotation=90, options={"sc_threshold": "0"})
    found = probe(encode(tmp_path / "a.mp4", recipe))
    assert (found.facts.codec, found.facts.size, found.facts.orientation.rotation) == ("h264", (180, 320), 90)
    assert (found.facts.rate, found.facts.audio, found.facts.has_b_frames) == (Fraction(25), True, True)
    assert (found.scanned, found.complete, found.broken_off, found.keyframes) == (60, True, "", 3)
    assert found.measured_rate == pytest.approx(25)
    assert found.keyframe_interval_s == pytest.approx(0.8)
    assert not found.variable_rate
    assert found.readable
    assert (found.gaps, found.missing_pts, found.repeated_pts, found.damaged) == (0, 0, 0, 0)
    assert found.file_bytes == (tmp_path / "a.mp4").stat().st_size


def test_probe_reports_variable_rate_gaps_and_missing_stamps(tmp_path: Path) -> None:
    times = [0, 40, 120, 160, 5160, 5200]
    found = probe(encode(tmp_path / "a.mkv", Recipe(frames=6, times_ns=[time * 1_000_000 for time in times])))
    assert found.variable_rate
    assert (found.gaps, found.longest_gap_s) == (1, 5.0)
    raw = probe(encode(tmp_path / "a.h264", Recipe(frames=6)))
    assert (raw.missing_pts, raw.measured_rate) == (6, None)
    assert not probe(encode(tmp_path / "b.mkv", Recipe(frames=30))).variable_rate


def test_probe_tells_that_nothing_can_be_decoded(tmp_path: Path) -> None:
    clip = encode(tmp_path / "a.mp4")
    content = bytearray(clip.read_bytes())
    start = content.index(b"mdat") + 4
    size = int.from_bytes(content[start - 8 : start - 4], "big") - 8
    content[start : start + size] = bytes(size)
    clip.write_bytes(content)
    found = probe(clip)
    assert (found.readable, found.complete) == (False, True)
    assert found.scanned == 60


def test_probe_stops_at_its_limit_and_hides_secrets(tmp_path: Path) -> None:
    found = probe(encode(tmp_path / "a.mp4"), limit=10)
    assert (found.scanned, found.complete, found.broken_off) == (10, False, "")
    with pytest.raises(SourceError) as caught:
        probe("http://ann:s3cret@127.0.0.1:9/a.mp4")
    assert "s3cret" not in str(caught.value)


def test_a_fingerprint_covers_beginning_middle_end_and_size(tmp_path: Path) -> None:
    data = np.random.default_rng(1).integers(0, 256, 5 << 20, dtype=np.uint8)
    path = tmp_path / "a"
    prints = set()
    for place in (None, 0, len(data) // 2, len(data) - 1):
        changed = data.copy()
        if place is not None:
            changed[place] ^= 1
        path.write_bytes(changed.tobytes())
        prints.add(fingerprint(path))
    path.write_bytes(data[:-1].tobytes())
    prints.add(fingerprint(path))
    assert len(prints) == 5
    path.write_bytes(b"short")
    assert fingerprint(path).startswith("sha256:")
