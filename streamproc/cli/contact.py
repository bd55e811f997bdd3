"""A contact sheet: some frames of a video in one picture, each with a line of text below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc import api

Image = NDArray[np.uint8]

MOST_TILES = 12
_COLUMNS = 3
_WIDTH = 480
_LINE = 26
"""height of the line of text"""
_GAP = 6
_PAPER, _INK = 24, (235, 235, 235)
_TEXT = 58
"""characters that fit into a line"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One frame of the video."""

    time_s: float
    text: str
    weight: int = 0
    """0: nothing to show; 1: a result; 2: an event"""


def write_sheet(video: Path, tiles: Sequence[Tile], file: Path) -> None:
    """Write a PNG with at most `MOST_TILES` frames, of those that have something to show if any has.

    tiles: one for each frame of the video, in order.
    """
    import cv2

    wanted = set(chosen(tiles))
    pictures = [
        _tile(record.frame.resized(_WIDTH, _height(record.frame.size)), tiles[number])
        for number, record in enumerate(api.run(video))
        if number in wanted and record.frame is not None
    ]
    _, data = cv2.imencode(".png", _grid(pictures)[..., ::-1])
    file.write_bytes(data.tobytes())


def chosen(tiles: Sequence[Tile]) -> list[int]:
    """Choose the frames to show: at most half for their events, the others spread evenly over all with a result.

    Where no frame has anything to show, they are spread over all.
    """
    full = [number for number, tile in enumerate(tiles) if tile.weight] or list(range(len(tiles)))
    if len(full) <= MOST_TILES:
        return full
    events = spread([number for number in full if tiles[number].weight > 1], MOST_TILES // 2)
    rest = [number for number in full if number not in events]
    return sorted((*events, *spread(rest, MOST_TILES - len(events))))


def spread(numbers: Sequence[int], most: int) -> list[int]:
    """At most so many of the numbers, evenly chosen."""
    if len(numbers) <= most:
        return list(numbers)
    return [numbers[round(place)] for place in np.linspace(0, len(numbers) - 1, most)]


def _height(size: tuple[int, int]) -> int:
    return max(1, round(size[1] * _WIDTH / size[0]))


def _tile(picture: Image, tile: Tile) -> Image:
    import cv2

    line: Any = np.full((_LINE, _WIDTH, 3), _PAPER, np.uint8)
    text = f"{tile.time_s:.2f} s  {tile.text}".encode("ascii", "replace").decode()  # the font has nothing else
    text = text if len(text) <= _TEXT else f"{text[: _TEXT - 3]}..."
    cv2.putText(line, text, (4, _LINE - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA)
    return np.concatenate([picture, line])


def _grid(pictures: Sequence[Image]) -> Image:
    columns = min(_COLUMNS, len(pictures))
    rows = -(-len(pictures) // columns)
    height = pictures[0].shape[0] + _GAP
    sheet = np.full((rows * height + _GAP, columns * (_WIDTH + _GAP) + _GAP, 3), _PAPER, np.uint8)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        top, left = _GAP + row * height, _GAP + column * (_WIDTH + _GAP)
        sheet[top : top + picture.shape[0], left : left + _WIDTH] = picture
    return sheet


__all__ = ["MOST_TILES", "Tile", "chosen", "spread", "write_sheet"]
