"""Arrays as plain JSON values, exactly: for the state of plugins."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def pack(array: NDArray[Any]) -> dict[str, Any]:
    """dtype, shape and compressed values."""
    data = zlib.compress(np.ascontiguousarray(array).tobytes(), 1)
    return {"dtype": array.dtype.str, "shape": list(array.shape), "zlib": base64.b64encode(data).decode()}


def unpack(packed: Mapping[str, Any]) -> NDArray[Any]:
    """The array that `pack` packed."""
    data = zlib.decompress(base64.b64decode(packed["zlib"]))
    return np.frombuffer(data, np.dtype(packed["dtype"])).reshape(packed["shape"])


__all__ = ["pack", "unpack"]
