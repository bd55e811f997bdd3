"""Boxes and keypoints in COCO's form: pycocotools' figures on answers known by arithmetic, and errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamproc.evaluation.coco import evaluate

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


def test_the_box_itself_scores_one_and_a_box_of_iou_0_7_half_of_the_steps() -> None:
    assert evaluate(truth(), [found(bbox=BOX)], "bbox").figures["AP"] == pytest.approx(1)
    report = evaluate(truth(), [found(bbox=[10.0, 20.0, 72.0, 50.0])], "bbox")  # IoU 0.72: over 0.50 to 0.70
    assert report.figures["AP"] == pytest.approx(0.5, abs=1e-6)
    assert (report.figures["AP50"], report.figures["AP75"]) == pytest.approx((1, 0))


def test_half_of_the_objects_found_is_half_of_the_recall() -> None:
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
    ("item", "told"),
    [
        (found(image=5, bbox=BOX), "picture 5"),
        (found(bbox=[1, 2, 3]), "box of 3 numbers"),
        (found(bbox=[1, 2, float("nan"), 4]), "not finite"),
        ({"image_id": 0}, "no score, bbox, category_id"),
        (found(bbox=BOX) | {"category_id": 3}, "category 3"),
    ],
)
def test_results_that_do_not_fit_are_refused(item: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        evaluate(truth(), [item], "bbox")


def test_a_truth_of_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="expected COCO's images, annotations and categories"):
        evaluate([], [], "bbox")
    with pytest.raises(ValueError, match="no annotations"):
        evaluate(truth() | {"annotations": []}, [], "bbox")
