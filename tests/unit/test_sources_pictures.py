"""The images, camera and synthetic sources."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from streamproc.cli.probing import show_watched
from streamproc.errors import SourceError, SourceLost
from streamproc.frames import SECOND_NS
from streamproc.sources.camera import CameraOptions, CameraSource
from streamproc.sources.images import ImagesOptions, ImagesSource
from streamproc.sources.rtsp import RtspOptions
from streamproc.sources.synthetic import Scene, SceneSpec, Span, SyntheticOptions, SyntheticSource
from tests.videos import Reading, Recipe, context, encode, numbered, read


def save(path: Path, number: int, width: int = 320, height: int = 180) -> None:
    assert cv2.imwrite(str(path), numbered(number, width, height))


def read_images(path: Path | str, **options: Any) -> Reading:
    return read(ImagesSource(ImagesOptions(path=str(path), **options)))


def test_pictures_come_in_natural_order_at_their_rate(tmp_path: Path) -> None:
    for number, ending in ((1, "jpg"), (2, "png"), (10, "bmp"), (11, "webp"), (100, "tiff")):
        save(tmp_path / f"photo{number}.{ending}", number)
    (tmp_path / "notes.txt").write_text("not a picture")
    found = read_images(tmp_path, rate=29.97)
    assert found.numbers == [1, 2, 10, 11, 100]
    assert found.pts_ns == [round(index * SECOND_NS / Fraction("29.97")) for index in range(5)]
    assert (found.info.frames, found.info.live, found.info.rate) == (5, False, Fraction("29.97"))


def test_file_names_of_any_bytes_are_read(tmp_path: Path) -> None:
    names = [b"caf\xe9.png", "1\u00b22.png".encode(), b"~nobody.png", b"a\n1.png"]
    save(tmp_path / "a.png", 7)
    for name in names:
        (tmp_path / os.fsdecode(name)).write_bytes((tmp_path / "a.png").read_bytes())
    found = read_images(tmp_path)
    assert found.numbers == [7] * 5
    assert found.info.identity != read_images(tmp_path / "a*.png").info.identity


def test_a_folder_name_may_begin_with_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~nobody-here").mkdir()
    save(tmp_path / "~nobody-here" / "a.png", 3)
    assert read_images("~nobody-here").numbers == [3]
    assert read_images("~nobody-here/*.png").numbers == [3]


def test_a_pattern_chooses_and_goes_into_folders(tmp_path: Path) -> None:
    (tmp_path / "b" / "c").mkdir(parents=True)
    save(tmp_path / "a1.png", 1)
    save(tmp_path / "a2.jpg", 2)
    save(tmp_path / "b" / "c" / "a3.png", 3)
    assert read_images(tmp_path / "*.png").numbers == [1]
    assert read_images(tmp_path / "**" / "*.png").numbers == [1, 3]


def test_colours_are_red_green_blue(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((8, 8, 3), (60, 30, 200), np.uint8))
    assert read_images(tmp_path).frames[0].picture.to_rgb()[0, 0].tolist() == [200, 30, 60]


def test_gray_and_16_bit_pictures_are_read(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((8, 8), 120, np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), np.full((8, 8, 3), 120 * 257, np.uint16))
    for decoded in read_images(tmp_path).frames:
        assert decoded.picture.to_rgb()[0, 0].tolist() == [120, 120, 120]


def test_an_unreadable_picture_is_counted_with_its_time(tmp_path: Path) -> None:
    for number in (1, 3):
        save(tmp_path / f"{number}.png", number)
    (tmp_path / "2.png").write_bytes(b"broken")
    (tmp_path / "4.png").write_bytes(b"")
    found = read_images(tmp_path, rate=10)
    assert found.numbers == [1, 3]
    assert found.pts_ns == [0, 200_000_000]
    assert found.counts == {"unreadable": 2}


def test_another_size_is_refused_or_fitted(tmp_path: Path) -> None:
    save(tmp_path / "1.png", 1)
    save(tmp_path / "2.png", 2, 200, 200)
    with pytest.raises(SourceError, match=r"2\.png is 200x200, expected 320x180"):
        read_images(tmp_path)
    fitted = read_images(tmp_path, fit=True).frames[1].picture.to_rgb()
    assert fitted.shape == (180, 320, 3)
    assert fitted[:, :70].max() == fitted[:, 250:].max() == 0
    assert fitted[:, 70:250].min(axis=2).mean() > 50


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("none", "doesn't exist"),
        ("empty", "holds no pictures"),
        ("empty/*.jpg", "doesn't exist, and as a pattern it matches no file"),
        ("one.png", "single file"),
    ],
)
def test_nothing_to_read_is_said(tmp_path: Path, path: str, words: str) -> None:
    (tmp_path / "empty").mkdir()
    save(tmp_path / "one.png", 1)
    with pytest.raises(SourceError, match=words):
        read_images(f"{tmp_path}/{path}")


def test_a_moved_folder_keeps_its_identity(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    save(tmp_path / "a" / "1.png", 1)
    before = read_images(tmp_path / "a").info.identity
    (tmp_path / "a").rename(tmp_path / "b")
    assert read_images(tmp_path / "b").info.identity == before
    save(tmp_path / "b" / "2.png", 2)
    assert read_images(tmp_path / "b").info.identity != before


def test_a_missing_camera_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    for device in (97, "97", "/dev/video97"):
        # it may be plugged in, again or for the first time
        with pytest.raises(SourceLost, match=r"camera /dev/video97 doesn't exist; cameras on this machine"):
            CameraSource(CameraOptions(device=device)).open(context())
    assert capfd.readouterr() == ("", "")


def test_a_device_without_camera_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match="can't be opened"):
        CameraSource(CameraOptions(device="/dev/null")).open(context())
    assert capfd.readouterr() == ("", "")


def test_a_video_file_is_no_camera(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", Recipe(frames=2))
    with pytest.raises(SourceError, match="type: file"):
        CameraSource(CameraOptions(device=str(path))).open(context())


def test_probe_watches_a_camera_for_some_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    options = SyntheticOptions.model_validate({"duration": "60s", "width": 64, "height": 48, "rate": 4})
    show_watched("camera 0", SyntheticSource(options))
    said = capsys.readouterr().out
    for words in ("camera 0\n", "64x48\n", "measured rate: 4.000 frames/s\n", "22 pictures in 5.2 s\n"):
        assert words in said


def test_rtsp_address_errors_hide_the_password() -> None:
    with pytest.raises(ValidationError, match=r"rtsp://host"):
        RtspOptions(url="http://ann:s3cret@camera/live")


def scene(**spec: Any) -> Scene:
    return Scene(SceneSpec(**{"duration_ns": 8 * SECOND_NS, "rate": Fraction(10), "figures": 3, **spec}))


def test_figures_are_where_the_truth_says() -> None:
    full, empty = scene(noise=0), scene(noise=0, figures=0)
    checked = 0
    for index in range(0, len(full), 7):
        changed = np.abs(full.render(index).astype(int) - empty.render(index)).max(axis=2) > 75  # more than a shadow
        for visible in full.truth(index):
            x0, y0, x1, y1 = visible.box
            assert 0 <= x0 < x1 <= 640
            assert 0 <= y0 < y1 <= 360
            if visible.share == 1:
                assert changed[y0:y1, x0:x1].mean() > 0.05
                checked += 1
            changed[max(0, y0 - 1) : y1 + 1, max(0, x0 - 1) : x1 + 1] = False
        assert not changed.any()
    assert checked > 10


def test_visits_follow_the_truth_across_the_picture() -> None:
    whole = scene(duration_ns=40 * SECOND_NS, figures=4)
    visit = whole.visits[0]
    assert visit.id == 1
    assert visit.start_ns == whole.times_ns[visit.first]
    assert all(any(s.id == 1 for s in whole.truth(i)) for i in range(visit.first, visit.last + 1))
    assert not any(s.id == 1 for i in (visit.first - 1, visit.last + 1) for s in whole.truth(i))
    first, last = (next(s.box for s in whole.truth(i) if s.id == 1) for i in (visit.first, visit.last))
    assert (first[0] == 0 and last[2] == 640) if visit.facing == "right" else (first[2] == 640 and last[0] == 0)
    assert [v.label for v in whole.visits] == ["person"] * 3 + ["car"]


def test_pictures_show_light_switches_cuts_and_freezes() -> None:
    drawn = scene(
        lights_ns=(2 * SECOND_NS,), cuts_ns=(4 * SECOND_NS,), freezes=(Span(6 * SECOND_NS, SECOND_NS),), figures=0
    )
    means = [float(drawn.render(index).mean()) for index in range(len(drawn))]
    assert min(means[:20]) > 2 * max(means[20:40])
    step = [float(np.abs(drawn.render(i).astype(int) - drawn.render(i - 1)).mean()) for i in range(1, len(drawn))]
    assert step[39] > 2 * step[30]
    assert step[60:69] == [0.0] * 9
    assert step[70] > 0


def test_scene_times_are_exact_at_variable_rate() -> None:
    assert scene().times_ns.tolist() == [index * 100_000_000 for index in range(80)]
    gap = scene(gaps=(Span(2 * SECOND_NS, 3 * SECOND_NS),)).times_ns
    assert np.diff(gap).max() == 3 * SECOND_NS
    assert len(gap) == 80 - 29
    varied = np.diff(scene(vfr=True).times_ns)
    assert varied.min() > 0
    assert len(set(varied.tolist())) > 40


def test_the_seed_decides_the_scene() -> None:
    first, again, other = scene(), scene(), scene(seed=2)
    for index in (0, 40, 79):
        assert np.array_equal(first.render(index), again.render(index))
        assert first.truth(index) == again.truth(index)
        assert not np.array_equal(first.render(index), other.render(index))


def test_the_synthetic_source_gives_its_options_scene() -> None:
    options = SyntheticOptions(duration="2s", rate=10, width=320, height=180, seed=5, lights=("1s",))
    found = read(SyntheticSource(options))
    wanted = Scene(options.spec())
    assert found.pts_ns == wanted.times_ns.tolist()
    assert found.info.frames == 20
    for index, decoded in enumerate(found.frames):
        assert np.array_equal(decoded.picture.to_rgb(), wanted.render(index))


def test_picture_sources_stop_when_asked(tmp_path: Path) -> None:
    for number in range(5):
        save(tmp_path / f"{number}.png", number)
    for source in (ImagesSource(ImagesOptions(path=str(tmp_path))), SyntheticSource(SyntheticOptions())):
        asked = itertools.count()
        source.open(context(Counter(), stopping=lambda asked=asked: next(asked) >= 2))  # type: ignore[misc]
        assert len(list(source.frames())) == 2
        source.close()
