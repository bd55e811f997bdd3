"""What a source gives, checked as the output of plugins is: an author's mistake is named where it is made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from operator import index
from typing import Any

from streamproc.classes import class_name
from streamproc.errors import SourceError
from streamproc.source import InputInfo, Shot


def checked_info(source: object, info: Any) -> InputInfo:
    """What `open` gave; `SourceError` names the class where it can't be used."""
    if isinstance(info, InputInfo):
        return info
    raise SourceError(
        f"{class_name(type(source))}: open gave {_what(info)}, expected InputInfo; end it with: "
        'return InputInfo(identity="...", live=False)'
    )


def checked_shots(source: object, shots: Any) -> Iterator[Shot | None]:
    """What a source or its decoder gives; `SourceError` names the class where it can't be used."""
    if not isinstance(shots, Iterable):
        raise SourceError(f"{class_name(type(source))} gave {_what(shots)}, expected pictures; yield them one by one")
    for shot in shots:
        yield _checked(source, shot)


def _checked(source: object, shot: Any) -> Shot | None:
    if shot is None:
        return None
    if not isinstance(shot, Shot):
        raise SourceError(
            f"{class_name(type(source))} gave {_what(shot)} in place of a picture, expected Shot; write: "
            "yield Shot(picture=ArrayPicture(rgb), pts_ns=...)"
        )
    if not hasattr(shot.picture, "to_rgb"):
        raise SourceError(
            f"{class_name(type(source))} gave a Shot whose picture is {_what(shot.picture)}, expected a picture; "
            "write: picture=ArrayPicture(rgb)"
        )
    if shot.pts_ns is None or type(shot.pts_ns) is int:
        return shot
    try:
        return replace(shot, pts_ns=index(shot.pts_ns))
    except TypeError:
        raise SourceError(
            f"{class_name(type(source))} gave a Shot at pts_ns={shot.pts_ns!r}, expected a whole number of "
            "nanoseconds, or None; of seconds make: pts_ns=seconds(1.5)"
        ) from None


def _what(value: object) -> str:
    return "None" if value is None else f"an object of class {type(value).__name__}"


__all__ = ["checked_info", "checked_shots"]
