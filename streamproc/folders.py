"""Files below a folder, linked folders included."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def files_below(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder, linked folders included, in no order; links to a parent folder are skipped.

    Paths begin with `folder` as it is given. Unreadable folders are skipped.
    """
    yield from _below(folder, frozenset())


def _below(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        path = folder / entry.name
        if entry.is_dir():
            yield from _below(path, above | {real})
        elif entry.is_file():
            yield path


__all__ = ["files_below"]
