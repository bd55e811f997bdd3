"""What every source must do, run over each kind that needs no server. Add a line to `CASES` for a new one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamproc.errors import SourceError, check_array
from streamproc.media import Decoder
from streamproc.registry import Registry
from streamproc.source import AnySource, InputInfo, VideoSource
from tests.videos import Recipe, context, encode, frames_of, numbered, read

COUNT = 20
STEP_NS = 40_000_000


@dataclass(frozen=True)
class Case:
    """A source that gives `COUNT` pictures, one every 40 ms, and one that can't be opened."""

    kind: str
    good: Callable[[Path], dict[str, object]]
    bad: Callable[[Path], dict[str, object]] | None
    numbered: bool = True


def _images(folder: Path) -> dict[str, object]:
    (folder / "pictures").mkdir(exist_ok=True)
    for number in range(COUNT):
        cv2.imwrite(str(folder / "pictures" / f"{number}.png"), numbered(number))
    return {"path": str(folder / "pictures"), "rate": 25}


def _file(name: str, recipe: Recipe) -> Callable[[Path], dict[str, object]]:
    return lambda folder: {"path": str(encode(folder / name, recipe))}


CASES = {
    "file-mp4": Case(
        "file", _file("a.mp4", Recipe(frames=COUNT, b_frames=2)), lambda folder: {"path": f"{folder}/no.mp4"}
    ),
    "file-mkv": Case("file", _file("a.mkv", Recipe(frames=COUNT)), lambda folder: {"path": str(folder)}),
    "images": Case("images", _images, lambda folder: {"path": f"{folder}/none"}),
    "synthetic": Case("synthetic", lambda _: {"rate": 25, "duration": "800ms"}, None, numbered=False),
    "camera": Case("camera", lambda _: {"device": 98}, lambda _: {"device": 98}),
}
READABLE = [pytest.param(case, id=name) for name, case in CASES.items() if name != "camera"]
REFUSING = [pytest.param(case, id=name) for name, case in CASES.items() if case.bad is not None]


def make(kind: str, options: dict[str, object]) -> AnySource:
    cls = Registry().source(kind)
    return cls(cls.options_type.model_validate(options))


@pytest.mark.parametrize("case", READABLE)
def test_source_ends_and_gives_every_picture_in_time(case: Case, tmp_path: Path) -> None:
    found = read(make(case.kind, case.good(tmp_path)))
    assert found.pts_ns == [index * STEP_NS for index in range(COUNT)]
    assert found.counts == {}
    if case.numbered:
        assert found.numbers == list(range(COUNT))


@pytest.mark.parametrize("case", READABLE)
def test_pictures_are_arrays_of_their_size(case: Case, tmp_path: Path) -> None:
    for shot in read(make(case.kind, case.good(tmp_path)), limit=3).frames:
        size = (shot.picture.height, shot.picture.width)
        rgb, gray = shot.picture.to_rgb(), shot.picture.to_gray()
        check_array("rgb", rgb, np.uint8, (*size, 3))
        check_array("gray", gray, np.uint8, size)
        assert rgb.flags.c_contiguous
        assert abs(float(rgb.mean()) - float(gray.mean())) < 20


@pytest.mark.parametrize("case", READABLE)
def test_two_runs_are_identical(case: Case, tmp_path: Path) -> None:
    options = case.good(tmp_path)
    first, second = read(make(case.kind, options)), read(make(case.kind, options))
    assert first.info == second.info
    for one, two in zip(first.frames, second.frames, strict=True):
        assert (one.pts_ns, one.captured_ns, one.keyframe) == (two.pts_ns, two.captured_ns, two.keyframe)
        assert np.array_equal(one.picture.to_rgb(), two.picture.to_rgb())


@pytest.mark.parametrize("case", READABLE)
def test_source_describes_itself_correctly(case: Case, tmp_path: Path) -> None:
    info = read(make(case.kind, case.good(tmp_path)), limit=1).info
    assert isinstance(info, InputInfo)
    assert info.identity
    assert str(tmp_path) not in info.identity
    assert not info.live
    assert info.rate == 25
    assert info.started_ns is None
    assert info.frames in (COUNT, None)


@pytest.mark.parametrize("case", READABLE)
def test_source_can_reopen_and_close_twice(case: Case, tmp_path: Path) -> None:
    source = make(case.kind, case.good(tmp_path))
    next(frames_of(source, source.open(context())))
    source.close()
    source.close()
    assert len(read(source).frames) == COUNT


@pytest.mark.parametrize("case", READABLE)
def test_video_source_gives_its_packets_to_any_decoder(case: Case, tmp_path: Path) -> None:
    source = make(case.kind, case.good(tmp_path))
    if not isinstance(source, VideoSource):
        return
    info = source.open(context())
    packets = list(source.packets())
    assert packets[0].keyframe
    assert all(packet.size > 0 for packet in packets)
    assert info.format is not None
    decoder = Decoder(info.format, lambda _: None, lambda _: None, max_pixels=source.max_pixels)
    assert sum(len(list(decoder.decode(packet))) for packet in [*packets, None]) == COUNT
    source.close()


@pytest.mark.parametrize("case", REFUSING)
def test_constructor_does_nothing_and_open_refuses_clearly(case: Case, tmp_path: Path) -> None:
    assert case.bad is not None
    source = make(case.kind, case.bad(tmp_path))
    with pytest.raises(SourceError) as caught:
        source.open(context())
    assert len(str(caught.value)) > 30
    source.close()


@pytest.mark.parametrize("kind", ["file", "images", "synthetic", "camera", "rtsp"])
def test_every_option_is_described(kind: str) -> None:
    for name, field in Registry().source(kind).options_type.model_fields.items():
        assert field.description, f"{kind}.{name} has no description"
