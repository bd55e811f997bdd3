"""A decoder's picture as plain arrays, for files that must hold nothing that can run code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from streamproc.frames import Image, Picture
from streamproc.media.picture import AvPicture, _restored

_PLANE = "plane"


def pack_picture(picture: Picture) -> dict[str, Image] | None:
    """The planes of a decoder's picture as uint8 arrays (h, w) with what they mean; None for any other picture."""
    if not isinstance(picture, AvPicture):
        return None
    restore, parts = picture.__reduce__()
    if restore is not _restored:
        return None
    planes, *about = parts
    text = json.dumps(about, default=int).encode()
    return {**{f"{_PLANE}{n}": plane for n, plane in enumerate(planes)}, "about": np.frombuffer(text, np.uint8)}


def unpack_picture(arrays: Mapping[str, Any]) -> AvPicture:
    """The picture that `pack_picture` took apart, the same to the last bit; `ValueError` where the arrays don't fit."""
    try:
        about = json.loads(bytes(np.asarray(arrays["about"], np.uint8)))
        planes = [np.asarray(arrays[f"{_PLANE}{n}"], np.uint8) for n in range(len(arrays) - 1)]
        return _restored(planes, *map(_tuples, about))
    except (KeyError, TypeError, IndexError, OverflowError, OSError) as error:
        raise ValueError(f"these are no planes of a picture ({type(error).__name__}: {error})") from error


def _tuples(value: Any) -> Any:
    """JSON has lists where the picture has tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


__all__ = ["pack_picture", "unpack_picture"]
