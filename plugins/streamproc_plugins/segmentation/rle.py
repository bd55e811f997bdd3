"""Masks as run lengths, in the two forms of the COCO data set (Lin et al., ECCV 2014). Functions of arrays.

A mask is read column by column, each from top to bottom. `counts` are the lengths of its runs, the first of them of
pixels that are off (perhaps 0 long). The compressed form is the same numbers in printable ASCII, as pycocotools writes
them: from the fourth on less the one two before, in groups of 5 bits, the lowest first, bit 6 where more follow, the
highest group with its sign, and 48 added to each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Rle = dict[str, Any]
"""`size` [height, width] and `counts`, a list of numbers or a text; JSON values"""


def encode(mask: NDArray[Any], *, compressed: bool = True) -> Rle:
    """The run lengths of a mask (h, w) of bool or of numbers, of which all but 0 are on.

    >>> encode(np.array([[0, 1], [1, 1]]), compressed=False)
    {'size': [2, 2], 'counts': [1, 3]}
    """
    if mask.ndim != 2:
        raise ValueError(f"the mask has the shape {mask.shape}, expected (height, width); give one mask at a time")
    counts = run_lengths(mask)
    return {"size": list(mask.shape), "counts": to_text(counts) if compressed else counts}


def decode(rle: Rle) -> Mask:
    """The mask, bool (h, w), of either form; `ValueError` where the runs don't fill it.

    >>> decode({"size": [2, 2], "counts": [1, 3]}).tolist()
    [[False, True], [True, True]]
    """
    height, width = rle["size"]
    counts = rle["counts"]
    runs = from_text(counts) if isinstance(counts, str | bytes) else [int(run) for run in counts]
    if min(runs, default=0) < 0 or sum(runs) != height * width:
        raise ValueError(
            f"the runs cover {sum(runs)} pixels, expected {height} x {width} = {height * width}; they may be cut off"
        )
    on = np.arange(len(runs)) % 2 == 1
    return np.ascontiguousarray(np.repeat(on, runs).reshape(width, height).T)


def run_lengths(mask: NDArray[Any]) -> list[int]:
    """Lengths of the runs of a mask (h, w) in columns, starting with a run of zeros."""
    flat = np.asarray(mask, np.bool_).ravel(order="F")
    if not flat.size:
        return []
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.concatenate([[0], changes, [flat.size]])
    lengths: list[int] = np.diff(starts).tolist()
    return [0, *lengths] if flat[0] else lengths


def to_text(counts: Sequence[int]) -> str:
    """The compressed form of run lengths.

    >>> to_text([1, 3]), to_text([0, 40, 100, 3])
    ('13', '0X1T3kN')
    """
    letters: list[str] = []
    for index, count in enumerate(counts):
        rest = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            group, rest = rest & 0x1F, rest >> 5
            # the sign bit of the last group says how it goes on: all ones, or all zeros
            more = rest != (-1 if group & 0x10 else 0)
            letters.append(chr((group | 0x20 if more else group) + 48))
    return "".join(letters)


def from_text(text: str | bytes) -> list[int]:
    """Run lengths of the compressed form; `ValueError` where it isn't one."""
    codes = list(text.encode("latin-1") if isinstance(text, str) else text)
    if codes and not (min(codes) >= 48 and max(codes) < 48 + 64 and not (codes[-1] - 48) & 0x20):
        raise ValueError(f"{text!r:.40} isn't the compressed form of run lengths; it may be cut off")
    counts: list[int] = []
    value = shift = 0
    for code in codes:
        group = code - 48
        value |= (group & 0x1F) << shift
        shift += 5
        if group & 0x20:
            continue
        if group & 0x10:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    return counts


__all__ = ["Mask", "Rle", "decode", "encode", "from_text", "run_lengths", "to_text"]
