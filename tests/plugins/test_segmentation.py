"""The plugins `segmentation` and `instances`, on nets built here and on the real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from streamproc import Detections, MissingInput, PluginError, Poses, Segmentation, StreamprocError
from streamproc.models import ModelStore
from streamproc.testing import make_detections, make_frame, make_tracks, run_plugin
from streamproc_plugins.detection import Detection
from streamproc_plugins.pose import Pose
from streamproc_plugins.segmentation import Instances, SegmentationPlugin
from tests.nets import answering_net, brightness_map, model_folder
from tests.plugins.people import bodypix_maps, standing

Image = NDArray[np.uint8]

INPUT = {"height": 64, "width": 96, "layout": "NCHW", "colour": "rgb"}
LABELS = {"ids": ["dark", "bright"], "scores": ["dark", "bright"], "probability": ["bright"]}


def net(folder: Path, form: str, **spec: Any) -> str:
    decode = "probability" if form == "probability" else "argmax"
    return str(
        model_folder(
            folder / form, brightness_map(64, 96, form), decode=decode, labels=LABELS[form], input={**INPUT, **spec}
        )
    )


def half_bright(height: int = 128, width: int = 192) -> Image:
    """Black, the right half white."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[:, width // 2 :] = 255
    return rgb


@pytest.mark.parametrize("form", ["ids", "scores", "probability"])
def test_every_output_form_becomes_a_class_map(tmp_path: Path, form: str) -> None:
    (found,) = run_plugin(SegmentationPlugin, [make_frame(rgb=half_bright())], model=net(tmp_path, form)).all(
        Segmentation
    )
    assert found.class_map.shape == (64, 96)
    assert found.labels == (("background", *LABELS[form]))
    names = np.array(found.labels)[found.class_map]
    assert (names[:, :48] == ("background" if form == "probability" else "dark")).all()
    assert (names[:, 48:] == "bright").all()


def test_only_chosen_labels_remain(tmp_path: Path) -> None:
    model = net(tmp_path, "ids")
    (found,) = run_plugin(SegmentationPlugin, [make_frame(rgb=half_bright())], model=model, labels=["bright"]).all(
        Segmentation
    )
    assert found.labels == ("background", "bright")
    assert found.class_map.mean() == 0.5
    with pytest.raises(PluginError, match="did you mean 'bright'"):
        run_plugin(SegmentationPlugin, [make_frame(rgb=half_bright())], model=model, labels=["brigt"])


def test_a_letterboxed_picture_is_covered_whole(tmp_path: Path) -> None:
    rgb = half_bright(300, 100)  # a high one: two thirds of the input are bars
    model = net(tmp_path, "probability", resize="letterbox", pad=255)
    (found,) = run_plugin(SegmentationPlugin, [make_frame(rgb=rgb)], model=model).all(Segmentation)
    height, width = found.class_map.shape
    assert abs(height / width - 3) < 0.2
    assert found.class_map.mean() == pytest.approx(0.5, abs=0.05)


def test_small_regions_become_background(tmp_path: Path) -> None:
    rgb = np.zeros((64, 96, 3), np.uint8)
    rgb[:32, :32], rgb[50:53, 50:53] = 255, 255
    model = net(tmp_path, "probability")
    (found,) = run_plugin(SegmentationPlugin, [make_frame(rgb=rgb)], model=model, min_area=0.01).all(Segmentation)
    assert found.class_map.sum() == 32 * 32


def test_the_threshold_says_what_is_probable_enough(tmp_path: Path) -> None:
    model, frame = net(tmp_path, "probability"), make_frame(fill=160, info=None)
    for threshold, part in ((0.5, 1), (0.7, 0)):
        (found,) = run_plugin(SegmentationPlugin, [frame], model=model, threshold=threshold).all(Segmentation)
        assert found.class_map.mean() == part


def refused(folder: Path, content: bytes, message: str, **entry: Any) -> None:
    model = str(model_folder(folder, content, **{"decode": "argmax", "labels": ["a", "b"], "input": INPUT, **entry}))
    with pytest.raises(StreamprocError, match=message):
        run_plugin(SegmentationPlugin, [make_frame()], model=model)


def test_net_of_other_shape_is_refused_with_shapes(tmp_path: Path) -> None:
    good = brightness_map(64, 96, "ids")
    wide = {**INPUT, "width": 128}
    refused(tmp_path / "a", good, r"float32 \(1, 3, 64, 96\), its entry says NCHW with 64x128", input=wide)
    small = {**INPUT, "dtype": "uint8"}
    says = r"takes images float32 \(1, 3, 64, 96\), but its manifest says uint8 \(1, 3, 64, 96\)"
    refused(tmp_path / "f", good, says, input=small)
    refused(tmp_path / "b", good, "decode 'yolox'.*such as deeplab-voc", decode="yolox")
    refused(tmp_path / "c", good, "middle of the picture only", input={**INPUT, "resize": "crop"})
    refused(tmp_path / "d", good, "2 labels, but `decode` says 'probability'", decode="probability")
    three = brightness_map(64, 96, "scores")
    refused(tmp_path / "e", three, r"map float32 \(1, 2, 64, 96\), expected output #0 .*3\)", labels=["a", "b", "c"])


def test_impossible_net_answer_is_an_error(tmp_path: Path) -> None:
    shape = (1, 3, 64, 96)
    nan = answering_net({"map": np.full((1, 2, 8, 8), np.nan, np.float32)}, shape)
    refused(tmp_path / "a", nan, "not finite")
    far = answering_net({"map": np.full((1, 8, 8), 7, np.int64)}, shape)
    refused(tmp_path / "b", far, "gave the class 7, but the model has 2 labels")


def person_net(folder: Path) -> str:
    """Says that two people stand side by side, in a square picture of 512."""
    maps = bodypix_maps([standing(150, 150, 2), standing(330, 150, 2)], (33, 33))
    spec = {"height": 512, "width": 512, "layout": "NCHW", "colour": "rgb", "resize": "letterbox"}
    return str(
        model_folder(folder / "people", answering_net(maps, (1, 3, 512, 512)), decode="bodypix", labels=[], input=spec)
    )


def test_people_have_masks_and_boxes(tmp_path: Path) -> None:
    rgb = np.zeros((300, 400, 3), np.uint8)
    (found,) = run_plugin(Instances, [make_frame(rgb=rgb)], model=person_net(tmp_path)).all(Detections)
    assert found.label == ("person", "person")
    assert found.masks is not None
    assert found.masks.shape == (2, 300, 400)
    scale = 400 / 512
    for mask, box, x in zip(found.masks, found.xyxy, sorted([150, 330], key=lambda x: x != 150), strict=True):
        rows, columns = np.nonzero(mask)
        assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert mask[round(200 * scale), round(x * scale)]
        assert abs(box[1] - (146 - 16) * scale) < 12


def test_masks_can_be_smaller_than_the_picture(tmp_path: Path) -> None:
    frame, model = make_frame(rgb=np.zeros((300, 400, 3), np.uint8)), person_net(tmp_path)
    (whole,) = run_plugin(Instances, [frame], model=model).all(Detections)
    (small,) = run_plugin(Instances, [frame], model=model, mask_side=100).all(Detections)
    assert small.masks is not None
    assert small.masks.shape == (2, 75, 100)
    assert np.abs(small.xyxy - whole.xyxy).max() <= 6


def test_people_who_are_too_small_are_dropped(tmp_path: Path) -> None:
    frame, model = make_frame(rgb=np.zeros((300, 400, 3), np.uint8)), person_net(tmp_path)
    (none,) = run_plugin(Instances, [frame], model=model, min_area=0.5).all(Detections)
    assert len(none) == 0
    assert none.masks is not None
    assert none.masks.shape == (0, 300, 400)


def test_each_box_gets_a_mask_of_its_own(tmp_path: Path) -> None:
    rgb = np.zeros((100, 200, 3), np.uint8)
    rgb[20:80, 20:50], rgb[20:80, 120:150] = 255, 255
    boxes = make_detections([10, 10, 60, 90], [110, 10, 160, 90])
    model = net(tmp_path, "probability")
    (found,) = run_plugin(Instances, [make_frame(rgb=rgb)], past=[[boxes]], mode="crops", model=model).all(Detections)
    assert found.masks is not None
    assert np.abs(found.xyxy - [[20, 20, 50, 80], [120, 20, 150, 80]]).max() <= 1
    assert (found.masks.any(axis=0) == (rgb[..., 0] > 0)).mean() > 0.99


def test_predicted_boxes_get_no_mask(tmp_path: Path) -> None:
    rgb, model = np.full((100, 200, 3), 255, np.uint8), net(tmp_path, "probability")
    lost = make_tracks({4: [10, 10, 60, 90]}, state="lost")
    run = run_plugin(Instances, [make_frame(rgb=rgb)], past=[[lost]], mode="crops", model=model)
    assert len(run.all(Detections)[0]) == 0
    with pytest.raises(MissingInput, match="mode: people"):
        run_plugin(Instances, [make_frame(rgb=rgb)], mode="crops", model=model)


def test_a_model_for_the_other_mode_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="whose decode is bodypix, such as bodypix"):
        run_plugin(Instances, [make_frame()], model=net(tmp_path, "probability"))
    maps = {name: v for name, v in bodypix_maps([standing(9, 9)], (5, 5)).items() if "long" not in name}
    spec = {"height": 64, "width": 64, "layout": "NCHW", "colour": "rgb"}
    pose_only = model_folder(tmp_path / "m", answering_net(maps, (1, 3, 64, 64)), decode="bodypix", input=spec)
    with pytest.raises(PluginError, match=r"expected output float_long_offsets of shape .*34"):
        run_plugin(Instances, [make_frame()], model=str(pose_only))


# the real nets


def picture(shared: Path, name: str) -> Image:
    bgr = cv2.imread(str(shared / "models" / "pictures" / name))
    assert bgr is not None
    return np.ascontiguousarray(bgr[..., ::-1], np.uint8)


def store(shared: Path, tmp_path: Path) -> ModelStore:
    return ModelStore(mirrors=[shared / "models"], cache=tmp_path / "cache", download=False)


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


def segmented(shared: Path, tmp_path: Path, name: str, **options: Any) -> tuple[Segmentation, NDArray[Any]]:
    """The net's answer, and the truth, on one grid."""
    frame = make_frame(rgb=picture(shared, name + ".bmp"))
    (found,) = run_plugin(SegmentationPlugin, [frame], models=store(shared, tmp_path), **options).all(Segmentation)
    truth = cv2.imread(str(shared / "models" / "pictures" / f"{name}_mask.bmp"), cv2.IMREAD_GRAYSCALE)
    assert truth is not None
    return found, truth


@pytest.mark.real
@pytest.mark.parametrize(("model", "least"), [("deeplab-voc", 0.90), ("deeplab-voc-small", 0.81)])
def test_a_bird_is_where_the_truth_says(shared: Path, tmp_path: Path, model: str, least: float) -> None:
    found, truth = segmented(shared, tmp_path, "bird_segmentation", model=model)
    assert iou(found.class_map == found.labels.index("bird"), truth == found.labels.index("bird")) > least


@pytest.mark.real
def test_a_street_is_where_the_truth_says(shared: Path, tmp_path: Path) -> None:
    wanted = {"road": (0, 0.91), "building": (2, 0.83), "vegetation": (8, 0.89), "car": (13, 0.85)}
    found, truth = segmented(
        shared, tmp_path, "cityscapes_segmentation", model="deeplab-cityscapes", labels=list(wanted)
    )
    assert found.labels == ("background", *wanted)
    for label, (number, least) in wanted.items():
        assert iou(found.class_map == found.labels.index(label), truth == number) > least, label


@pytest.mark.real
@pytest.mark.parametrize(("name", "people"), [("squat.bmp", 1), ("posenet_test_image.bmp", 2)])
def test_both_modes_agree_on_clear_people(shared: Path, tmp_path: Path, name: str, people: int) -> None:
    models, frame = store(shared, tmp_path), make_frame(rgb=picture(shared, name))
    (boxes,) = run_plugin(Detection, [frame], models=models, labels=["person"]).all(Detections)
    (whole,) = run_plugin(Instances, [frame], models=models).all(Detections)
    (crops,) = run_plugin(Instances, [frame], past=[[boxes]], models=models, mode="crops").all(Detections)
    (poses,) = run_plugin(Pose, [frame], past=[[boxes]], models=models).all(Poses)
    assert len(whole) == len(crops) == len(poses.score) == people
    assert whole.masks is not None
    assert crops.masks is not None
    fit = np.array([[iou(one, other) for other in crops.masks] for one in whole.masks])
    assert fit.max(axis=1).min() > 0.75
    x, y = (poses.keypoints[:, 5:, axis].astype(int) for axis in (0, 1))
    inside = whole.masks[:, y, x].mean(axis=2)  # (mask, pose)
    assert inside.max(axis=0).min() > 0.75
    assert np.sort(inside, axis=0)[:-1].max(initial=0) == 0


@pytest.mark.real
def test_selfie_finds_the_person_near_the_camera(shared: Path, tmp_path: Path) -> None:
    frame = make_frame(rgb=picture(shared, "grace_hopper.bmp"))
    (found,) = run_plugin(SegmentationPlugin, [frame], models=store(shared, tmp_path), model="selfie").all(Segmentation)
    assert found.labels == ("background", "person")
    rows, columns = found.class_map.shape
    assert found.class_map[rows // 2, columns // 2] == 1
    assert 0.3 < found.class_map.mean() < 0.8
    assert not found.class_map[: rows // 20, : columns // 20].any()
