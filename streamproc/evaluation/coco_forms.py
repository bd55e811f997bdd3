"""COCO's annotations and results checked, and brought to the one form that pycocotools scores right.

pycocotools takes an annotation whose id is 0 for one that nothing matched, keeps one of several annotations that share
an id, and needs ids that are numbers. So pictures, categories and annotations are numbered anew from 1, in the order of
their own ids, before it reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

import numpy as np

from streamproc.evaluation.tables import form_of

Kind = Literal["bbox", "segm", "keypoints"]
Row = dict[str, Any]

PART: Mapping[Kind, str] = {"bbox": "bbox", "segm": "segmentation", "keypoints": "keypoints"}
POINTS = 17
"""keypoints of a person in COCO, for which the constants of OKS are known"""
_GEOMETRY = ("bbox", "segmentation", "keypoints")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """Truth and results with ids from 1, ready for pycocotools."""

    truth: dict[str, Any]
    found: list[Row]
    categories: tuple[int, ...]
    """those that the truth has objects of, as COCO's own average takes them"""
    names: Mapping[int, str]
    """of all categories; those that share a name carry their id too"""
    notes: tuple[str, ...]
    """what a reader must know of the figures, a sentence each"""


def prepare(truth: Any, found: Any, kind: Kind) -> Prepared:
    """Check and renumber. Raises `ValueError` that names the row for whatever pycocotools can't score."""
    _check_parts(truth)
    if not isinstance(found, list):
        raise ValueError(f"the results are {form_of(found)}, expected a list as COCO's results are")
    pictures = _numbered("images", truth["images"])
    categories = _numbered("categories", truth["categories"])
    sizes = {pictures[row["id"]]: row for row in truth["images"]}
    rows, strays = _annotations(truth["annotations"], pictures, categories, kind)
    if kind == "segm":
        for row in rows:
            _check_truth_mask(row, sizes[row["image_id"]])
    answers = _results(found, pictures, categories, kind)
    return Prepared(
        truth={
            "images": [{**row, "id": number} for number, row in sizes.items()],
            "categories": [{**row, "id": categories[row["id"]]} for row in truth["categories"]],
            "annotations": [{key: value for key, value in row.items() if key != "_name"} for row in rows],
        },
        found=answers,
        categories=tuple(sorted({row["category_id"] for row in rows})),
        names=_names(truth["categories"], categories),
        notes=(*_left_out(len(found) - len(answers)), *_notes(strays, answers, sizes, kind)),
    )


def _check_parts(truth: Any) -> None:
    if not isinstance(truth, dict) or not {"images", "annotations", "categories"} <= set(truth):
        got = ", ".join(map(str, truth)) if isinstance(truth, dict) else form_of(truth)
        raise ValueError(f"the truth has {got or 'nothing'}, expected COCO's images, annotations and categories")
    for part, keys in (("images", ("id",)), ("categories", ("id",)), ("annotations", ())):
        rows = truth[part]
        if not isinstance(rows, list) or not all(isinstance(r, dict) and r.keys() >= {*keys} for r in rows):
            wanted = f" with {' and '.join(keys)}" if keys else ""
            raise ValueError(f"`{part}` of the truth isn't a list of objects{wanted}")
    if not truth["annotations"]:
        raise ValueError("the truth has no annotations, so there is nothing to score")


def _numbered(part: str, rows: Iterable[Row]) -> dict[Any, int]:
    """Numbers from 1 by id, in the order of the ids where they have one, else in that of the file."""
    ids = [row["id"] for row in rows]
    for value in ids:
        if not _is_id(value):
            raise ValueError(f"`{part}` of the truth has the id {value!r}, expected a number or a text")
    known = list(dict.fromkeys(ids))
    if all(isinstance(value, Real) for value in known) or all(isinstance(value, str) for value in known):
        known.sort()
    return {value: number for number, value in enumerate(known, start=1)}


def _is_id(value: Any) -> bool:
    return value is None or isinstance(value, str | Real)


def _names(rows: Sequence[Row], numbers: Mapping[Any, int]) -> dict[int, str]:
    names = {row["id"]: str(row.get("name", row["id"])) for row in rows}
    shared = {name for name in names.values() if list(names.values()).count(name) > 1}
    return {numbers[key]: f"{name} ({key})" if name in shared else name for key, name in names.items()}


def _annotations(
    notes: Sequence[Row], pictures: Mapping[Any, int], categories: Mapping[Any, int], kind: Kind
) -> tuple[list[Row], int]:
    """The annotations with ids from 1 and the keys that other tools leave out; how many are of nothing listed."""
    rows: list[Row] = []
    strays = 0
    for place, item in enumerate(notes):
        name = f"annotation {place} of the truth"
        _check_keys(name, item, ("image_id", PART[kind], "category_id"))
        known = zip((item["image_id"], item["category_id"]), (pictures, categories), strict=True)
        if any(_is_id(value) and value not in numbers for value, numbers in known):
            strays += 1
            continue
        _check_id(name, item, "image_id", pictures)
        _check_id(name, item, "category_id", categories)
        _check_geometry(name, item, kind)
        rows.append(_completed(name, item, kind) | {
            "_name": name, "id": len(rows) + 1, "image_id": pictures[item["image_id"]],
            "category_id": categories[item["category_id"]],
        })  # fmt: skip
    if not rows:
        raise ValueError(
            "no annotation is of a picture and a category that the truth lists, so there is nothing to score"
        )
    return rows, strays


def _completed(name: str, item: Row, kind: Kind) -> Row:
    row = {"iscrowd": 0, **item}
    if row["iscrowd"] not in (0, 1):
        raise ValueError(f"{name} has iscrowd {row['iscrowd']!r}, expected 0 or 1")
    if kind == "keypoints" and "bbox" not in row:
        raise ValueError(f"{name} has no bbox, which OKS needs for persons without a visible keypoint; add it")
    if "area" not in row and kind != "segm":
        row["area"] = float(row["bbox"][2] * row["bbox"][3])
    if "area" in row and not _finite([row["area"]]):
        raise ValueError(f"{name} has the area {row['area']!r}, expected square pixels")
    if kind == "keypoints" and "num_keypoints" not in row:
        row["num_keypoints"] = int(np.count_nonzero(np.asarray(row["keypoints"])[2::3]))
    return row


def _results(found: Sequence[Any], pictures: Mapping[Any, int], categories: Mapping[Any, int], kind: Kind) -> list[Row]:
    answers: list[Row] = []
    for place, item in enumerate(found):
        name = f"result {place}"
        _check_keys(name, item, ("image_id", "score", PART[kind], "category_id"))
        _check_id(name, item, "image_id", pictures)
        if not _finite([item["score"]]):
            raise ValueError(f"{name} has the score {item['score']!r}, expected a finite number")
        _check_geometry(name, item, kind)
        if kind == "segm":
            _check_found_mask(name, item["segmentation"])
        # pycocotools takes the keys of the first result for those of all
        if place and ("bbox" in item) != ("bbox" in found[0]):
            which = "has a bbox, which result 0 has not" if "bbox" in item else "has no bbox, which result 0 has"
            raise ValueError(f"{name} {which}; give all results the same keys")
        row = {key: item[key] for key in _GEOMETRY if key in item}
        if not _is_id(item["category_id"]):
            _check_id(name, item, "category_id", categories)
        if item["category_id"] in categories:  # pycocotools leaves the others out
            ids = {"image_id": pictures[item["image_id"]], "category_id": categories[item["category_id"]]}
            answers.append({**row, **ids, "score": float(item["score"])})
    if found and not answers:
        _check_id("result 0", found[0], "category_id", categories)
    return answers


def _check_keys(name: str, item: Any, keys: Sequence[str]) -> None:
    if missing := [key for key in keys if not isinstance(item, dict) or key not in item]:
        raise ValueError(f"{name} has no {', '.join(missing)}")


def _check_id(name: str, item: Row, key: Literal["image_id", "category_id"], known: Mapping[Any, int]) -> None:
    value, what = item[key], "picture" if key == "image_id" else "category"
    if not _is_id(value) or value not in known:
        example = f"; an id there is {next(iter(known))!r}" if known else ""
        raise ValueError(f"{name} is of the {what} {value!r}, which the truth doesn't have{example}")


def _check_geometry(name: str, item: Row, kind: Kind) -> None:
    for key in {"bbox": ("bbox",), "segm": (), "keypoints": ("bbox", "keypoints")}[kind]:
        values = item.get(key, ())
        if key == PART[kind] and values is None:
            raise ValueError(f"{name} has {key} null, expected a list of numbers")
        if key in item and values is not None and not _finite(values):
            raise ValueError(f"{name} has values in {key} that are no numbers, or not finite: {_short(values)}")
    box = item.get("bbox")
    if box is not None and kind in {"bbox", "keypoints"} and len(box) != 4:
        raise ValueError(f"{name} has a box of {len(box)} numbers, expected left, top, width, height")
    if kind == "keypoints" and len(item["keypoints"]) != 3 * POINTS:
        raise ValueError(
            f"{name} has {len(item['keypoints']) / 3:g} keypoints, expected {POINTS} of x, y and visibility: "
            "OKS has constants for COCO's persons only"
        )


def _check_truth_mask(row: Row, picture: Row) -> None:
    name, mask = row["_name"], row["segmentation"]
    if not _finite([picture.get("height"), picture.get("width")]):
        raise ValueError(f"the picture of {name} has no height and width, which masks need; add them to `images`")
    is_polygons = isinstance(mask, list) and bool(mask) and all(isinstance(p, list) and p and _finite(p) for p in mask)
    if not is_polygons and not (isinstance(mask, dict) and {"size", "counts"} <= mask.keys()):
        raise ValueError(
            f"{name} has the segmentation {_short(mask)}, expected polygons ([[x, y, ...], ...]) or RLE "
            "({size, counts}); an object without a mask can't be scored with --masks"
        )


def _check_found_mask(name: str, mask: Any) -> None:
    if not isinstance(mask, dict) or not isinstance(mask.get("counts"), str | bytes) or "size" not in mask:
        raise ValueError(
            f"{name} has the segmentation {_short(mask)}, expected compressed RLE ({{size, counts}}, counts as text); "
            "pycocotools.mask.encode makes it of a mask"
        )


def _left_out(number: int) -> Iterable[str]:
    if number:
        yield f"{number} results are of categories that the truth doesn't list; they aren't scored"


def _notes(strays: int, answers: Sequence[Row], sizes: Mapping[int, Row], kind: Kind) -> Iterable[str]:
    if strays:
        yield f"{strays} annotations are of pictures or categories that the truth doesn't list; they aren't scored"
    if kind == "segm":
        other = sum(
            list(row["segmentation"]["size"]) != [picture.get("height"), picture.get("width")]
            for row in answers
            if {"height", "width"} <= (picture := sizes[row["image_id"]]).keys()
        )
        if other:
            yield f"{other} results have masks of another size than their picture; they match nothing"


def _finite(values: Any) -> bool:
    try:
        return all(isinstance(value, Real) and bool(np.isfinite(float(value))) for value in values)
    except (TypeError, OverflowError):
        return False


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


__all__ = ["Kind", "Prepared", "prepare"]
