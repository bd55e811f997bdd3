"""The result by which a plugin hides the source's picture from everything later in the chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from streamproc.arrow_forms import Shape
from streamproc.errors import check_array
from streamproc.results import Result


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Replacement(Result):
    """Picture that replaces the source's for everything behind a `StreamPlugin`: plugins, thumbnails, frame sinks.

    Where a plugin that names it in `gives` gives none for a frame (it failed, it hangs, it is off, it wasn't due), the
    picture is black: nothing of the source's picture passes.
    """

    schema: ClassVar[str] = "streamproc.replacement/1"

    rgb: Annotated[NDArray[np.uint8], Shape("height", "width", 3)]
    """uint8 (height, width, 3), as large as the frame"""

    def __post_init__(self) -> None:
        check_array("Replacement.rgb", self.rgb, np.uint8, (None, None, 3))
        self.rgb.flags.writeable = False


__all__ = ["Replacement"]
