"""Boxes and keypoints in COCO's form: pycocotools' figures on answers known by arithmetic, and errors."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pycocotools.mask
import pytest

from streamproc.evaluation.coco import evaluate
from streamproc.evaluation.coco_forms import prepare

BOX = [10.0, 20.0, 100.0, 50.0]
POINTS = [value for i in range(17) for value in (10 + 5 * i, 20 + 2 * i, 2)]


def truth(count: int = 1) -> dict[str, Any]:
    notes = [
        {"image_id": n, "category_id": 1, "bbox": BOX, "area": 5000.0, "keypoints": POINTS, "num_keypoints": 17}
        for n in range(count)
    ]
    images = [{"id": n, "width": 200, "height": 100} for n in range(count)]
    return {"images": images, "categories": [{"id": 1, "name": "person"}], "annotations": notes}


def found(image: int = 0, score: float = 0.9, **parts: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": 1, "score": score} | parts


def test_box_scores_one_and_iou_07_scores_half() -> None:
    assert evaluate(truth(), [found(bbox=BOX)], "bbox").figures["AP"] == pytest.approx(1)
    report = evaluate(truth(), [found(bbox=[10.0, 20.0, 72.0, 50.0])], "bbox")  # IoU 0.72: over 0.50 to 0.70
    assert report.figures["AP"] == pytest.approx(0.5, abs=1e-6)
    assert (report.figures["AP50"], report.figures["AP75"]) == pytest.approx((1, 0))


def test_half_of_the_objects_is_half_recall() -> None:
    report = evaluate(truth(2), [found(bbox=BOX)], "bbox")
    assert report.figures["AR 100"] == pytest.approx(0.5)
    # precision 1 up to the recall of 0.5: 51 of the 101 points of the curve
    assert report.figures["AP"] == pytest.approx(51 / 101)
    assert (report.objects, report.found) == (2, 1)
    assert report.classes["person"] == pytest.approx(51 / 101)


def test_keypoints_are_scored_by_oks() -> None:
    assert evaluate(truth(), [found(keypoints=POINTS)], "keypoints").figures["AP"] == pytest.approx(1)
    far = [value + (60 if i % 3 < 2 else 0) for i, value in enumerate(POINTS)]
    assert evaluate(truth(), [found(keypoints=far)], "keypoints").figures["AP50"] == pytest.approx(0)


def test_nothing_found_scores_nothing() -> None:
    report = evaluate(truth(), [], "bbox")
    assert report.figures["AP"] == pytest.approx(0)
    assert json.loads(report.to_json())["figures"]["AP small"] is None


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (found(image=5, bbox=BOX), "picture 5"),
        (found(bbox=[1, 2, 3]), "box of 3 numbers"),
        (found(bbox=[1, 2, float("nan"), 4]), "not finite"),
        ({"image_id": 0}, "no score, bbox, category_id"),
        (found(bbox=BOX) | {"category_id": 3}, "category 3"),
    ],
)
def test_results_that_do_not_fit_are_refused(item: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(truth(), [item], "bbox")


def test_a_truth_of_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="expected COCO's images, annotations and categories"):
        evaluate([], [], "bbox")
    with pytest.raises(ValueError, match="no annotations"):
        evaluate(truth() | {"annotations": []}, [], "bbox")


@pytest.mark.parametrize(
    "ids",
    [[0, 1, 2], [1, 1, 1], [7, None, 7], ["x1", "x2", "x3"], [2**60 + 1, 2**60 + 2, 2**60 + 3], [-1, 0, "a"]],
    ids=str,
)
@pytest.mark.parametrize("kind", ["bbox", "keypoints", "segm"])
def test_perfect_results_score_one_with_any_ids(ids: list[Any], kind: Any) -> None:
    known, answers = truth(3), []
    for row, number in zip(known["annotations"], ids, strict=True):
        row |= {"id": number, "segmentation": [[10.0, 20.0, 110.0, 20.0, 110.0, 70.0, 10.0, 70.0]]}
        parts: dict[str, Any] = {"bbox": BOX, "keypoints": POINTS, "segmentation": mask()}
        key = "segmentation" if kind == "segm" else kind
        answers.append(found(image=row["image_id"], **{key: parts[key]}))
    assert evaluate(known, answers, kind).figures["AP"] == pytest.approx(1)


def mask(height: int = 100) -> dict[str, Any]:
    """The mask of `BOX` as compressed RLE."""
    pixels = np.zeros((height, 200), np.uint8, order="F")
    pixels[20:70, 10:110] = 1
    encoded = pycocotools.mask.encode(pixels)
    return {"size": list(encoded["size"]), "counts": encoded["counts"].decode()}


@pytest.mark.parametrize(("pictures", "categories"), [(["b.jpg", "a.jpg"], ["dog", "cat"]), ([0, "a"], [0, "one"])])
def test_pictures_and_categories_may_be_named_by_texts(pictures: list[Any], categories: list[Any]) -> None:
    notes = [
        {"id": n, "image_id": picture, "category_id": category, "bbox": BOX}
        for n, (picture, category) in enumerate(zip(pictures, categories, strict=True))
    ]
    known = {
        "images": [{"id": name} for name in pictures],
        "categories": [{"id": name, "name": f"a {name}"} for name in categories],
        "annotations": notes,
    }
    answers = [{**note, "score": 0.9} for note in notes]
    report = evaluate(known, answers, "bbox")
    assert report.figures["AP"] == pytest.approx(1)
    assert set(report.classes) == {f"a {name}" for name in categories}


def test_categories_of_one_name_are_distinguished() -> None:
    known = truth(2)
    known["categories"].append({"id": 2, "name": "person"})
    known["annotations"][1]["category_id"] = 2
    report = evaluate(known, [found(bbox=BOX)], "bbox")
    assert report.classes == {"person (1)": pytest.approx(1), "person (2)": pytest.approx(0)}


def test_left_out_results_are_named_in_a_note() -> None:
    known = truth(2)
    del known["images"][1]
    report = evaluate(known, [found(bbox=BOX)], "bbox")
    assert report.figures["AP"] == pytest.approx(1)
    assert report.notes == (
        "1 annotations are of pictures or categories that the truth doesn't list; they aren't scored",
    )
    assert "note: 1 annotations" in report.table()
    known = truth()
    known["annotations"][0]["segmentation"] = mask()
    report = evaluate(known, [found(segmentation=mask(height=80))], "segm")
    assert report.figures["AP"] == pytest.approx(0)
    assert report.notes == ("1 results have masks of another size than their picture; they match nothing",)


def test_unnamed_categories_go_by_id_unlisted_are_dropped() -> None:
    known = truth(2)
    known["categories"] = [{"id": 1}]
    known["annotations"][1]["category_id"] = 9
    report = evaluate(known, [found(bbox=BOX)], "bbox")
    assert report.classes == {"1": pytest.approx(1)}
    assert report.objects == 1
    assert "1 annotations are of pictures or categories" in report.notes[0]


def test_missing_mask_area_is_measured() -> None:
    known = truth()
    row = known["annotations"][0]
    del row["area"], row["bbox"]
    row["segmentation"] = mask()
    figures = evaluate(known, [found(segmentation=mask())], "segm").figures
    assert figures["AP medium"] == pytest.approx(1)  # 5,000 square pixels


@pytest.mark.parametrize(
    ("kind", "change", "result", "message"),
    [
        ("segm", {"segmentation": []}, {}, r"annotation 0 of the truth has the segmentation \[\]"),
        ("segm", {"segmentation": None}, {}, "annotation 0 of the truth has the segmentation None"),
        ("segm", {}, {"segmentation": [[1.0, 1.0, 9.0, 1.0, 9.0, 9.0]]}, "result 0 .* expected compressed RLE"),
        ("bbox", {"iscrowd": None}, {}, "iscrowd None, expected 0 or 1"),
        ("bbox", {"area": None}, {}, "area None, expected square pixels"),
        ("bbox", {"bbox": None}, {}, "bbox null"),
        ("bbox", {}, {"bbox": ["10", "20", "100", "50"]}, "result 0 has values in bbox that are no numbers"),
        ("bbox", {}, {"score": "high"}, "score 'high'"),
        ("bbox", {}, {"image_id": "0"}, "picture '0', which the truth doesn't have; an id there is 0"),
        ("bbox", {}, {"image_id": [0]}, r"picture \[0\]"),
        ("keypoints", {"keypoints": POINTS[:39]}, {}, "annotation 0 of the truth has 13 keypoints, expected 17"),
        ("keypoints", {}, {"keypoints": POINTS[:39]}, "result 0 has 13 keypoints, expected 17"),
    ],
)
def test_results_pycocotools_refuses_are_refused(
    kind: Any, change: dict[str, Any], result: dict[str, Any], message: str
) -> None:
    known = truth()
    known["annotations"][0] |= {"segmentation": mask()} | change
    answer = found(bbox=BOX, keypoints=POINTS, segmentation=mask()) | result
    with pytest.raises(ValueError, match=message):
        evaluate(known, [answer], kind)


def test_incomplete_annotations_are_refused() -> None:
    known = truth()
    del known["annotations"][0]["bbox"]
    with pytest.raises(ValueError, match="annotation 0 of the truth has no bbox"):
        evaluate(known, [found(keypoints=POINTS)], "keypoints")
    known = truth()
    known["images"] = [{"id": 0}]
    known["annotations"][0]["segmentation"] = [[10, 20, 110, 20, 110, 70]]
    with pytest.raises(ValueError, match="no height and width"):
        evaluate(known, [found(segmentation=mask())], "segm")
    answers = [found(keypoints=POINTS, bbox=BOX), found(keypoints=POINTS)]
    with pytest.raises(ValueError, match="result 1 has no bbox, which result 0 has"):
        evaluate(truth(), answers, "keypoints")


def test_unexpected_form_is_refused() -> None:
    known = truth()
    known["annotations"][0]["segmentation"] = {"size": [100, 200], "counts": {}}
    with pytest.raises(ValueError, match="pycocotools refuses these annotations or results: "):
        evaluate(known, [found(segmentation=mask())], "segm")


@pytest.mark.parametrize(("wrong", "words"), [({"a": 1}, "are an object"), (5, "are a number")], ids=["keys", "number"])
def test_results_of_another_form_are_explained_in_words(wrong: Any, words: str) -> None:
    with pytest.raises(ValueError, match=f"the results {words}, expected a list"):
        prepare(truth(), wrong, "bbox")


def test_results_of_unlisted_categories_are_dropped_with_note() -> None:
    """As pycocotools does: a detector of 80 classes is scored on a truth of one."""
    results = [found(image=n, bbox=BOX) for n in (0, 1)]
    others = [found(bbox=BOX) | {"category_id": number} for number in (3, 80)]
    alone, among = evaluate(truth(2), results, "bbox"), evaluate(truth(2), [*others, *results], "bbox")
    assert among.figures == pytest.approx(alone.figures, nan_ok=True)
    assert among.figures["AP"] == pytest.approx(1)
    assert among.notes == ("2 results are of categories that the truth doesn't list; they aren't scored",)
