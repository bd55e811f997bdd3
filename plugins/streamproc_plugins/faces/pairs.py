"""A CSV of pairs of photos, scored: are both of one person?"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamproc import PluginError
from streamproc.errors import counted, writing
from streamproc.evaluation.tables import figures, to_json
from streamproc.media.stills import read_picture
from streamproc.models import ModelStore
from streamproc_plugins.faces.enrolment import Photographer, read_photo
from streamproc_plugins.faces.operating import threshold_for
from streamproc_plugins.faces.verification import cosine_of, sweep
from streamproc_plugins.storage import write_private

F32 = NDArray[np.float32]

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
_TRUTHS = frozenset({"same", "label", "is_same", "issame", "target", "match"})
_YES = frozenset({"1", "1.0", "true", "yes", "same", "genuine", "y", "t"})
_NO = frozenset({"0", "0.0", "-1", "false", "no", "different", "impostor", "n", "f"})
_COLUMNS = ("first", "second", "same", "cosine", "distance", "verdict", "problem")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRow:
    """Two photos."""

    first: str
    second: str
    same: bool | None
    """whether both are known to be of one person; None where the file doesn't say"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredPair:
    """Two photos and how alike their faces are."""

    pair: PairRow
    cosine: float | None
    """None where a photo has no face"""
    problem: str = ""
    """why there is no cosine"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairJob:
    """Input and settings of a scoring of pairs."""

    pairs: Path
    photos: Path | None
    """folder that relative paths start from; None: that of the CSV"""
    out: Path | None
    """CSV to write; None: none"""
    strangers_matched: float
    threshold: float | None
    as_json: bool


def read_pairs(path: Path) -> list[PairRow]:
    """The rows of a CSV: two columns of paths, and where there is one a column that says whether both are one person.

    With a header that column is called `same` or `label`, without one it is the third.
    Raises `PluginError` that names the line.
    """
    try:
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    except OSError as error:
        raise PluginError(f"{path} can't be read ({error.strerror}); give a CSV of pairs of photos") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise PluginError(f"{path} can't be read as CSV in UTF-8: {error}; give rows of two paths") from None
    if not rows or len(rows[0]) < 2:
        raise PluginError(f"{path} has no two columns, expected first,second or first,second,same")
    head = [name.strip().lower() for name in rows[0]]
    bare = all(Path(name).suffix in PICTURES for name in head[:2])
    known = [2] if bare else [place for place, name in enumerate(head) if place > 1 and name in _TRUTHS]
    found = []
    for number, row in enumerate(rows if bare else rows[1:], start=1 if bare else 2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) < 2 or not row[0].strip() or not row[1].strip():
            raise PluginError(f"{path}:{number}: expected two paths, got {','.join(row)!r}")
        truth = row[known[0]] if known and len(row) > known[0] else ""
        same = _truth(truth, f"{path}:{number}")
        found.append(PairRow(first=row[0].strip(), second=row[1].strip(), same=same))
    if not found:
        raise PluginError(f"{path} has no pairs; give a row of two paths for each")
    return found


def _truth(text: str, where: str) -> bool | None:
    word = text.strip().lower()
    if word and word not in _YES | _NO:
        raise PluginError(f"{where}: {text!r} doesn't say whether both are one person; expected 1 or 0")
    return None if not word else word in _YES


def score_pairs(job: PairJob, embedding: str) -> str:
    """Score every pair and write `job.out`; the summary as a table or JSON."""
    pairs = read_pairs(job.pairs)
    root = job.pairs.parent if job.photos is None else job.photos
    names = list(dict.fromkeys(name for pair in pairs for name in (pair.first, pair.second)))
    if missing := [name for name in names if not (root / name).is_file()]:
        raise PluginError(
            f"{counted(len(missing), 'photo')} of {job.pairs} can't be found in {root}, such as {missing[0]}; "
            "name the folder that the paths start from (--photos)"
        )
    photographer = Photographer(ModelStore(), embedding)
    threshold = job.threshold
    if threshold is None:
        threshold = threshold_for(photographer.embed.strangers, 1, job.strangers_matched)
    looks = {name: _look(photographer, root / name) for name in names}
    scored = [_scored(pair, looks) for pair in pairs]
    if job.out is not None:
        with writing(job.out):
            write_private(job.out, _table(scored, threshold).encode())
    values = _summary(scored, threshold)
    return (
        to_json({**values, "pairs": [_values(item, threshold) for item in scored]}) if job.as_json else figures(values)
    )


def _look(photographer: Photographer, path: Path) -> F32 | str:
    """The embedding of the face nearest to a photo's middle, or why there is none."""
    if read_picture(path) is None:
        return f"{path.name} isn't a picture"
    rgb = read_photo(path)
    faces = photographer.faces(rgb)
    if not len(faces.xyxy):
        return f"no face on {path.name}"
    assert faces.embeddings is not None
    away = (faces.xyxy[:, :2] + faces.xyxy[:, 2:]) / 2 - np.array([rgb.shape[1], rgb.shape[0]]) / 2
    return np.asarray(faces.embeddings[int((away**2).sum(axis=1).argmin())])


def _scored(pair: PairRow, looks: dict[str, F32 | str]) -> ScoredPair:
    first, second = looks[pair.first], looks[pair.second]
    if isinstance(first, str) or isinstance(second, str):
        return ScoredPair(pair=pair, cosine=None, problem=first if isinstance(first, str) else str(second))
    return ScoredPair(pair=pair, cosine=float(np.clip(np.dot(first, second), -1, 1)))


def _values(item: ScoredPair, threshold: float) -> dict[str, object]:
    cosine = item.cosine
    distance = None if cosine is None else float(np.sqrt(max(2 - 2 * cosine, 0)))
    verdict = "" if cosine is None else "same" if cosine >= threshold else "different"
    same = None if item.pair.same is None else int(item.pair.same)
    columns = (item.pair.first, item.pair.second, same, cosine, distance, verdict, item.problem)
    return dict(zip(_COLUMNS, columns, strict=True))


def _table(scored: Sequence[ScoredPair], threshold: float) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for item in scored:
        cells = _values(item, threshold).values()
        writer.writerow(["" if c is None else f"{c:.6f}" if isinstance(c, float) else c for c in cells])
    return text.getvalue()


def _summary(scored: Sequence[ScoredPair], threshold: float) -> dict[str, float | int]:
    """Counts, and where the truth is known the rates at the threshold and at the best one."""
    known = [(item.cosine, item.pair.same) for item in scored if item.cosine is not None and item.pair.same is not None]
    values: dict[str, float | int] = {
        "pairs": len(scored),
        "without a face": sum(item.cosine is None for item in scored),
        "threshold (cosine)": threshold,
        "taken for one person": sum(item.cosine is not None and item.cosine >= threshold for item in scored),
    }
    cosine, same = np.array([c for c, _ in known], np.float64), np.array([s for _, s in known], np.bool_)
    if known and same.any() and not same.all():
        taken = cosine >= threshold
        curve = sweep(np.sqrt(np.maximum(2 - 2 * cosine, 0)), same)
        values |= {
            "accuracy": float((taken == same).mean()),
            "strangers matched": float(taken[~same].mean()),
            "people missed": float(1 - taken[same].mean()),
            "best accuracy": float(curve.accuracy[curve.best]),
            "best accuracy at (cosine)": float(cosine_of(curve.distance[curve.best])),
        }
    return values


__all__ = ["PairJob", "PairRow", "ScoredPair", "read_pairs", "score_pairs"]
