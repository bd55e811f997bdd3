"""The result of `embed`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from streamproc import Result, Shape
from streamproc.errors import check_array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Embedding(Result):
    """The whole picture as a vector: like pictures have a large cosine."""

    schema: ClassVar[str] = "streamproc.embedding/1"

    values: Annotated[NDArray[np.float32], Shape("D")]
    """float32 (D,), unit length"""
    model: str
    """the net that computed it; vectors of another net can't be compared with it"""

    def __post_init__(self) -> None:
        check_array("Embedding.values", self.values, np.float32, (None,))
        length = float(np.linalg.norm(self.values))
        if not abs(length - 1) < 1e-3:
            raise ValueError(f"Embedding.values has the length {length:.4g}, expected 1; divide it by that")
        self.values.flags.writeable = False
