"""Files below a folder, also behind symbolic links."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder, of linked folders too, in no order; a link back to a folder above is left out.

    Paths begin with `folder` as it is given. Folders that can't be read are left out.
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
