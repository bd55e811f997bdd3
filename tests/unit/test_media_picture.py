"""Pictures as arrays: colours, ranges, depths, sizes."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamproc.frames import PixelCache
from streamproc.media import AvPicture
from streamproc.media.carried import pack_picture, unpack_picture
from streamproc.media.orientation import Orientation
from streamproc.sources.file import FileOptions, FileSource
from tests.videos import Recipe, encode, read

COLOURS = ((255, 255, 255), (0, 0, 0), (200, 30, 60), (20, 160, 90))
BT601, BT709 = 5, 1
LIMITED, FULL = 1, 2


def plain(colour: tuple[int, int, int], pixels: str, size: tuple[int, int] = (65, 33), **how: Any) -> AvPicture:
    """A picture of one colour as a decoder would hold it."""
    import av

    rgb = np.full((size[1], size[0], 3), colour, np.uint8)
    return AvPicture(av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format=pixels, threads=1, **how))


def luma_of(colour: tuple[int, int, int], *, bt709: bool = False) -> float:
    weights = (0.2126, 0.7152, 0.0722) if bt709 else (0.299, 0.587, 0.114)
    return sum(weight * part for weight, part in zip(weights, colour, strict=True))


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(
    "pixels",
    ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p10le", "yuv420p16le", "nv12", "p010le",
     "yuyv422", "rgb24", "bgra", "gbrp", "yuva420p", "yuv410p"],
)  # fmt: skip
def test_pixel_formats_give_right_colours_at_odd_sizes(pixels: str, colour: tuple[int, int, int]) -> None:
    picture = plain(colour, pixels)
    rgb, gray = picture.to_rgb(), picture.to_gray()
    assert rgb.shape == (33, 65, 3)
    assert gray.shape == (33, 65)
    assert (picture.width, picture.height) == (65, 33)
    assert np.abs(rgb.astype(int) - colour).max() <= 3
    assert np.abs(gray.astype(int) - luma_of(colour)).max() <= 1.5


@pytest.mark.parametrize("pixels", ["gray", "gray10le", "gray16le"])
def test_gray_formats_are_gray(pixels: str) -> None:
    picture = plain((120, 120, 120), pixels)
    assert np.abs(picture.to_rgb().astype(int) - 120).max() <= 2
    assert np.abs(picture.to_gray().astype(int) - 120).max() <= 1


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("matrix", [BT601, BT709])
@pytest.mark.parametrize("extent", [LIMITED, FULL])
def test_matrix_and_range_come_from_the_file(
    tmp_path: Path, colour: tuple[int, int, int], matrix: int, extent: int
) -> None:
    flat = np.full((48, 64, 3), colour, np.uint8)
    recipe = Recipe(
        frames=1, size=(64, 48), picture=lambda _: flat, colorspace=matrix, color_range=extent, options={"crf": "1"}
    )
    picture = read(FileSource(FileOptions(path=str(encode(tmp_path / "a.mp4", recipe))))).frames[0].picture
    assert np.abs(picture.to_rgb().astype(int) - colour).max() <= 4
    assert np.abs(picture.to_gray().astype(int) - luma_of(colour, bt709=matrix == BT709)).max() <= 2


def test_without_a_named_matrix_it_is_bt601() -> None:
    import av

    frame = av.VideoFrame(32, 32, "yuv420p")
    for plane, value in zip(frame.planes, (81, 90, 240), strict=True):  # red in limited BT.601
        plane.update(bytes([value]) * plane.buffer_size)
    assert np.abs(AvPicture(frame).to_rgb().astype(int) - (255, 0, 0)).max() <= 2


def test_limited_luma_is_stretched_to_the_full_range() -> None:
    import av

    frame = av.VideoFrame(256, 16, "yuv420p")
    line = np.zeros((16, frame.planes[0].line_size), np.uint8)
    line[:, :256] = np.arange(256)
    frame.planes[0].update(line.tobytes())
    wanted = np.clip(np.rint((np.arange(256) - 16) * 255 / 219), 0, 255)
    assert np.array_equal(AvPicture(frame).to_gray()[0], wanted)
    frame.color_range = FULL
    assert np.array_equal(AvPicture(frame).to_gray()[0], np.arange(256))


def test_a_picture_survives_its_source_and_other_pictures(tmp_path: Path) -> None:
    frames = read(FileSource(FileOptions(path=str(encode(tmp_path / "a.mp4", Recipe(frames=40)))))).frames
    first = frames[0].picture.to_rgb().copy()
    early = frames[0].picture.to_rgb()
    for decoded in frames:
        decoded.picture.to_rgb()
    assert np.array_equal(early, first)


def test_threads_convert_without_disturbing_each_other(tmp_path: Path) -> None:
    frames = read(FileSource(FileOptions(path=str(encode(tmp_path / "a.mp4", Recipe(frames=24)))))).frames
    wanted = [decoded.picture.to_rgb() for decoded in frames]
    wrong: list[int] = []

    def work(start: int) -> None:
        for index in range(start, len(frames), 4):
            for _ in range(5):
                if not np.array_equal(frames[index].picture.to_rgb(), wanted[index]):
                    wrong.append(index)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_importing_media_loads_neither_ffmpeg_nor_opencv() -> None:
    code = "import sys, streamproc.media, streamproc.sources.file, streamproc.sources.rtsp, streamproc.sources.camera"
    code += ", streamproc.sources.images, streamproc.sources.synthetic; print({'av', 'cv2'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def noisy(size: tuple[int, int], pixels: str = "yuv420p", **how: Any) -> AvPicture:
    """A picture with detail in light and colour, as a decoder would hold it."""
    import av

    rng = np.random.default_rng(4)
    coarse = rng.integers(0, 256, (size[1] // 8 + 1, size[0] // 8 + 1, 3), dtype=np.uint8)
    rgb = np.ascontiguousarray(np.kron(coarse, np.ones((8, 8, 1), np.uint8))[: size[1], : size[0]])
    return AvPicture(av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format=pixels, threads=1, **how))


@pytest.mark.parametrize("size", [(1280, 720), (641, 363)])
@pytest.mark.parametrize("pixels", ["yuv420p", "yuvj420p", "nv12", "yuv444p", "gray"])
def test_reduced_pictures_are_close_to_resized_ones(size: tuple[int, int], pixels: str) -> None:
    cache = PixelCache(noisy(size, pixels))
    reduced, resized = cache.reduced(320, 181), cache.resized(320, 181)
    assert reduced.shape == resized.shape == (181, 320, 3)
    assert np.abs(reduced.astype(int) - resized).mean() < 16  # at the borders of the coloured squares
    luma = np.array([0.299, 0.587, 0.114])
    assert np.abs(reduced @ luma - resized @ luma).mean() < 3


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("matrix", [BT601, BT709])
@pytest.mark.parametrize("extent", [LIMITED, FULL])
def test_a_reduced_picture_keeps_matrix_and_range(colour: tuple[int, int, int], matrix: int, extent: int) -> None:
    picture = plain(colour, "yuv420p", size=(66, 34), dst_colorspace=matrix, dst_color_range=extent)
    full = picture.to_rgb().astype(int)
    assert np.abs(PixelCache(picture).reduced(20, 10).astype(int) - full[0, 0]).max() <= 3


def test_reduced_grows_nothing_and_turns_with_the_picture() -> None:
    larger = PixelCache(noisy((64, 48)))
    assert np.array_equal(larger.reduced(128, 96), larger.resized(128, 96))
    picture = noisy((64, 48))
    turned = PixelCache(AvPicture(picture._frame, Orientation(90)))
    assert np.array_equal(turned.reduced(24, 32), turned.resized(24, 32))


def carried(pixels: PixelCache) -> AvPicture:
    """The picture out of a file of plain arrays."""
    arrays = pack_picture(pixels.carried())
    assert arrays is not None
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    file.seek(0)
    with np.load(file, allow_pickle=False) as loaded:
        return unpack_picture(dict(loaded))


def test_arrays_that_are_no_picture_are_refused() -> None:
    arrays = pack_picture(noisy((32, 24)))
    assert arrays is not None
    about = np.frombuffer(b'[["no such format", 32, 24, 5, 1], 0, [32, 24]]', np.uint8)
    for broken in ({}, {**arrays, "plane0": arrays["plane0"][:3]}, {**arrays, "about": about}):
        with pytest.raises(ValueError):
            unpack_picture(broken)


@pytest.mark.parametrize("pixels", ["yuv420p", "yuvj420p", "yuv444p", "nv12", "yuv420p10le", "p010le", "gray", "rgb24"])
@pytest.mark.parametrize("orientation", [Orientation(), Orientation(90), Orientation(0, mirrored=True)])
@pytest.mark.parametrize("way", ["pickle", "arrays"])
def test_another_process_sees_the_same_pixels(pixels: str, orientation: Orientation, way: str) -> None:
    here = PixelCache(AvPicture(noisy((322, 242), pixels)._frame, orientation))
    there = pickle.loads(pickle.dumps(here)) if way == "pickle" else PixelCache(carried(here))
    for form in ("rgb", "bgr", "gray"):
        assert np.array_equal(getattr(there, form)(), getattr(here, form)())
    assert np.array_equal(there.reduced(100, 75), here.reduced(100, 75))
    assert np.array_equal(there.resized(100, 75), here.resized(100, 75))
