"""Pictures into net inputs and boxes back, against answers by arithmetic."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest

from streamproc.models import (
    Fit,
    InputSpec,
    centre_crop,
    fit_size,
    letterbox,
    prepare,
    prepare_frame,
    stretch,
    to_input,
)
from streamproc.testing import make_frame


def spec(**changes: Any) -> InputSpec:
    return InputSpec.model_validate({"height": 4, "width": 8, "layout": "NCHW", "colour": "rgb"} | changes)


@pytest.mark.parametrize(
    ("picture", "wanted"),
    [
        ((1920, 1080), (384, 640)),
        ((768, 432), (384, 640)),
        ((1080, 1920), (640, 384)),
        ((640, 480), (416, 576)),
        ((500, 500), (480, 480)),
        ((2560, 1080), (320, 768)),
    ],
)
def test_the_input_size_follows_the_pictures_shape(picture: tuple[int, int], wanted: tuple[int, int]) -> None:
    assert fit_size(*picture, pixels=384 * 640, multiple=32) == wanted


@pytest.mark.parametrize("picture", [(1920, 1080), (3, 1000), (1000, 3), (1, 1), (333, 777)])
@pytest.mark.parametrize("pixels", [1, 5000, 384 * 640])
def test_the_input_size_keeps_its_limits(picture: tuple[int, int], pixels: int) -> None:
    height, width = fit_size(*picture, pixels=pixels, multiple=32)
    assert height % 32 == width % 32 == 0
    assert height >= 32
    assert width >= 32
    assert height * width <= max(pixels, 32 * 32)


def test_letterboxed_picture_is_top_left_and_invertible() -> None:
    rgb = np.full((100, 400, 3), 200, np.uint8)
    image, fit = letterbox(rgb, (80, 200), pad=7)
    assert image.shape == (80, 200, 3)
    assert (image[:50] == 200).all()
    assert (image[50:] == 7).all()
    assert (fit.scale_x, fit.scale_y) == (0.5, 0.5)
    assert fit.boxes_back(np.array([[10, 20, 30, 40]], np.float32)).tolist() == [[20, 40, 60, 80]]
    assert fit.points_back(np.array([10, 20], np.float32)).tolist() == [20, 40]


def test_a_stretched_picture_has_two_scales() -> None:
    image, fit = stretch(np.zeros((100, 400, 3), np.uint8), (50, 100))
    assert image.shape == (50, 100, 3)
    assert fit == Fit(scale_x=0.25, scale_y=0.5)
    assert fit.boxes_back(np.array([[1, 2, 3, 4]])).tolist() == [[4, 4, 12, 8]]


def test_a_centre_crop_takes_the_middle() -> None:
    rgb = np.zeros((40, 80, 3), np.uint8)
    rgb[:, 30:50] = 255
    image, fit = centre_crop(rgb, (20, 20), fraction=0.5)  # the middle 20 x 20 pixels
    assert (image == 255).all()
    assert fit.boxes_back(np.array([[0, 0, 20, 20]])).tolist() == [[30, 10, 50, 30]]


@pytest.mark.parametrize(("colour", "wanted"), [("rgb", [1, 2, 3]), ("bgr", [3, 2, 1])])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_channels_are_ordered(colour: str, wanted: list[int], layout: Literal["NCHW", "NHWC"]) -> None:
    rgb = np.tile(np.array([1, 2, 3], np.uint8), (4, 8, 1))
    blob = to_input(rgb, spec(colour=colour, layout=layout))
    assert blob.dtype == np.float32
    assert blob.shape == ((1, 3, 4, 8) if layout == "NCHW" else (1, 4, 8, 3))
    assert (blob[0, :, 0, 0] if layout == "NCHW" else blob[0, 0, 0]).tolist() == wanted


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_mean_and_scale_by_channel(layout: Literal["NCHW", "NHWC"]) -> None:
    rgb = np.tile(np.array([10, 20, 30], np.uint8), (4, 8, 1))
    blob = to_input(rgb, spec(layout=layout, mean=(8, 16, 24), scale=(1, 0.5, 2)))
    assert (blob[0, :, 0, 0] if layout == "NCHW" else blob[0, 0, 0]).tolist() == [2, 2, 12]


@pytest.mark.parametrize("colour", ["rgb", "bgr"])
@pytest.mark.parametrize("mean", [(0, 0, 0), (1, 2, 3)])
def test_the_fast_way_gives_what_the_steps_give(colour: str, mean: tuple[int, int, int]) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    wanted = spec(colour=colour, resize="letterbox", mean=mean, pad=114)
    blob, fit = prepare(rgb, wanted, (32, 40))
    image, steps = letterbox(rgb, (32, 40), 114)
    np.testing.assert_array_equal(blob, to_input(image, wanted))
    assert fit == steps


def test_a_picture_is_not_written_to() -> None:
    rgb = np.full((8, 16, 3), 9, np.uint8)
    rgb.flags.writeable = False
    for kind in ("letterbox", "stretch", "crop"):
        prepare(rgb, spec(resize=kind, mean=(1, 1, 1)))
        prepare(rgb, spec(resize=kind, layout="NHWC"))
    assert (rgb == 9).all()


@pytest.mark.parametrize("size", [(640, 360), (60, 40)])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("resizing", ["letterbox", "stretch", "crop"])
def test_frame_fills_the_input_as_its_picture(
    size: tuple[int, int], layout: Literal["NCHW", "NHWC"], resizing: str
) -> None:
    wanted = spec(height=48, width=64, layout=layout, resize=resizing)
    rgb = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    frame = make_frame(rgb=rgb)
    from_frame, fit = prepare_frame(frame, wanted)
    from_array, fit_too = prepare(rgb, wanted)
    assert fit == fit_too
    assert np.array_equal(from_frame, from_array)


def test_net_gets_the_pixels_of_frames_and_clips() -> None:
    rgb = np.random.default_rng(4).integers(0, 256, (90, 150, 3), dtype=np.uint8)
    frame = make_frame(rgb=rgb)
    for height, width in ((60, 100), (45, 75), (30, 50), (120, 200)):
        prepared, _ = prepare(rgb, spec(height=height, width=width, layout="NHWC", colour="rgb", resize="stretch"))
        assert np.array_equal(prepared[0], frame.resized(width, height))
