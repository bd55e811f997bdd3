"""Paths as users write them."""

from __future__ import annotations

from pathlib import Path


def expand(path: str | Path) -> Path:
    """Replace `~` or `~user` at the beginning of a path by that home folder.

    A name such as `~clip.mp4`, which fits no user, stays as it is.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


__all__ = ["expand"]
