"""Conversion of a net's answer to a class for every pixel: functions of arrays.

DeepLab (Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation, arXiv 1706.05587, 2017; Encoder-
Decoder with Atrous Separable Convolution, ECCV 2018) and nets like it say a class, or a score for each, of every cell
of a grid over their input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamproc import ModelError, PluginError
from streamproc.errors import nearest
from streamproc.models import Net, Tensor

U8 = NDArray[np.uint8]

BACKGROUND = "background"
Form = Literal["ids", "scores", "probability"]
"""the net's output for each pixel: a class id, a score of each class, the probability of the one label"""

ONE_LABEL = ("probability",)
"""`decode` of nets of one label, which get a background"""
_MANY_LABELS = ("argmax", "pphumanseg")
DECODES = (*_MANY_LABELS, *ONE_LABEL)
"""decodes of a model"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputForm:
    """Layout of a net's first output, to get class ids from."""

    form: Form
    axis: int
    """of the classes, behind the batch; -1 also where there is none"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Classes:
    """The labels that are given, the background first, and the place of each of the net's classes among them."""

    labels: tuple[str, ...]
    table: U8
    """uint8 (C,): index into `labels` by the net's class id"""

    @classmethod
    def of(cls, known: Sequence[str], wanted: Sequence[str]) -> Classes:
        """known: the net's labels by class id. wanted: those to give; empty: all.

        Unwanted labels become background. A net that has no background of its own gets one, which then only holds
        unwanted labels. Raises `PluginError` naming labels that the net doesn't have and the nearest that it has.
        """
        if unknown := [label for label in wanted if label not in known]:
            names = ", ".join(f"{label!r}{nearest(label, known)}" for label in unknown)
            raise PluginError(f"the model has no label {names}; it knows {', '.join(known)}")
        given = [label for label in known if label != BACKGROUND and (not wanted or label in wanted)]
        labels = (BACKGROUND, *dict.fromkeys(given))
        if len(labels) > 256:
            raise PluginError(f"there are {len(labels)} labels, expected at most 256; choose some with `labels`")
        place = {label: index for index, label in enumerate(labels)}
        return cls(labels=labels, table=np.array([place.get(label, 0) for label in known], np.uint8))


def reading_of(net: Net, labels: Sequence[str]) -> OutputForm:
    """The layout of the net's first output; `ModelError` naming both shapes where it doesn't fit.

    labels: by class id, for `probability` the one label without a background.
    """
    decode, found = net.entry.decode, net.outputs[0]
    if decode in ONE_LABEL:
        net.expect(decode, {"#0": _grid(found, 1)})
        return OutputForm(form="probability", axis=_axis(found, 1))
    if found.dtype.startswith(("int", "uint")) and not found.scale:
        ids = (1, None, None) if len(found.shape) == 3 else _grid(found, 1)
        net.expect(decode, {"#0": ids})
        return OutputForm(form="ids", axis=-1 if len(found.shape) == 3 else _axis(found, 1))
    net.expect(decode, {"#0": _grid(found, len(labels))})
    return OutputForm(form="scores", axis=_axis(found, len(labels)))


def check_labels(net: Net, labels: Sequence[str]) -> None:
    """Refuse a model whose labels don't fit its `decode`; `ModelError`."""
    if net.entry.decode in ONE_LABEL and len(labels) != 1:
        raise ModelError(
            f"{net.entry.name} has {len(labels)} labels, but `decode` says {net.entry.decode!r}, which is of one; mend "
            "its manifest"
        )


def class_ids(net: Net, answer: NDArray[Any], reading: OutputForm, threshold: float) -> NDArray[Any]:
    """Class ids (h, w) of a net's first output; for a probability True where it reaches the threshold.

    Raises `ModelError` where the answer holds NaN.
    """
    if reading.form == "probability":
        return probability(net, answer, reading) >= threshold
    picture = _finite(net, answer[0])
    if reading.form == "scores":
        return np.asarray(picture.argmax(axis=reading.axis))
    return picture if picture.ndim == 2 else picture.squeeze(axis=reading.axis)


def probability(net: Net, answer: NDArray[Any], reading: OutputForm) -> NDArray[np.float32]:
    """Probability float32 (h, w) of the one label; `ModelError` where the answer holds NaN."""
    picture = _finite(net, net.outputs[0].dequantise(answer[0]))
    return np.asarray(picture.squeeze(axis=reading.axis), np.float32)


def class_map(ids: NDArray[Any], table: U8) -> U8:
    """uint8 (h, w): `table` at each id; `ModelError` for ids that it doesn't have."""
    if ids.dtype == np.bool_:
        return np.asarray(np.where(ids, table[1], table[0]), np.uint8)
    low, high = int(ids.min(initial=0)), int(ids.max(initial=0))
    if low < 0 or high >= len(table):
        wrong = low if low < 0 else high
        raise ModelError(f"the net gave the class {wrong}, but the model has {len(table)} labels; mend its manifest")
    return np.asarray(table[ids], np.uint8)


def inner(ids: NDArray[Any], input_hw: tuple[int, int], picture_hw: tuple[int, int]) -> NDArray[Any]:
    """The part of a grid over a net's input that a letterboxed picture covers (it lies in the upper left corner).

    picture_hw: height and width of the picture in the input.
    """
    rows, columns = (
        max(1, round(n * part / whole)) for n, part, whole in zip(ids.shape, picture_hw, input_hw, strict=True)
    )
    return ids[:rows, :columns]


def without_small(found: U8, least: int) -> U8:
    """The same class map (h, w), 4-connected regions of a class of fewer than `least` pixels made background."""
    import cv2

    out = found.copy()
    for label in np.flatnonzero(np.bincount(found.ravel())).tolist():
        if label == 0:
            continue
        _, regions, stats, _ = cv2.connectedComponentsWithStats((found == label).astype(np.uint8), connectivity=4)
        small = stats[:, cv2.CC_STAT_AREA] < least
        small[0] = False
        if small.any():
            out[small[regions]] = 0
    return out


def _finite(net: Net, picture: NDArray[Any]) -> NDArray[Any]:
    if picture.dtype.kind == "f" and not np.isfinite(picture).all():
        raise ModelError(f"{net.entry.name} answered with numbers that are not finite; the model is broken")
    return picture


def _axis(found: Tensor, channels: int) -> int:
    """The axis of the channels behind the batch: the last one, unless only the first has that length."""
    shape = found.shape
    first = len(shape) == 4 and shape[1] == channels and shape[3] != channels
    return 0 if first else -1


def _grid(found: Tensor, channels: int) -> tuple[int | None, ...]:
    return (1, channels, None, None) if _axis(found, channels) == 0 else (1, None, None, channels)


__all__ = [
    "BACKGROUND",
    "DECODES",
    "ONE_LABEL",
    "Classes",
    "OutputForm",
    "check_labels",
    "class_ids",
    "class_map",
    "inner",
    "probability",
    "reading_of",
    "without_small",
]
