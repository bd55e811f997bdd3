"""Pictures made ready to leave this machine: parts covered for good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc_plugins.blur.anonymise import anonymise, grown

Image = NDArray[np.uint8]

_MARGIN = 0.15


def hidden(rgb: Image, boxes: Sequence[NDArray[Any]]) -> Image:
    """A picture uint8 (h, w, 3) with the boxes (N, 4), and a margin around them, made unrecognisable."""
    if not boxes:
        return rgb
    return anonymise(
        rgb, grown(np.concatenate([np.asarray(part, np.float64).reshape(-1, 4) for part in boxes]), _MARGIN)
    )
