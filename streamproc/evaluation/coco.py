"""Boxes, masks and keypoints in COCO's JSON: average precision and recall, computed by pycocotools.

Lin et al., Microsoft COCO, ECCV 2014. AP is the mean over IoU (for keypoints: object keypoint similarity, OKS) 0.50 to
0.95 in steps of 0.05. pycocotools comes with the extra `eval`.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from streamproc.evaluation.coco_forms import Kind, prepare
from streamproc.evaluation.tables import cell, columns, figures, to_json

_BOX_NAMES = ("AP", "AP50", "AP75", "AP small", "AP medium", "AP large", "AR 1", "AR 10", "AR 100", "AR small",
              "AR medium", "AR large")  # fmt: skip
_POINT_NAMES = ("AP", "AP50", "AP75", "AP medium", "AP large", "AR", "AR50", "AR75", "AR medium", "AR large")


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
    notes: tuple[str, ...] = ()
    """what a reader must know of the figures, a sentence each"""

    def table(self) -> str:
        """The figures, then AP by category where there are several."""
        counts = {"pictures": self.pictures, "objects": self.objects, "found": self.found}
        parts = [figures({**self.figures, **counts})]
        if len(self.classes) > 1:
            parts.append(columns(("class", "AP"), [(name, cell(value)) for name, value in self.classes.items()]))
        parts.extend(f"note: {note}" for note in self.notes)
        return "\n\n".join(parts)

    def to_json(self) -> str:
        """The same as JSON; what can't be said is null."""
        return to_json({
            "kind": self.kind, "figures": self.figures, "classes": self.classes, "pictures": self.pictures,
            "objects": self.objects, "found": self.found, "notes": self.notes,
        })  # fmt: skip


def evaluate(truth: Any, found: Any, kind: Kind) -> CocoReport:
    """Score results against annotations.

    truth: `{"images", "annotations", "categories"}`; ids may be numbers or texts, and those of annotations may be left
    out or repeat. found: a list of `{"image_id", "category_id", "score"}` with `bbox` (left, top, width, height in
    pixels), `segmentation` (RLE) or `keypoints` (x, y, score, ... for each point).

    Raises `ValueError` for what isn't of this form, `ImportError` where pycocotools is missing.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise ImportError(f"{error}; install it with: pip install 'streamproc[eval]'") from error
    ready = prepare(truth, found, kind)
    with contextlib.redirect_stdout(io.StringIO()), _refusals():  # it prints as it goes
        known = COCO()
        known.dataset = ready.truth
        known.createIndex()
        _add_areas(known)
        answers = known.loadRes(ready.found) if ready.found else COCO()
        run = COCOeval(known, answers, kind)
        run.params.catIds = list(ready.categories)
        run.evaluate()
        run.accumulate()
        run.summarize()
    names = _POINT_NAMES if kind == "keypoints" else _BOX_NAMES
    return CocoReport(
        kind=kind,
        figures={name: _known(value) for name, value in zip(names, run.stats, strict=True)},
        classes=_by_class(run, ready.names),
        pictures=len(ready.truth["images"]),
        objects=sum(not item["iscrowd"] for item in ready.truth["annotations"]),
        found=len(ready.found),
        notes=ready.notes,
    )


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Make a sentence of whatever pycocotools raises over a form that no check foresaw."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AssertionError, AttributeError, ArithmeticError) as error:
        raise ValueError(
            f"pycocotools refuses these annotations or results: {type(error).__name__}: {error}; compare their keys "
            "and types with those of COCO's own files"
        ) from error


def _add_areas(known: Any) -> None:
    """The area of a mask, where an annotation doesn't say it."""
    from pycocotools.mask import area

    for item in known.dataset["annotations"]:
        if "area" not in item:
            item["area"] = float(area(known.annToRLE(item)))


def _known(value: float) -> float:
    return float(value) if value >= 0 else float("nan")  # -1 stands for nothing to score


def _by_class(run: Any, names: Mapping[int, str]) -> dict[str, float]:
    precision = run.eval["precision"][:, :, :, 0, -1]  # IoU, recall, category; all sizes, most detections
    rows = {}
    for i, category in enumerate(run.params.catIds):
        values = precision[:, :, i]
        values = values[values > -1]
        rows[names[category]] = float(values.mean()) if values.size else float("nan")
    return rows


__all__ = ["CocoReport", "Kind", "evaluate"]
