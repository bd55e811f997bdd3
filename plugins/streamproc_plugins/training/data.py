"""Labelled pictures and clips: samples, folders with a subfolder per class, and CSV files of segments."""

from __future__ import annotations

import csv
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, TextIO

import numpy as np
from numpy.typing import NDArray

from streamproc.errors import StreamprocError
from streamproc.folders import files_below
from streamproc.media.stills import PICTURE_SUFFIXES, natural

Side = Literal["", "training", "validation"]
Grouping = Literal["auto", "file", "prefix", "folder"]

CLIP_SUFFIXES = frozenset(
    {
        ".3gp",
        ".avi",
        ".flv",
        ".gif",
        ".m2ts",
        ".m4v",
        ".mkv",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".ogv",
        ".ts",
        ".webm",
        ".wmv",
    }
)
"""endings of files that are read as clips"""

_SIDES: Mapping[str, Side] = {
    "train": "training", "training": "training", "val": "validation", "valid": "validation",
    "validation": "validation", "test": "validation",
}  # fmt: skip
_UCF_GROUP = re.compile(r"_g(\d+)_c\d+$")
_NUMBER = re.compile(r"(?:[-_ .]+(?:frame|img|clip|f|c)?[-_ .]*)?\d+$", re.IGNORECASE)

_NAMES = 5
"""with fewer different names a name is likely to be the camera's (IMG_0001), not the recording's"""


def clean_label(text: str) -> str:
    """A label in composed form (Unicode NFC) with single blanks: `caf\u0065\u0301 ` and `caf\u00e9` are one class."""
    return " ".join(unicodedata.normalize("NFC", text).split())


class TrainingError(StreamprocError):
    """The data or the settings don't allow training; the message says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSample:
    """A picture, or a segment of a recording, and its label."""

    path: Path
    label: str
    group: str
    """samples taken together, such as frames of one recording: all of them go to one side of a split"""
    start_s: float = 0.0
    """media time; for clips"""
    end_s: float | None = None
    """None: to the end"""
    side: Side = ""
    """where the data say themselves which side it is for"""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Samples, and the labels by class id."""

    samples: tuple[TrainingSample, ...]
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        counts = Counter(sample.label for sample in self.samples)
        if len(counts) < 2:
            got = f"only {next(iter(counts))!r}" if counts else "none"
            raise TrainingError(f"training needs at least two classes, got {got}; add a folder or rows for another")
        if strange := sorted(set(counts) - set(self.labels)):
            raise TrainingError(f"samples have the label {strange[0]!r}, which isn't among {', '.join(self.labels)}")

    @cached_property
    def class_ids(self) -> NDArray[np.int64]:
        """int64 (N,)."""
        number = {label: i for i, label in enumerate(self.labels)}
        return np.array([number[sample.label] for sample in self.samples], np.int64)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Samples by class, int64 (C,)."""
        return np.bincount(self.class_ids, minlength=len(self.labels))

    def take(self, indices: Iterable[int]) -> tuple[TrainingSample, ...]:
        """These samples."""
        return tuple(self.samples[i] for i in indices)


def read_folder(folder: Path, suffixes: frozenset[str] = PICTURE_SUFFIXES, grouping: Grouping = "auto") -> Dataset:
    """A folder with a subfolder per class; or `train` and `val` (or `test`) with a subfolder per class each.

    Subfolders of a class's folder are groups (frames of one recording, say). Hidden files are passed over. Raises
    `TrainingError` for any other content.
    """
    if not folder.is_dir():
        raise TrainingError(
            f"{folder} {'is a file' if folder.exists() else 'does not exist'}, expected a folder per class"
        )
    parts = {_SIDES.get(child.name.lower(), ""): child for child in _folders(folder)}
    sided = "training" in parts and "" not in parts
    roots: Mapping[Side, Path] = parts if sided else {"": folder}
    found: list[TrainingSample] = []
    empty: list[Path] = []
    for side, root in roots.items():
        for own in _folders(root):
            samples = _class_samples(own, side, suffixes, grouping)
            found += samples
            empty += [] if samples else [own]
    if not found:
        kinds = ", ".join(sorted(suffixes)[:6])
        raise TrainingError(f"{folder} holds no subfolder per class with files such as {kinds} in it")
    filled = {sample.label for sample in found}
    if lost := [own for own in empty if clean_label(own.name) not in filled]:
        raise TrainingError(
            f"the class {lost[0].name!r} is empty: {lost[0]} holds no file such as {', '.join(sorted(suffixes)[:6])}; "
            "add some, or delete the folder"
        )
    return Dataset(samples=tuple(found), labels=tuple(sorted({sample.label for sample in found})))


def _folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def _class_samples(folder: Path, side: Side, suffixes: frozenset[str], grouping: Grouping) -> list[TrainingSample]:
    label = clean_label(folder.name)
    files = [p for p in files_below(folder) if p.suffix.lower() in suffixes and p.name[0] != "."]
    files.sort(key=natural)
    groups = groups_of([path.relative_to(folder) for path in files], grouping)
    return [
        TrainingSample(path=path, label=label, group=f"{folder.name}/{group}", side=side)
        for path, group in zip(files, groups, strict=True)
    ]


def groups_of(files: Sequence[Path], grouping: Grouping = "auto") -> list[str]:
    """The group of each file of one class, from its relative path.

    `auto` takes the first of these that separates the files: the group in UCF101's names (`v_Dive_g03_c01.avi`: g03),
    subfolders, the name without its last number (`lobby_0012.jpg`: lobby) where there are at least five such names,
    else each file is a group of its own.
    """
    ucf = [_UCF_GROUP.search(path.stem) for path in files]
    folders = [path.parent.as_posix() for path in files]
    prefixes = [_NUMBER.sub("", path.stem) or path.stem for path in files]
    own = [path.as_posix() for path in files]
    if grouping == "file":
        return own
    if grouping == "folder" or (grouping == "auto" and any(folder != "." for folder in folders)):
        return [name if folder == "." else folder for folder, name in zip(folders, own, strict=True)]
    if grouping == "auto" and files and all(ucf):
        return [f"g{match[1]}" for match in ucf if match]
    if grouping == "prefix" or len(set(prefixes)) >= _NAMES:
        return prefixes
    return own


def read_segments(path: Path) -> Dataset:
    """Segments from a CSV with the columns `path,label`, and where wanted `start_s,end_s,group,side`.

    Paths are relative to the CSV's folder. Without `group` the file is the group, so that segments of one recording
    stay together. `side` is `train` or `val`. Raises `TrainingError` naming each line that is wrong.
    """
    samples = read_rows(path)
    return Dataset(samples=tuple(samples), labels=tuple(sorted({sample.label for sample in samples})))


def read_rows(path: Path, column: str = "label") -> list[TrainingSample]:
    """The rows of such a CSV; the label stands in another `column` where it is named."""
    samples, wrong = [], []
    with _opened(path) as source:
        reader = csv.DictReader(source)
        if not {"path", column} <= set(reader.fieldnames or ()):
            columns = ", ".join(reader.fieldnames or ()) or "none"
            raise TrainingError(f"{path} has the columns {columns}, expected path,{column}[,start_s,end_s,group,side]")
        for row in reader:
            try:
                samples.append(_segment({k: v.strip() for k, v in row.items() if k and v}, path.parent, column))
            except ValueError as error:
                wrong.append(f"  {path}:{reader.line_num}: {error}")
    if wrong:
        more = f"\n  ... and {len(wrong) - 10} more" if len(wrong) > 10 else ""
        raise TrainingError("\n".join([f"{len(wrong)} lines are wrong:", *wrong[:10]]) + more)
    return samples


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """A CSV for reading; `TrainingError` where it can't be read."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as source:
            yield source
    except OSError as error:
        raise TrainingError(f"{path} can't be read ({error.strerror}); give a folder or a CSV") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(f"{path} is no CSV in UTF-8: {error}; save it as such") from None


def _segment(row: Mapping[str, str], folder: Path, column: str) -> TrainingSample:
    name, label, side = row.get("path", ""), clean_label(row.get(column, "")), row.get("side", "")
    if not name or not label:
        raise ValueError(f"no path or no {column}")
    if side and side.lower() not in _SIDES:
        raise ValueError(f"the side {side!r}, expected train or val")
    if not (folder / name).is_file():
        raise ValueError(f"{folder / name} does not exist")
    start, end = _seconds(row.get("start_s", "0")), _seconds(row["end_s"]) if "end_s" in row else None
    if end is not None and end <= start:
        raise ValueError(f"it ends at {end} s, not behind its start at {start} s")
    return TrainingSample(
        path=folder / name,
        label=label,
        group=row.get("group", name),
        start_s=start,
        end_s=end,
        side=_SIDES.get(side.lower(), ""),
    )


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number of seconds") from None
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{text} s, expected 0 or more")
    return value


__all__ = [
    "CLIP_SUFFIXES",
    "Dataset",
    "Grouping",
    "Side",
    "TrainingError",
    "TrainingSample",
    "clean_label",
    "groups_of",
    "read_folder",
    "read_rows",
    "read_segments",
]
