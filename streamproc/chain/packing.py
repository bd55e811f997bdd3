"""Pictures as plain JSON values, for states that a checkpoint stores."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from streamproc.frames import Image


def pack_image(image: Image) -> dict[str, Any]:
    """Return a picture as plain JSON values, without loss."""
    data = base64.b64encode(zlib.compress(image.tobytes(), 1)).decode()
    return {"shape": list(image.shape), "zlib": data}


def unpack_image(packed: Mapping[str, Any]) -> Image:
    """Return the picture that `pack_image` packed."""
    data = zlib.decompress(base64.b64decode(packed["zlib"]))
    return np.frombuffer(data, np.uint8).reshape(packed["shape"])


__all__ = ["pack_image", "unpack_image"]
