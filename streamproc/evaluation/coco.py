"""Boxes, masks and keypoints in COCO's JSON: average precision and recall, computed by pycocotools.

Lin et al., Microsoft COCO, ECCV 2014. AP is the mean over IoU (for keypoints: object keypoint similarity, OKS) 0.50 to
0.95 in steps of 0.05. pycocotools comes with the extra `eval`.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from streamproc.evaluation.tables import cell, columns, figures, to_json

Kind = Literal["bbox", "segm", "keypoints"]

_BOX_NAMES = ("AP", "AP50", "AP75", "AP small", "AP medium", "AP large", "AR 1", "AR 10", "AR 100", "AR small",
              "AR medium", "AR large")  # fmt: skip
_POINT_NAMES = ("AP", "AP50", "AP75", "AP medium", "AP large", "AR", "AR50", "AR75", "AR medium", "AR large")
_PART: Mapping[Kind, str] = {"bbox": "bbox", "segm": "segmentation", "keypoints": "keypoints"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoReport:
    """COCO's own figures; NaN where the truth has no object of that size."""

    kind: Kind
    figures: Mapping[str, float]
    classes: Mapping[str, float]
    """AP by the name of the category"""
    pictures: int
    objects: int
    found: int

    def table(self) -> str:
        """The figures, then AP by category where there are several."""
        counts = {"pictures": self.pictures, "objects": self.objects, "found": self.found}
        parts = [figures({**self.figures, **counts})]
        if len(self.classes) > 1:
            parts.append(columns(("class", "AP"), [(name, cell(value)) for name, value in self.classes.items()]))
        return "\n\n".join(parts)

    def to_json(self) -> str:
        """The same as JSON; what can't be said is null."""
        return to_json({
            "kind": self.kind, "figures": self.figures, "classes": self.classes, "pictures": self.pictures,
            "objects": self.objects, "found": self.found,
        })  # fmt: skip


def evaluate(truth: Any, found: Any, kind: Kind) -> CocoReport:
    """Score results against annotations.

    truth: `{"images", "annotations", "categories"}`. found: a list of `{"image_id", "category_id", "score"}` with
    `bbox` (left, top, width, height in pixels), `segmentation` (RLE) or `keypoints` (x, y, score, ... for each point).

    Raises `ValueError` for what isn't of this form, `ImportError` where pycocotools is missing.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise ImportError(f"{error}; install it with: pip install 'streamproc[eval]'") from error
    _check_truth(truth, kind)
    _check_found(found, truth, kind)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints as it goes
        known = COCO()
        known.dataset = _completed(truth)
        known.createIndex()
        answers = known.loadRes([dict(item) for item in found]) if found else COCO()
        run = COCOeval(known, answers, kind)
        run.params.catIds = _scored(truth)
        run.evaluate()
        run.accumulate()
        run.summarize()
    names = _POINT_NAMES if kind == "keypoints" else _BOX_NAMES
    return CocoReport(
        kind=kind,
        figures={name: _known(value) for name, value in zip(names, run.stats, strict=True)},
        classes=_by_class(run, known),
        pictures=len(truth["images"]),
        objects=sum(not item.get("iscrowd") for item in truth["annotations"]),
        found=len(found),
    )


def _known(value: float) -> float:
    return float(value) if value >= 0 else float("nan")  # -1 stands for nothing to score


def _by_class(run: Any, known: Any) -> dict[str, float]:
    precision = run.eval["precision"][:, :, :, 0, -1]  # IoU, recall, category; all sizes, most detections
    rows = {}
    for i, category in enumerate(run.params.catIds):
        values = precision[:, :, i]
        values = values[values > -1]
        rows[known.cats[category]["name"]] = float(values.mean()) if values.size else float("nan")
    return rows


def _scored(truth: Any) -> list[int]:
    """Categories that the truth has objects of, as COCO's own average takes them."""
    return sorted({item["category_id"] for item in truth["annotations"]})


def _completed(truth: Any) -> dict[str, Any]:
    """The truth with the keys that pycocotools asks for and other tools leave out."""
    rows = []
    for number, item in enumerate(truth["annotations"], start=1):
        row = {"id": number, "iscrowd": 0, **item}
        if "area" not in row and "bbox" in row:
            row["area"] = float(row["bbox"][2] * row["bbox"][3])
        if "keypoints" in row and "num_keypoints" not in row:
            row["num_keypoints"] = int(np.count_nonzero(np.asarray(row["keypoints"])[2::3]))
        rows.append(row)
    return {**truth, "annotations": rows}


def _check_truth(truth: Any, kind: Kind) -> None:
    if not isinstance(truth, dict) or not {"images", "annotations", "categories"} <= set(truth):
        got = ", ".join(truth) if isinstance(truth, dict) else type(truth).__name__
        raise ValueError(f"the truth has {got or 'nothing'}, expected COCO's images, annotations and categories")
    for part, keys in (("images", ("id",)), ("categories", ("id", "name")), ("annotations", ())):
        rows = truth[part]
        if not isinstance(rows, list) or not all(isinstance(r, dict) and r.keys() >= {*keys} for r in rows):
            wanted = f" with {' and '.join(keys)}" if keys else ""
            raise ValueError(f"`{part}` of the truth isn't a list of objects{wanted}")
    pictures = {item["id"] for item in truth["images"]}
    categories = {item["id"] for item in truth["categories"]}
    for number, item in enumerate(truth["annotations"]):
        _check_item(f"annotation {number} of the truth", item, (pictures, categories), ("image_id", _PART[kind]))
    if not truth["annotations"]:
        raise ValueError("the truth has no annotations, so there is nothing to score")


def _check_found(found: Any, truth: Any, kind: Kind) -> None:
    if not isinstance(found, list):
        raise ValueError(f"the results are {type(found).__name__}, expected a list as COCO's results are")
    ids = {item["id"] for item in truth["images"]}, {item["id"] for item in truth["categories"]}
    for number, item in enumerate(found):
        _check_item(f"result {number}", item, ids, ("image_id", "score", _PART[kind]))


def _check_item(name: str, item: Any, ids: tuple[set[Any], set[Any]], keys: tuple[str, ...]) -> None:
    missing = [key for key in (*keys, "category_id") if not isinstance(item, dict) or key not in item]
    if missing:
        raise ValueError(f"{name} has no {', '.join(missing)}")
    if item["image_id"] not in ids[0]:
        raise ValueError(f"{name} is of the picture {item['image_id']!r}, which the truth doesn't have")
    if item["category_id"] not in ids[1]:
        raise ValueError(f"{name} is of the category {item['category_id']!r}, which the truth doesn't have")
    numbers = [*(item.get("bbox") or ()), *(item.get("keypoints") or ()), item.get("score", 0)]
    if not all(isinstance(n, int | float) and np.isfinite(n) for n in numbers):
        raise ValueError(f"{name} has numbers that are not finite")
    if "bbox" in keys and len(item["bbox"]) != 4:
        raise ValueError(f"{name} has a box of {len(item['bbox'])} numbers, expected left, top, width, height")


__all__ = ["CocoReport", "Kind", "evaluate"]
