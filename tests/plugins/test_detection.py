"""The detection plugin on nets built here, and on the real ones."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streamproc import (
    ArrayPicture,
    Detections,
    Frame,
    ModelError,
    PluginContext,
    PluginError,
    Results,
    StreamInfo,
)
from streamproc.frames import PixelCache
from streamproc.models import ModelStore
from streamproc.testing import check_plugin_contract
from streamproc_plugins.detection import Detection, DetectionOptions
from tests.nets import answering_net, brightness_net, model_folder


def frame_of(rgb: NDArray[np.uint8]) -> Frame:
    stream = StreamInfo(name="test", identity="test", width=rgb.shape[1], height=rgb.shape[0])
    return Frame(stream=stream, index=0, pts_ns=0, pixels=PixelCache(ArrayPicture(rgb)))


def opened(store: ModelStore, width: int, height: int, **options: Any) -> Detection:
    plugin = Detection(DetectionOptions.model_validate(options))
    stream = StreamInfo(name="test", identity="test", width=width, height=height)
    plugin.open(PluginContext(name="people", stream=stream, models=store, log=logging.getLogger("test")))
    return plugin


def detect(plugin: Detection, rgb: NDArray[np.uint8]) -> Detections:
    output = plugin.process(frame_of(rgb), Results())
    assert output is not None
    (found,) = output
    assert isinstance(found, Detections)
    return found


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(mirrors=(), cache=tmp_path / "cache", download=False)


@pytest.fixture
def spots(tmp_path: Path) -> str:
    """A model folder whose net finds white 8x8 blocks of a 64x96 input (labels spot, other)."""
    size = {"height": 64, "width": 96, "layout": "NCHW", "colour": "rgb", "resize": "letterbox", "pad": 0}
    labels = ["spot", "other"]
    folder = model_folder(tmp_path / "spots", brightness_net(64, 96, 2), decode="yolox", input=size, labels=labels)
    return str(folder)


def with_blocks(height: int, width: int, *blocks: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Black, with white rectangles (left, top, right, bottom)."""
    rgb = np.zeros((height, width, 3), np.uint8)
    for left, top, right, bottom in blocks:
        rgb[top:bottom, left:right] = 255
    return rgb


def test_boxes_are_in_source_pixels(store: ModelStore, spots: str) -> None:
    found = detect(opened(store, 192, 128, model=spots), with_blocks(128, 192, (32, 48, 48, 64)))
    assert found.xyxy.tolist() == [[32, 48, 48, 64]]
    assert found.label == ("spot",)
    assert found.score.tolist() == pytest.approx([1.0])


def test_letterboxed_boxes_end_at_the_picture_border(store: ModelStore, spots: str) -> None:
    # 96 x 60 fits 1:1, so the cells of the last row reach 4 pixels below the picture
    found = detect(opened(store, 96, 60, model=spots, min_score=0.2), with_blocks(60, 96, (8, 56, 16, 60)))
    assert found.xyxy.tolist() == [[8, 56, 16, 60]]


def test_an_empty_picture_gives_no_boxes(store: ModelStore, spots: str) -> None:
    assert len(detect(opened(store, 96, 64, model=spots), with_blocks(64, 96))) == 0


def test_scores_and_labels_filter(store: ModelStore, spots: str) -> None:
    rgb = with_blocks(64, 96, (8, 8, 16, 16))
    rgb[32:40, 32:40] = 190  # score (190 / 255) squared = 0.555
    assert len(detect(opened(store, 96, 64, model=spots, min_score=0.5), rgb)) == 2
    assert len(detect(opened(store, 96, 64, model=spots, min_score=0.6), rgb)) == 1
    assert len(detect(opened(store, 96, 64, model=spots, min_score=0.9, scores={"spot": 0.5}), rgb)) == 2
    assert len(detect(opened(store, 96, 64, model=spots, labels=["other"]), rgb)) == 0


def test_best_come_first_up_to_the_limit(store: ModelStore, spots: str) -> None:
    rgb = with_blocks(64, 96)
    for i in range(5):
        rgb[8:16, 16 * i : 16 * i + 8] = 200 + 10 * i
    found = detect(opened(store, 96, 64, model=spots, max_items=3), rgb)
    assert found.xyxy[:, 0].tolist() == [64, 48, 32]


def test_tiles_find_small_objects(store: ModelStore, spots: str) -> None:
    # at 384 x 256 a block of 8 pixels is 2 pixels of the net's input: too little of a cell
    rgb = with_blocks(256, 384, (32, 32, 48, 48), (200, 120, 208, 128))
    assert len(detect(opened(store, 384, 256, model=spots, min_score=0.9), rgb)) == 0
    plugin = opened(store, 384, 256, model=spots, min_score=0.9, tiles={"columns": 4, "rows": 4, "overlap": 0})
    found = detect(plugin, rgb)
    assert sorted(found.xyxy.tolist()) == [[32, 32, 40, 40], [32, 40, 40, 48], [40, 32, 48, 40], [40, 40, 48, 48],
                                           [200, 120, 208, 128]]  # fmt: skip


def test_object_in_overlapping_tiles_is_given_once(store: ModelStore, spots: str) -> None:
    tiles = {"columns": 2, "rows": 1, "overlap": 0.5}
    # tiles of 96 pixels from 0 and 48; both contain the block, the whole picture at 2/3 loses it
    plugin = opened(store, 144, 64, model=spots, min_score=0.9, tiles=tiles)
    found = detect(plugin, with_blocks(64, 144, (64, 16, 72, 24)))
    assert found.xyxy.tolist() == [[64, 16, 72, 24]]


def test_unknown_label_is_refused_with_the_nearest(store: ModelStore, spots: str) -> None:
    with pytest.raises(PluginError, match=r"spots has no label 'spto'; did you mean 'spot'\?.*knows spot, other"):
        opened(store, 96, 64, model=spots, labels=["spto"])
    with pytest.raises(PluginError, match="no label 'spott'"):
        opened(store, 96, 64, model=spots, scores={"spott": 0.5})


def test_net_with_other_outputs_is_refused_with_shapes(store: ModelStore, tmp_path: Path) -> None:
    size = {"height": 64, "width": 96, "layout": "NCHW", "colour": "rgb"}
    net = answering_net({"out": np.zeros((1, 100, 7), np.float32)}, (1, 3, 64, 96))
    folder = model_folder(tmp_path / "odd", net, decode="yolox", input=size, labels=["a", "b"])
    with pytest.raises(ModelError, match=r"gives out float32 \(1, 100, 7\), expected output #0 of shape \(1, 126, 7\)"):
        opened(store, 96, 64, model=str(folder))


def vehicle_net(folder: Path, decode: str, min_score: float | None = None) -> str:
    """A model folder that finds a car and, on nearly the same place, a truck, whatever the picture."""
    boxes = np.array([[10, 10, 60, 50, 0.8], [11, 10, 61, 51, 0.6]], np.float32)
    if decode == "openvino-boxes":
        answers: dict[str, NDArray[Any]] = {"boxes": boxes, "labels": np.array([0, 1], np.int64)}
    else:
        cells = np.zeros((1, 126, 7), np.float32)
        for row, (left, top, right, bottom, score) in enumerate(boxes.tolist()):
            place = ((left + right) / 16 - row, (top + bottom) / 16, *np.log([(right - left) / 8, (bottom - top) / 8]))
            cells[0, row] = [*place, score, *([1, 0] if row == 0 else [0, 1])]
        answers = {"out": cells}
    size = {"height": 64, "width": 96, "layout": "NCHW", "colour": "rgb", "resize": "letterbox", "pad": 0}
    extra = {} if min_score is None else {"min_score": min_score}
    net = answering_net(answers, (1, 3, 64, 96))
    return str(model_folder(folder, net, decode=decode, input=size, labels=["car", "truck"], **extra))


@pytest.mark.parametrize("decode", ["yolox", "openvino-boxes"])
@pytest.mark.parametrize("tiles", [None, {"columns": 2, "rows": 1}])
def test_rival_labels_leave_one_box(
    store: ModelStore, tmp_path: Path, decode: str, tiles: dict[str, int] | None
) -> None:
    model, black = vehicle_net(tmp_path / "vehicles", decode), np.zeros((64, 96, 3), np.uint8)
    apart = detect(opened(store, 96, 64, model=model, tiles=tiles), black)
    one = detect(opened(store, 96, 64, model=model, tiles=tiles, nms_across_labels=True), black)
    assert set(apart.label) == {"car", "truck"}
    assert set(one.label) == {"car"}


@pytest.mark.parametrize(("stated", "expected"), [(0.25, 0.25), (None, 0.4), (0.0, 0.01)])
def test_working_score_goes_with_the_boxes(
    store: ModelStore, tmp_path: Path, stated: float | None, expected: float
) -> None:
    model = vehicle_net(tmp_path / "vehicles", "yolox", min_score=stated)
    found = detect(opened(store, 96, 64, model=model, min_score=0.1), np.zeros((64, 96, 3), np.uint8))
    assert len(found) == 2
    assert found.operating_score == expected
    assert found[:1].operating_score == expected


def test_a_model_for_something_else_is_refused(store: ModelStore) -> None:
    with pytest.raises(ModelError, match="mobilenet-v2 is for classification"):
        opened(store, 96, 64, model="mobilenet-v2")


def test_other_input_size_is_refused_if_fixed(store: ModelStore, spots: str) -> None:
    with pytest.raises(ModelError, match="has 64x96 only, got the input size 128x192"):
        opened(store, 96, 64, model=spots, input_size=[128, 192])
    with pytest.raises(ModelError, match="64x96 only; leave `detail` out"):
        opened(store, 96, 64, model=spots, detail="high")


@pytest.mark.parametrize(
    "wrong", [{"min_score": 1.5}, {"scores": {"a": 2}}, {"tiles": {"columns": 1, "rows": 1}}, {"modle": "x"}]
)
def test_options_have_limits(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DetectionOptions.model_validate(wrong)


def test_plugin_meets_the_contract(store: ModelStore, spots: str) -> None:
    frames = [frame_of(with_blocks(64, 96, (8 * i, 8, 8 * i + 8, 16))) for i in range(6)]
    check_plugin_contract(Detection, frames, models=store, model=spots)


def picture(shared: Path, name: str) -> NDArray[np.uint8]:
    import cv2

    bgr = np.asarray(cv2.imread(str(shared / "models" / "pictures" / name)), dtype=np.uint8)
    return np.ascontiguousarray(bgr[..., ::-1])


@pytest.fixture
def real(shared: Path, tmp_path: Path) -> ModelStore:
    return ModelStore(mirrors=(shared / "models",), cache=tmp_path / "cache", download=False)


@pytest.mark.real
@pytest.mark.parametrize("model", ["yolox-nano", "yolox-nano-tflite", "yolox-nano-tflite-small", "fastestdet"])
@pytest.mark.parametrize(
    ("name", "label", "boxes"),
    [
        ("bird_segmentation.bmp", "bird", [[80, 75, 478, 410]]),
        ("posenet_test_image.bmp", "person", [[203, 104, 312, 409], [309, 118, 425, 405]]),
        ("pets.jpg", "dog", [[109, 34, 260, 297], [344, 168, 495, 369]]),
    ],
)
def test_real_nets_detect_the_objects(
    model: str, name: str, label: str, boxes: list[list[int]], real: ModelStore, shared: Path
) -> None:
    from streamproc.geometry import iou

    rgb = picture(shared, name)
    plugin = opened(real, rgb.shape[1], rgb.shape[0], model=model, labels=[label], min_score=0.6)
    found = detect(plugin, rgb)
    assert len(found) == len(boxes)
    assert (iou(np.array(boxes, np.float32), found.xyxy).max(axis=1) > 0.75).all()


@pytest.mark.real
@pytest.mark.parametrize("model", ["yolox-nano", "yolox-nano-tflite-small"])
def test_real_nets_meet_the_plugin_contract(model: str, real: ModelStore, shared: Path) -> None:
    rgb = picture(shared, "face.jpg")
    frames = [frame_of(np.ascontiguousarray(rgb[:, 20 * i :])) for i in range(3)]
    check_plugin_contract(Detection, frames, models=real, model=model)


@pytest.mark.real
def test_a_second_run_gives_the_same_bytes(real: ModelStore, shared: Path) -> None:
    rgb = picture(shared, "face.jpg")
    plugin = opened(real, rgb.shape[1], rgb.shape[0], min_score=0.05)
    first, second = detect(plugin, rgb), detect(plugin, rgb)
    assert len(first) > 3
    assert first.xyxy.tobytes() == second.xyxy.tobytes()
    assert first.score.tobytes() == second.score.tobytes()


@pytest.mark.real
def test_openvino_finds_vehicles(real: ModelStore, shared: Path) -> None:
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("OpenVINO is not installed: pip install 'streamproc[openvino]'")
    rgb = picture(shared, "cityscapes_segmentation.bmp")
    found = detect(opened(real, rgb.shape[1], rgb.shape[0], model="person-vehicle-bike"), rgb)
    assert set(found.label) == {"vehicle"}
    assert len(found) == 2


@pytest.mark.real
def test_yolox_nano_finds_only_the_people(real: ModelStore, shared: Path) -> None:
    import json

    import av

    truth = json.loads((shared / "media" / "truth.json").read_text())["cctv_one_by_one.mp4"]
    visits = [(v["first"] + 5, v["last"] - 5) for v in truth["visits"][:2]]
    plugin = opened(real, 768, 432, labels=["person"], min_score=0.4)
    observed: dict[str, list[int]] = {"visit": [], "empty": []}
    with av.open(str(shared / "media" / "cctv_one_by_one.mp4")) as clip:
        for index, picture in enumerate(clip.decode(video=0)):
            if index > 450:
                break
            inside = any(first <= index <= last for first, last in visits)
            if index % 10 or not (inside or any(first < index < last for first, last in truth["empty"])):
                continue
            count = len(detect(plugin, np.asarray(picture.to_ndarray(format="rgb24"), np.uint8)))
            observed["visit" if inside else "empty"].append(count)
    assert set(observed["visit"]) == {1}
    assert set(observed["empty"]) == {0}
