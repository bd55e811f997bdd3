"""Masks and class maps by arithmetic: run lengths, regions, owners of pixels, and the memory over time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streamproc import PluginError
from streamproc_plugins.segmentation.classes import Classes, inner, without_small
from streamproc_plugins.segmentation.crops import Grid, crop_masks, window
from streamproc_plugins.segmentation.people import (
    MaskGrid,
    boxes_of,
    distances,
    embedding,
    enlarged,
    people_masks,
    segment_heads,
)
from streamproc_plugins.segmentation.rle import decode, encode, from_text, run_lengths, to_text
from streamproc_plugins.segmentation.running import begun, blended, carried, choice, shown, small_grid, weight_of
from tests.plugins.people import bodypix_maps, scored, standing

F32 = NDArray[np.float32]
GRID = (33, 33)


def bools(*rows: str) -> NDArray[np.bool_]:
    return np.array([[letter == "#" for letter in row] for row in rows])


# run lengths


@pytest.mark.parametrize(
    ("rows", "counts", "text"),
    [
        (("....", ".##.", ".##."), [4, 2, 1, 2, 3], "42102"),
        (("#.", "##"), [0, 2, 1, 1], "021O"),
        (("..", ".."), [4], "4"),
        (("##", "##"), [0, 4], "04"),
    ],
)
def test_runs_go_down_columns_from_zero(rows: tuple[str, ...], counts: list[int], text: str) -> None:
    mask = bools(*rows)
    assert encode(mask, compressed=False) == {"size": list(mask.shape), "counts": counts}
    assert encode(mask) == {"size": list(mask.shape), "counts": text}
    np.testing.assert_array_equal(decode(encode(mask)), mask)
    np.testing.assert_array_equal(decode(encode(mask, compressed=False)), mask)


@pytest.mark.parametrize("counts", [[0, 40, 100, 3], [31, 32, 1000, 1 << 20, 5], [1] * 9, []])
def test_the_compressed_form_keeps_every_number(counts: list[int]) -> None:
    assert from_text(to_text(counts)) == counts


def test_masks_survive_pycocotools_text() -> None:
    coco: Any = pytest.importorskip("pycocotools.mask", reason="pycocotools comes with the extra `eval`")
    rng = np.random.default_rng(0)
    for _ in range(60):
        small = rng.random(rng.integers(1, 20, 2)) < rng.random()
        mask = np.kron(small, np.ones(rng.integers(1, 30, 2), np.bool_))
        theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert encode(mask) == {"size": theirs["size"], "counts": theirs["counts"].decode()}
        np.testing.assert_array_equal(decode(theirs), mask)


@pytest.mark.parametrize("counts", ["421", "42102P", "4 2", [4, 2], [14, -2, 0]])
def test_runs_that_miss_the_size_are_refused(counts: Any) -> None:
    with pytest.raises(ValueError, match="cut off"):
        decode({"size": [3, 4], "counts": counts})


def test_a_stack_of_masks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3, 4\)"):
        encode(np.zeros((2, 3, 4)))
    assert run_lengths(np.zeros((0, 4))) == []


# classes


def test_labels_that_are_not_wanted_are_background() -> None:
    stored = Classes.of(("background", "cat", "dog", "cow"), ("cow", "cat"))
    assert stored.labels == ("background", "cat", "cow")
    assert stored.table.tolist() == [0, 1, 0, 2]


def test_a_net_without_a_background_gets_one() -> None:
    whole = Classes.of(("road", "car"), ())
    assert whole.labels == ("background", "road", "car")
    assert whole.table.tolist() == [1, 2]


def test_an_unknown_label_is_refused_with_the_nearest() -> None:
    with pytest.raises(PluginError, match="'persn'; did you mean 'person'"):
        Classes.of(("background", "person"), ("persn",))


def test_only_the_small_regions_of_a_class_go() -> None:
    found = np.zeros((20, 20), np.uint8)
    found[:5, :5], found[10:12, 10:12], found[5:7, :2] = 1, 1, 2
    out = without_small(found, 5)
    assert (out == 1).sum() == 25
    assert out[10, 10] == 0
    assert (out == 2).sum() == 0
    assert (found == 2).sum() == 4


def test_letterbox_bars_are_removed() -> None:
    ids = np.arange(100).reshape(10, 10)
    assert inner(ids, (100, 100), (50, 100)).shape == (5, 10)
    assert inner(ids, (100, 100), (1, 100)).shape == (1, 10)


# people


def test_pixel_goes_to_the_person_it_points_at() -> None:
    people = [standing(150, 150, 2), standing(330, 150, 2)]
    heads = segment_heads({name: values[0] for name, values in bodypix_maps(people, GRID).items()}, 16.0)
    points = np.stack([scored(person) for person in people])
    target = MaskGrid(width=256, height=256, scale_x=2 / 16, scale_y=2 / 16)
    masks = people_masks(heads, points, target, 0.5, 0.25)
    assert masks.shape == (2, 256, 256)
    assert not (masks[0] & masks[1]).any()
    for person, mask, other in zip(people, masks, masks[::-1], strict=True):
        columns, rows = (person / 2).astype(int).T
        assert mask[rows, columns].all()
        assert not other[rows, columns].any()


def test_touching_people_part_where_offsets_change() -> None:
    people = [standing(200, 150, 2), standing(270, 150, 2)]
    heads = segment_heads({name: values[0] for name, values in bodypix_maps(people, GRID).items()}, 16.0)
    points = np.stack([scored(person) for person in people])
    left, right = people_masks(
        heads, points, MaskGrid(width=512, height=512, scale_x=1 / 16, scale_y=1 / 16), 0.5, 0.25
    )
    assert left[300, 180:235].all()
    assert right[300, 266:290].all()
    assert abs(int(np.flatnonzero(left[300]).max()) - 250) <= 16  # where the maps say that the first one ends


def test_offsets_that_fall_short_are_led_on() -> None:
    person = standing(200, 150, 2)
    maps = bodypix_maps([person], GRID)
    short = segment_heads({n: v[0] * (0.7 if n == "float_long_offsets" else 1) for n, v in maps.items()}, 16.0)
    inside = short.person > 0.5
    once = distances(embedding(short, inside, 0, 0), scored(person)[None])
    led = distances(embedding(short, inside), scored(person)[None])
    assert np.median(led) < 0.3 * np.median(once)


def test_distant_pixels_belong_to_nobody() -> None:
    observed, unobserved = standing(130, 150, 2), standing(380, 150, 2)
    heads = segment_heads(
        {name: values[0] for name, values in bodypix_maps([observed, unobserved], GRID).items()}, 16.0
    )
    target = MaskGrid(width=512, height=512, scale_x=1 / 16, scale_y=1 / 16)
    (mask,) = people_masks(heads, scored(observed)[None], target, 0.5, 0.25)
    assert mask[200, 130]
    assert not mask[:, 300:].any()
    assert people_masks(heads, np.zeros((0, 17, 3), np.float32), target, 0.5, 0.25).shape == (0, 512, 512)


def test_enlarged_grid_has_its_corners_on_corners() -> None:
    ramp = np.tile(np.arange(5, dtype=np.float32), (3, 1))
    out = enlarged(ramp, MaskGrid(width=64, height=32, scale_x=1 / 16, scale_y=1 / 16))
    np.testing.assert_allclose(out[0], (np.arange(64) + 0.5) / 16, atol=0.02)
    half = MaskGrid(width=64, height=32, scale_x=1 / 16, scale_y=1 / 16).at_most(32)
    assert (half.width, half.height, half.scale_x) == (32, 16, 1 / 8)


def test_boxes_lie_round_the_masks() -> None:
    masks = np.stack([bools("....", ".##.", ".#.."), bools("....", "....", "....")])
    assert boxes_of(masks).tolist() == [[1, 1, 3, 3], [0, 0, 0, 0]]


# crops


def test_crops_stay_inside_and_are_never_empty() -> None:
    box = np.array([10, 20, 30, 60], np.float32)
    assert window(box, 1.5, 200, 200) == (5, 10, 35, 70)
    assert window(box, 1.5, 32, 64) == (5, 10, 32, 64)
    assert window(np.array([-9, -9, -5, -5], np.float32), 1.0, 32, 64) == (0, 0, 1, 1)


def test_mask_stays_in_its_box_surer_one_wins() -> None:
    boxes = np.array([[0, 0, 60, 80], [40, 0, 100, 80]], np.float32)
    windows = [window(box, 1.2, 100, 80) for box in boxes]
    answers = [np.full((8, 8), sure, np.float32) for sure in (0.6, 0.9)]
    grid = Grid(width=50, height=40, scale_x=0.5, scale_y=0.5)
    first, second = crop_masks(answers, windows, boxes, grid, 0.5)
    assert first[:, :20].all()
    assert not first[:, 20:].any()
    assert second[:, 20:].all()
    assert not second[:, :20].any()


# over time


def test_small_grid_has_the_shape_of_the_large() -> None:
    assert small_grid((513, 513), 256) == (256, 256)
    assert small_grid((90, 160), 256) == (90, 160)
    assert small_grid((270, 480), 256) == (144, 256)


def test_weight_follows_time_not_count() -> None:
    one = 1 - weight_of(400, 1000)
    assert one == pytest.approx((1 - weight_of(100, 1000)) ** 4)
    assert weight_of(1000, 1000) == pytest.approx(0.632, abs=1e-3)


def test_class_shown_once_takes_no_pixel() -> None:
    calm, odd = np.zeros((16, 16), np.uint8), np.full((16, 16), 3, np.uint8)
    good = np.ones((16, 16), np.bool_)
    memory = begun(calm, (16, 16))
    for result in (odd, calm, odd, calm, odd):
        memory = blended(memory, result, 0.3, good, 0.2)
        assert (shown(memory, (32, 32), 0.2) == 0).all()
    for _ in range(4):
        memory = blended(memory, odd, 0.3, good, 0.2)
    assert (shown(memory, (32, 32), 0.2) == 3).all()
    for _ in range(20):
        memory = blended(memory, odd, 0.3, good, 0.2)
    assert memory.classes == (3,)


def test_new_result_counts_alone_without_trusted_flow() -> None:
    good = np.ones((16, 16), np.bool_)
    good[:, 8:] = False
    memory = blended(begun(np.zeros((16, 16), np.uint8), (16, 16)), np.ones((16, 16), np.uint8), 0.1, good, 0.2)
    out = shown(memory, (16, 16), 0.2)
    assert (out[:, :8] == 0).all()
    assert (out[:, 8:] == 1).all()


def test_moved_classes_are_carried_along() -> None:
    before = np.zeros((32, 64), np.uint8)
    before[8:24, 10:20] = 2
    uv = np.zeros((16, 32, 2), np.float32)  # half the size: 4 of its pixels are 8 of the map's
    uv[..., 0] = 4
    moved, good = carried(begun(before, (32, 64)), uv, None)
    assert (shown(moved, (32, 64), 0.2) == np.roll(before, 8, axis=1)).mean() > 0.99
    assert not good[:, :7].any()
    assert good[:, 10:60].all()
    _, known = carried(begun(before, (32, 64)), uv, np.zeros((16, 32), np.bool_))
    assert not known.any()


def test_present_class_needs_less_to_stay() -> None:
    scores = np.array([[[120, 135]]], np.uint8)
    assert choice(scores, np.array([[0]], np.uint8), 0.1) == 0
    assert choice(scores, np.array([[0]], np.uint8), 0.0) == 1
    assert choice(scores, np.array([[2]], np.uint8), 0.9) == 1
