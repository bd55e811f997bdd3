"""A small net that finds people and cars of the synthetic scene."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.pictures.catalogue import Studio
from scripts.pictures.nets import fit, keep, picture_input, settle
from scripts.pictures.runs import Rgb, scene

HW = (192, 320)
"""height and width of its input"""
LABELS = ("person", "car")


def boxes_net(studio: Studio) -> Path:
    """FastestDet's kind of answer for people and cars of the synthetic scene, trained on other seeds of it."""

    def train(folder: Path) -> None:
        settle()
        pictures, truth = street(700)
        model = _boxes_model()
        fit(model, (pictures.astype(np.float32), truth), _boxes_loss, epochs=9, rate=3e-3, batch=16)
        size = picture_input(HW)
        keep(folder, model, task="detection", decode="fastestdet", labels=list(LABELS), input=size, min_score=0.5)

    return studio.once("boxes", train)


def street(count: int) -> tuple[Rgb, NDArray[np.float32]]:
    """Pictures uint8 (N, h, w, 3) and what the net is to answer, (N, 7, h / 16, w / 16): see `_boxes_loss`."""
    height, width = HW
    rows, columns = height // 16, width // 16
    pictures, truth = [], np.zeros((count, 7, rows, columns), np.float32)
    for number in range(count):
        if number % 25 == 0:
            made = scene(width=640, height=360, rate=2, seconds=40, seed=1000 + number, figures=24, noise=3)
        index = int(np.random.default_rng(number).integers(len(made)))
        pictures.append(cv2.resize(made.render(index), (width, height), interpolation=cv2.INTER_AREA))
        for one in made.truth(index):
            if one.share < 0.4:
                continue
            left, top, right, bottom = np.array(one.box) / (640, 360, 640, 360)
            x, y = (left + right) / 2 * columns, (top + bottom) / 2 * rows
            cell = (number, slice(None), min(int(y), rows - 1), min(int(x), columns - 1))
            kind = LABELS.index(one.label)
            truth[cell] = [1, x - int(x), y - int(y), right - left, bottom - top, 1 - kind, kind]
    return np.stack(pictures), truth


def _boxes_model() -> Any:
    import keras
    from keras import layers

    picture = keras.Input((*HW, 3), name="picture")
    x = layers.Rescaling(1 / 127.5, offset=-1)(picture)
    for channels in (12, 24, 48, 64):
        x = layers.Conv2D(channels, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
        x = layers.Conv2D(channels, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(96, 3, padding="same", activation="relu")(x)
    bias = keras.initializers.Constant([-3.0])
    seen = layers.Conv2D(1, 1, activation="sigmoid", bias_initializer=bias)(x)
    place = layers.Conv2D(4, 1)(x)
    kind = layers.Conv2D(len(LABELS), 1, activation="softmax")(x)
    return keras.Model(picture, layers.Permute((3, 1, 2))(layers.Concatenate()([seen, place, kind])), name="boxes")


def _boxes_loss(truth: Any, found: Any) -> Any:
    """Objectness in every cell; place (tanh), size (sigmoid) and label where something's middle is."""
    from keras import ops

    there, odds = truth[:, 0], ops.clip(found[:, 0], 1e-5, 1 - 1e-5)
    seen = -ops.mean(4 * there * ops.log(odds) + (1 - there) * ops.log(1 - odds)) * 20
    place = ops.sum(ops.abs(truth[:, 1:3] - ops.tanh(found[:, 1:3])), axis=1)
    size = ops.sum(ops.abs(ops.log(truth[:, 3:5] + 1e-3) - ops.log(ops.sigmoid(found[:, 3:5]) + 1e-3)), axis=1)
    kind = -ops.sum(truth[:, 5:] * ops.log(found[:, 5:] + 1e-6), axis=1)
    return seen + ops.sum(there * (2 * place + 2 * size + kind)) / (ops.sum(there) + 1)


__all__ = ["HW", "boxes_net", "street"]
