"""Masks of class ids against known ones: IoU, Dice, pixel accuracy; and the files that masks come in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamproc.evaluation.tables import cell, columns, figures, to_json
from streamproc.models import label_list, label_lists

VOID = 255
"""class id of pixels that are left out, as in Pascal VOC and Cityscapes"""

_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif")
_MARKS = ("_mask", "_labelTrainIds", "_segmentation", "_gt")


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskScore:
    """One class, in fractions; NaN where it occurs on neither side."""

    label: str
    iou: float
    dice: float
    recall: float
    """of its true pixels, the part that was found"""
    pixels: int
    """in the truth"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskReport:
    """Scores over all pixels of all pictures together."""

    classes: tuple[MaskScore, ...]
    accuracy: float
    """part of the pixels with the right class"""
    pictures: int

    @property
    def mean_iou(self) -> float:
        """Mean over the classes that occur in the truth or were found."""
        return float(np.nanmean([row.iou for row in self.classes]))

    @property
    def mean_dice(self) -> float:
        """Likewise."""
        return float(np.nanmean([row.dice for row in self.classes]))

    def __getitem__(self, label: str) -> MaskScore:
        """The row of a class."""
        return next(row for row in self.classes if row.label == label)

    def table(self) -> str:
        """The means, then the classes that occur."""
        head = {"mean IoU": self.mean_iou, "mean Dice": self.mean_dice, "pixel accuracy": self.accuracy}
        rows = [
            (r.label, cell(r.iou), cell(r.dice), cell(r.recall), str(r.pixels))
            for r in self.classes
            if np.isfinite(r.iou)
        ]
        return "\n\n".join(
            [
                figures({**head, "pictures": self.pictures}),
                columns(("class", "IoU", "Dice", "recall", "pixels"), rows),
            ]
        )

    def to_json(self) -> str:
        """The same as JSON."""
        return to_json({
            "mean_iou": self.mean_iou, "mean_dice": self.mean_dice, "pixel_accuracy": self.accuracy,
            "pictures": self.pictures,
            "classes": [
                {"label": r.label, "iou": r.iou, "dice": r.dice, "recall": r.recall, "pixels": r.pixels}
                for r in self.classes if np.isfinite(r.iou)
            ],
        })  # fmt: skip


def confusion(truth: NDArray[np.int64], found: NDArray[np.int64], count: int, void: int = VOID) -> NDArray[np.int64]:
    """Pixels by true class (rows) and class found (columns), int64 (count, count); true pixels of `void` left out.

    truth, found: class ids (h, w). Raises `ValueError` where the shapes differ or an id is out of range.
    """
    if truth.shape != found.shape or truth.ndim != 2:
        raise ValueError(f"the true mask is {truth.shape}, the one found {found.shape}, expected one shape (h, w)")
    scored = truth != void
    pairs = np.stack([truth[scored], found[scored]]).astype(np.int64)
    if pairs.size and (pairs.min() < 0 or pairs.max() >= count):
        raise ValueError(
            f"class ids go from {pairs.min()} to {pairs.max()}, expected 0 to {count - 1} (or void {void})"
        )
    return np.bincount(pairs[0] * count + pairs[1], minlength=count * count).reshape(count, count)


def evaluate(
    pairs: Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]], labels: Sequence[str], void: int = VOID
) -> MaskReport:
    """Score masks (truth, found) of class ids int64 (h, w).

    Raises `ValueError` for masks that don't fit each other or the labels, and where there is nothing to score.
    """
    total, pictures = np.zeros((len(labels), len(labels)), np.int64), 0
    for truth, found in pairs:
        total += confusion(truth, found, len(labels), void)
        pictures += 1
    if not total.sum():
        raise ValueError("no pixel has a class that counts, so there is nothing to score")
    right, true, said = np.diag(total).astype(float), total.sum(axis=1), total.sum(axis=0)
    with np.errstate(invalid="ignore"):
        iou, dice, recall = right / (true + said - right), 2 * right / (true + said), right / true
    rows = tuple(
        MaskScore(label=label, iou=float(i), dice=float(d), recall=float(r), pixels=int(n))
        for label, i, d, r, n in zip(labels, iou, dice, recall, true, strict=True)
    )
    return MaskReport(classes=rows, accuracy=float(right.sum() / total.sum()), pictures=pictures)


def evaluate_files(truth: Path, found: Path, labels: str = "") -> MaskReport:
    """Score a mask or a folder of masks against another, by the names of the files.

    labels: a label list of the package, or names with commas between; empty: the class ids. Raises as `evaluate` does,
    and `ValueError` where a mask has nothing beside it.
    """
    known, said = find_masks(truth), find_masks(found)
    if truth.is_file() and found.is_file():
        said = dict(zip(known, said.values(), strict=True))
    if missing := [name for name in known if name not in said]:
        raise ValueError(f"{found} has no mask {missing[0]!r} (and {len(missing) - 1} more), which {truth} has")
    if not labels:
        pairs = [(read_mask(known[name]), read_mask(said[name])) for name in known]
        highest = max(int(ids[ids != VOID].max(initial=0)) for pair in pairs for ids in pair)
        return evaluate(pairs, [str(i) for i in range(highest + 1)])
    names = label_list(labels) if labels in label_lists() else tuple(labels.split(","))
    return evaluate(((read_mask(known[name]), read_mask(said[name])) for name in known), names)


def read_mask(path: Path) -> NDArray[np.int64]:
    """Class ids int64 (h, w) of a mask: the grey level, or the index where the picture has a palette (Pascal VOC).

    Raises `ValueError` for a picture in colours, or none.
    """
    import av

    try:
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
    except (av.FFmpegError, OSError, StopIteration) as error:
        raise ValueError(f"{path} can't be read as a picture: {error}") from None
    if frame.format.name in ("gray", "pal8"):
        plane = frame.planes[0]
        rows = np.frombuffer(bytes(plane), np.uint8).reshape(-1, plane.line_size)
        return rows[: frame.height, : frame.width].astype(np.int64)
    if frame.format.name in ("gray16le", "gray16be"):
        return frame.to_ndarray(format="gray16le").astype(np.int64)
    raise ValueError(
        f"{path} is in colours ({frame.format.name}), expected class ids as grey levels or as indices into a palette"
    )


def find_masks(path: Path) -> dict[str, Path]:
    """Masks by name: a file, or those of a folder; endings such as `_mask` don't belong to the name.

    Raises `FileNotFoundError` where there are none.
    """
    files = [path] if path.is_file() else sorted(p for p in path.glob("*") if p.suffix.lower() in _SUFFIXES)
    if not files:
        raise FileNotFoundError(f"{path} holds no masks ({', '.join(_SUFFIXES)})")
    return {mask_name(file): file for file in files}


def mask_name(path: Path) -> str:
    """The name of the picture that a mask belongs to."""
    stem = path.stem
    for mark in _MARKS:
        if stem.endswith(mark) and stem != mark:
            return stem.removesuffix(mark)
    return stem


__all__ = [
    "VOID",
    "MaskReport",
    "MaskScore",
    "confusion",
    "evaluate",
    "evaluate_files",
    "find_masks",
    "mask_name",
    "read_mask",
]
