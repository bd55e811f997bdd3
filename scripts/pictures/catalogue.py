"""Which pictures there are: each a function that makes one, registered under the name of its file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scripts.pictures.browser import screenshot

Picture = NDArray[np.uint8]
"""uint8 (h, w, 3), RGB"""


@dataclass(frozen=True)
class Studio:
    """What makers share: a folder for a while, where trained nets lie and pages become pictures."""

    folder: Path

    def shot(self, page: str, *, wide: int = 1120, high: int = 2400) -> Picture:
        """A page of HTML as a picture, cut below the last thing that it shows."""
        target = self.folder / "page.html"
        target.write_text(page, encoding="utf-8")
        return screenshot(target, self.folder, wide=wide, high=high)

    def once(self, name: str, make: Callable[[Path], object]) -> Path:
        """A folder that `make` fills, the first time that it is asked for."""
        folder = self.folder / name
        if not folder.exists():
            half = self.folder / f".{name}"
            shutil.rmtree(half, ignore_errors=True)
            half.mkdir()
            make(half)
            half.rename(folder)
        return folder


Maker = Callable[[Studio], Picture]
MAKERS: dict[str, Maker] = {}
"""by file name"""


def picture(file: str) -> Callable[[Maker], Maker]:
    """Registers a maker under the file that it makes, `.png` or `.jpg`."""

    def register(maker: Maker) -> Maker:
        MAKERS[file] = maker
        return maker

    return register


__all__ = ["MAKERS", "Maker", "Picture", "Studio", "picture"]
