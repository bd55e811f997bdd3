"""Nets of the model store over pictures with known answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc.errors import ModelError, nearest
from streamproc.evaluation import classification, segmentation
from streamproc.media.stills import PICTURE_SUFFIXES, require_picture
from streamproc.models import ModelStore, label_ids, prepare
from streamproc.models.entries import InputSpec


def classify(
    store: ModelStore, model: str, truth: Mapping[str, str], folder: Path
) -> classification.ClassificationReport:
    """Run an image classifier over pictures.

    truth: label by path of the picture, relative to `folder`. A label is one of the model's, one of its synonyms, or a
    class id. Raises `ModelError` where the model isn't a classifier or doesn't know a label, `ValueError` for files
    that aren't pictures.
    """
    net = store.load(model)
    spec = _input(net.entry.input, model)
    net.expect("classification", {"#0": (1, len(net.labels))})
    ids = {label: _class_id(label, net.labels, model) for label in set(truth.values())}
    ranked = []
    for name in truth:
        output = net(prepare(require_picture(folder / name), spec)[0])[0]
        ranked.append(np.argsort(-net.outputs[0].dequantise(output).reshape(-1), kind="stable").tolist())
    return classification.evaluate([ids[label] for label in truth.values()], ranked, net.labels)


def segment(store: ModelStore, model: str, masks: Mapping[str, Path], folder: Path) -> segmentation.MaskReport:
    """Run a segmentation net over the pictures that masks belong to, and score it at the masks' size.

    masks: by name, as `segmentation.find_masks` gives them. folder: holds the pictures under the same names. The net
    gives class ids (1, h, w), or scores (1, h, w, C) or (1, C, h, w). Raises as `classify` does.
    """
    net = store.load(model)
    spec = _input(net.entry.input, model)
    labels = net.labels
    pictures = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in PICTURE_SUFFIXES}
    if missing := [name for name in masks if name not in pictures]:
        raise ValueError(
            f"{folder} has no picture for the mask {masks[missing[0]].name}, expected {missing[0]}.jpg or so"
        )
    if len(labels) < 2 or spec.resize != "stretch":
        raise ModelError(
            f"{model} has {len(labels)} labels and the resize {spec.resize}, expected several labels and stretch; run "
            "the plugin `segmentation` with it and score the masks"
        )

    def pairs() -> Any:
        for name, path in masks.items():
            known = segmentation.read_mask(path)
            output = net(prepare(require_picture(pictures[name]), spec)[0])[0]
            yield known, _enlarged(_ids(output, len(labels), model), known.shape)

    return segmentation.evaluate(pairs(), labels)


def _ids(output: NDArray[Any], count: int, model: str) -> NDArray[np.int64]:
    """Class ids (h, w) of a segmentation net's output."""
    found = output[0]
    if found.ndim == 3:
        axes = [axis for axis in (2, 0) if found.shape[axis] == count]
        if found.shape[2] == 1 and not axes:
            found = found[..., 0]
        elif axes:
            found = found.argmax(axis=axes[0])
    if found.ndim != 2:
        raise ModelError(f"{model} gives {output.shape}, expected class ids (1, h, w) or scores of {count} classes")
    return np.asarray(found, np.int64)


def _enlarged(ids: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Class ids at the size of the truth: each pixel the class of the nearest one."""
    if ids.shape == shape:
        return ids
    rows = ((np.arange(shape[0]) + 0.5) * ids.shape[0] / shape[0]).astype(np.int64)
    columns = ((np.arange(shape[1]) + 0.5) * ids.shape[1] / shape[1]).astype(np.int64)
    return np.asarray(ids[rows[:, None], columns])


def _input(spec: InputSpec | None, model: str) -> InputSpec:
    if spec is None or spec.layout == "NDHWC":
        raise ModelError(f"{model} isn't declared with an input of single pictures (layout NCHW or NHWC)")
    return spec


def _class_id(label: str, known: tuple[str, ...], model: str) -> int:
    if label.isdigit() and int(label) < len(known):
        return int(label)
    found = label_ids(label, known) or label_ids(label.replace("_", " "), known)
    if not found:
        words = [word for name in known for word in name.split(", ")]
        raise ModelError(f"{model} has no label {label!r}{nearest(label, words)}; it knows {len(known)}")
    return found[0]


__all__ = ["classify", "segment"]
