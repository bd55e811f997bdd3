"""Small nets that tell people and packing cases of drawn rooms from the ground, pixel by pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.pictures import figures
from scripts.pictures.catalogue import Studio
from scripts.pictures.nets import fit, keep, noisy, picture_input, settle, somebody
from scripts.pictures.runs import Rgb

HW = (96, 160)
"""height and width of the net that sees whole pictures"""
SIDE = 64
"""of the one that sees crops"""
CLASSES = ("background", "person", "case")


def packing_case(board: Rgb, mask: NDArray[np.uint8], left: int, ground: int, size: int) -> None:
    """A wooden case that stands on the ground, onto a picture and as class 2 onto its mask."""
    top = ground - size
    cv2.rectangle(board, (left, top), (left + size, ground), (168, 122, 66), -1)
    for line in ((left, top, left + size, ground), (left, ground, left + size, top)):
        cv2.line(board, line[:2], line[2:], (128, 90, 46), max(size // 10, 1), cv2.LINE_AA)
    cv2.rectangle(board, (left, top), (left + size, ground), (112, 78, 40), max(size // 12, 1))
    mask[max(top, 0) : ground + 1, max(left, 0) : left + size + 1] = 2


def person_mask(points: NDArray[np.float32], hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Where somebody with these keypoints is drawn, (h, w)."""
    white, black = np.full((*hw, 3), 255, np.uint8), np.zeros((*hw, 3), np.uint8)
    for board in (white, black):
        figures.draw(board, points, 0)
    return np.asarray((white == black).all(axis=2))


def crowd(rng: np.random.Generator, hw: tuple[int, int]) -> tuple[Rgb, NDArray[np.uint8]]:
    """A room with up to three people and a packing case: picture and classes (h, w)."""
    height, width = hw
    board, classes = figures.wall(width, height, int(rng.integers(1000))), np.zeros(hw, np.uint8)
    if rng.random() < 0.7:
        size = int(rng.uniform(0.12, 0.35) * height)
        packing_case(board, classes, int(rng.uniform(-0.05, 0.9) * width), int(rng.uniform(0.78, 0.99) * height), size)
    for _ in range(int(rng.integers(0, 4))):
        person, act, phase = somebody(rng, width, height, (height / 9, height / 4.6))
        points = figures.keypoints(act, phase, person)
        figures.draw(board, points, person.colour)
        classes[person_mask(points, hw)] = 1
    return board, classes


def mask_net(studio: Studio) -> Path:
    """A semantic segmentation of people and packing cases."""

    def train(folder: Path) -> None:
        import keras

        settle()
        rng = np.random.default_rng(4)
        made = [crowd(rng, HW) for _ in range(500)]
        pictures = np.stack([noisy(rgb, rng, rng.uniform(2, 14)) for rgb, _ in made])
        truth = np.stack([mask for _, mask in made]).astype(np.int64)
        model = _mask_model(HW, len(CLASSES), None)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        fit(model, (pictures.astype(np.float32), truth), loss, epochs=6, rate=4e-3, batch=16)
        keep(folder, model, task="segmentation", decode="argmax", labels=list(CLASSES), input=picture_input(HW))

    return studio.once("masks", train)


def crop_net(studio: Studio) -> Path:
    """A mask of whoever stands in the middle of a crop."""

    def train(folder: Path) -> None:
        settle()
        rng = np.random.default_rng(6)
        pairs = [_crop(rng) for _ in range(800)]
        model = _mask_model((SIDE, SIDE), 1, "sigmoid")
        crops = np.stack([rgb for rgb, _ in pairs]).astype(np.float32)
        truth = np.stack([mask for _, mask in pairs]).astype(np.float32)[..., None]
        fit(model, (crops, truth), "binary_crossentropy", epochs=7, rate=4e-3, batch=16)
        size = picture_input((SIDE, SIDE))
        keep(folder, model, task="segmentation", decode="probability", labels=["person"], input=size)

    return studio.once("crops", train)


def _crop(rng: np.random.Generator) -> tuple[Rgb, NDArray[np.bool_]]:
    """A box with a margin around one person, others behind; and the person's mask."""
    width, height = 240, 160
    board = figures.wall(width, height, int(rng.integers(1000)))
    person, act, phase = somebody(rng, width, height, (28, 36))
    own = figures.keypoints(act, phase, person)
    for _ in range(int(rng.integers(0, 3))):
        other, its_act, its_phase = somebody(rng, width, height, (24, 36))
        figures.draw(board, figures.keypoints(its_act, its_phase, other), other.colour)
    figures.draw(board, own, person.colour)
    low, high = figures.box_of(own, 0.1).reshape(2, 2)
    grow = 0.1 * (high - low)
    left, top = np.clip(np.rint(low - grow), 0, (width - 2, height - 2)).astype(int)
    right, bottom = np.clip(np.rint(high + grow), (left + 2, top + 2), (width, height)).astype(int)
    cut = np.s_[top:bottom, left:right]
    size = (SIDE, SIDE)
    mask = cv2.resize(person_mask(own, (height, width))[cut].astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    small = np.asarray(cv2.resize(board[cut], size, interpolation=cv2.INTER_AREA), np.uint8)
    return noisy(small, rng, 5), mask > 0


def _mask_model(hw: tuple[int, int], classes: int, activation: str | None) -> Any:
    import keras
    from keras import layers

    picture = keras.Input((*hw, 3), name="picture")
    x = layers.Rescaling(1 / 127.5, offset=-1)(picture)
    skips = []
    for channels in (12, 24, 32):
        x = layers.Conv2D(channels, 3, padding="same", activation="relu")(x)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(48, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(48, 3, padding="same", activation="relu")(x)
    for skip, channels in zip(skips[::-1], (32, 24, 12), strict=True):
        x = layers.Concatenate()([layers.UpSampling2D()(x), skip])
        x = layers.Conv2D(channels, 3, padding="same", activation="relu")(x)
    return keras.Model(picture, layers.Conv2D(classes, 1, activation=activation)(x), name="masks")


__all__ = ["CLASSES", "crop_net", "mask_net", "packing_case"]
