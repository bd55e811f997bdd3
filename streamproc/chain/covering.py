"""Frames whose picture a plugin replaces, and frames without pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from streamproc.chain.step import Step
from streamproc.errors import StreamprocError
from streamproc.frames import ArrayPicture, Frame, PixelCache
from streamproc.replacement import Replacement


class Covered(Protocol):
    """An item on its way."""

    frame: Frame | None
    results: dict[tuple[str, type], Any]
    replaced: frozenset[int]


def replace_picture(passage: Covered, done: Sequence[Step]) -> None:
    """Replace the frame's picture behind a step that gives `Replacement`; by black where it is missing or misfits.

    done: steps that ended or hang; an earlier replacement stays.
    """
    for step in done:
        if passage.frame is not None and Replacement in step.plan.cls.gives and step.index not in passage.replaced:
            passage.frame = _replaced(passage.frame, passage.results.pop((step.name, Replacement), None))
            passage.replaced |= {step.index}


def _replaced(frame: Frame, found: Replacement | None) -> Frame:
    width, height = frame.size
    rgb = found.rgb if found is not None and found.rgb.shape == (height, width, 3) else None
    picture = ArrayPicture(np.zeros((height, width, 3), np.uint8) if rgb is None else rgb)
    return replace(frame, pixels=PixelCache(picture))


class _NoPicture:
    """Stands in for the pixels of a frame that a plugin without `pixels = True` gets."""

    width = 0
    height = 0

    def to_rgb(self) -> Any:
        raise StreamprocError("this plugin gets no pixels; set `pixels = True` in its class to get them")

    to_gray = to_rgb


def without_pixels(frame: Frame) -> Frame:
    """Return the same frame without access to its pixels."""
    return replace(frame, pixels=PixelCache(_NoPicture()))


__all__ = ["replace_picture", "without_pixels"]
