"""Labels of pictures or clips against known ones: top-k accuracy, precision and recall by class, confusion matrix."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamproc.evaluation.tables import cell, columns, to_json
from streamproc.folders import files_below


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScore:
    """One class; rates are fractions, NaN where there is nothing to divide by."""

    label: str
    precision: float
    """of what was called so, the part that is so"""
    recall: float
    """of what is so, the part that was called so"""
    f1: float
    """harmonic mean of the two"""
    support: int
    """items of this class in the truth"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassificationReport:
    """Result of `evaluate`."""

    labels: tuple[str, ...]
    confusion: NDArray[np.int64]
    """(C, C): rows are the truth, columns what was found"""
    accuracy: Mapping[int, float]
    """top-k accuracy by k"""
    classes: tuple[ClassScore, ...]

    @property
    def items(self) -> int:
        """Number of items in the truth."""
        return sum(row.support for row in self.classes)

    @property
    def unanswered(self) -> int:
        """Number of items without a found label; they count as wrong."""
        return self.items - int(self.confusion.sum())

    @property
    def mean_recall(self) -> float:
        """Mean recall of the classes that the truth has (balanced accuracy)."""
        return float(np.mean([row.recall for row in self.classes if row.support]))

    @property
    def mean_f1(self) -> float:
        """Mean F1 of the classes that the truth has; a class never found counts 0."""
        return float(np.mean([np.nan_to_num(row.f1) for row in self.classes if row.support]))

    def table(self) -> str:
        """Accuracies, the classes, and the confusion matrix where it is small enough to be read."""
        head = [(f"top-{k} accuracy", cell(value)) for k, value in self.accuracy.items()]
        head += [("balanced accuracy", cell(self.mean_recall)), ("mean F1", cell(self.mean_f1))]
        head.append(("items", str(self.items)))
        if self.unanswered:
            head.append(("without an answer", str(self.unanswered)))
        shown = [row for row in self.classes if row.support or np.isfinite(row.precision)]
        parts = [
            columns(("metric", "value"), head),
            columns(
                ("class", "precision", "recall", "F1", "items"),
                [(r.label, cell(r.precision), cell(r.recall), cell(r.f1), str(r.support)) for r in shown],
            ),
        ]
        used = [i for i, row in enumerate(self.classes) if row in shown]
        if len(used) <= 20:
            parts.append(
                columns(
                    ("truth \\ found", *(str(n) for n in range(len(used)))),
                    [(f"{n} {self.labels[i]}", *(str(c) for c in self.confusion[i, used])) for n, i in enumerate(used)],
                )
            )
        return "\n\n".join(parts)

    def to_json(self) -> str:
        """All figures; `confusion` lists its rows by truth."""
        return to_json(
            {
                "accuracy": {f"top{k}": value for k, value in self.accuracy.items()},
                "balanced_accuracy": self.mean_recall,
                "mean_f1": self.mean_f1,
                "items": self.items,
                "unanswered": self.unanswered,
                "classes": [
                    {"label": r.label, "precision": r.precision, "recall": r.recall, "f1": r.f1, "items": r.support}
                    for r in self.classes
                ],
                "labels": self.labels,
                "confusion": self.confusion.tolist(),
            }
        )


def evaluate(
    truth: Sequence[int], ranked: Sequence[Sequence[int]], labels: Sequence[str], tops: Sequence[int] = (1, 5)
) -> ClassificationReport:
    """Score rankings against class ids.

    truth: the class id of each item. ranked: class ids found for it, best first. An item without any counts as wrong
    and stands in no column of the confusion matrix. tops: the k of the top-k accuracies; those that are no less than
    the number of classes are left out, since they say nothing.

    Raises `ValueError` where the lengths differ, there is no item, or an id is out of range.
    """
    if len(truth) != len(ranked) or not truth:
        raise ValueError(f"{len(truth)} true labels and {len(ranked)} answers, expected as many and at least one")
    known = range(len(labels))
    if wrong := {i for i in (*truth, *(i for row in ranked for i in row)) if i not in known}:
        raise ValueError(f"class ids {sorted(wrong)[:5]} are out of range, expected 0 to {len(labels) - 1}")
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    for true, row in zip(truth, ranked, strict=True):
        if row:
            confusion[true, row[0]] += 1
    hits = {
        k: float(np.mean([true in row[:k] for true, row in zip(truth, ranked, strict=True)]))
        for k in tops
        if k == 1 or k < len(labels)
    }
    support = np.bincount(np.asarray(truth, np.int64), minlength=len(labels))
    return ClassificationReport(
        labels=tuple(labels), confusion=confusion, accuracy=hits, classes=_by_class(confusion, support, labels)
    )


def _by_class(
    confusion: NDArray[np.int64], support: NDArray[np.int64], labels: Sequence[str]
) -> tuple[ClassScore, ...]:
    right, found = np.diag(confusion).astype(float), confusion.sum(axis=0).astype(float)
    with np.errstate(invalid="ignore"):
        precision, recall, f1 = right / found, right / support, 2 * right / (found + support)
    return tuple(
        ClassScore(label=label, precision=float(p), recall=float(r), f1=float(f), support=int(n))
        for label, p, r, f, n in zip(labels, precision, recall, f1, support, strict=True)
    )


def read_labels(path: Path) -> dict[str, list[str]]:
    """Labels by item from a CSV with the columns `path,label` or `path,label,score`.

    An item may have several rows: with scores the best comes first, without them the first. A folder gives the names
    of its subfolders as the labels of the files in them. Raises `ValueError` naming the line that is wrong.
    """
    if path.is_dir():
        files = sorted(file for file in files_below(path) if file.parent != path and file.name[0] != ".")
        return {file.relative_to(path).as_posix(): [file.relative_to(path).parts[0]] for file in files}
    try:
        with path.open(encoding="utf-8-sig", newline="") as source:
            rows = _read_rows(csv.DictReader(source), path)
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a CSV in UTF-8: {error}; expected rows of path,label") from None
    return {item: [label for _, label in sorted(found, key=lambda pair: pair[0])] for item, found in rows.items()}


def _read_rows(reader: csv.DictReader[str], path: Path) -> dict[str, list[tuple[float, str]]]:
    """By item: scores with the sign changed, and labels."""
    rows: dict[str, list[tuple[float, str]]] = {}
    if not {"path", "label"} <= set(reader.fieldnames or ()):
        raise ValueError(f"{path}: columns {', '.join(reader.fieldnames or ()) or 'none'}, expected path,label")
    for row in reader:
        if not row["path"] or not row["label"]:
            raise ValueError(f"{path}:{reader.line_num}: no path or no label")
        rows.setdefault(row["path"], []).append((-_score(row.get("score"), path, reader.line_num), row["label"]))
    return rows


def _score(text: str | None, path: Path, line: int) -> float:
    try:
        score = float(text or "0")
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise ValueError(f"{path}:{line}: the score {text!r} is not a number")
    return score


def evaluate_labels(truth: Mapping[str, Sequence[str]], found: Mapping[str, Sequence[str]]) -> ClassificationReport:
    """Score labels by item, as `read_labels` gives them; items that nothing was found for count as wrong.

    Raises `ValueError` where `found` is empty or has an item that the truth lacks: the two then don't belong together;
    and where the truth has two labels for an item.
    """
    known = single_labels(truth)
    if not found:
        raise ValueError(f"there are no answers, expected some of the {len(truth)} items of the truth")
    if strange := [item for item in found if item not in truth]:
        raise ValueError(f"{strange[0]!r} (and {len(strange) - 1} more) isn't in the truth, which has {len(truth)}")
    labels = sorted({*known.values(), *(label for rows in found.values() for label in rows)})
    number = {label: i for i, label in enumerate(labels)}
    return evaluate(
        [number[label] for label in known.values()],
        [[number[label] for label in found.get(item, ())] for item in known],
        labels,
    )


def single_labels(truth: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The label of each item. Raises `ValueError` where an item has two: the better one would be taken by chance."""
    if double := [item for item, labels in truth.items() if len(set(labels)) > 1]:
        labels = ", ".join(dict.fromkeys(truth[double[0]]))
        raise ValueError(f"the truth has several labels for {double[0]!r} ({labels}), expected one for each item")
    return {item: labels[0] for item, labels in truth.items()}


__all__ = ["ClassScore", "ClassificationReport", "evaluate", "evaluate_labels", "read_labels", "single_labels"]
