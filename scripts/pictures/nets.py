"""Small nets, trained in a minute or two on what is drawn here, as model folders that the plugins run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.pictures import figures
from scripts.pictures.catalogue import Studio
from scripts.pictures.figures import ACTS, Person
from scripts.pictures.runs import Rgb

SEED = 5
CLIP, SIDE = 8, 64
"""pictures in a clip, and the sides of each"""
BEAT = 8
"""pictures a second in a clip"""
POSE_SIDE = 64


def keep(folder: Path, model: Any, **manifest: Any) -> None:
    """A model folder of a Keras net."""
    model.save(folder / "net.keras")
    entry = {"name": folder.name.lstrip("."), "runtime": "keras", "files": [{"name": "net.keras"}]} | manifest
    (folder / "model.json").write_text(json.dumps(entry))


def picture_input(hw: tuple[int, int], **more: Any) -> dict[str, Any]:
    """The `input` of a manifest."""
    return {"height": hw[0], "width": hw[1], "layout": "NHWC", "colour": "rgb", "resize": "stretch"} | more


def settle() -> None:
    """The same net in every run."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()


def fit(
    model: Any, data: tuple[Any, NDArray[Any]], loss: Any, *, epochs: int, rate: float = 2e-3, batch: int = 32
) -> None:
    """Train with Adam, the rate falling to nothing."""
    import keras

    inputs, truth = data
    steps = epochs * (len(truth) // batch + 1)
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
    model.compile(keras.optimizers.Adam(schedule, clipnorm=1.0), loss)
    model.fit(inputs, truth, batch_size=batch, epochs=epochs, verbose=0)


def somebody(
    rng: np.random.Generator, width: int, height: int, torso: tuple[float, float]
) -> tuple[Person, str, float]:
    """A person of a random place and size, an act and its phase."""
    size = float(rng.uniform(*torso))
    person = Person(
        x=float(rng.uniform(0.15, 0.85) * width),
        ground=float(rng.uniform(max(0.8, 3.7 * size / height), 0.98) * height),
        torso=size,
        colour=int(rng.integers(5)),
    )
    return person, str(rng.choice(ACTS)), float(rng.uniform())


def noisy(rgb: Rgb, rng: np.random.Generator, sigma: float) -> Rgb:
    """With a sensor's noise."""
    return np.clip(rgb + rng.normal(0, sigma, rgb.shape), 0, 255).astype(np.uint8)


# --- clips of acts


def act_clip(act: str, rng: np.random.Generator, *, side: int = SIDE) -> Rgb:
    """Somebody in the middle who does something, uint8 (CLIP, side, side, 3)."""
    torso = side / rng.uniform(4.6, 6.0)
    person = Person(x=side * rng.uniform(0.42, 0.58), ground=side * rng.uniform(0.84, 0.96), torso=torso,
                    colour=int(rng.integers(5)))  # fmt: skip
    start, pace, room = rng.uniform(), rng.uniform(0.7, 1.1), figures.wall(side, side, int(rng.integers(1000)))
    clip = []
    for number in range(CLIP):
        board = room.copy()
        figures.draw(board, figures.keypoints(act, start + number * pace / BEAT, person), person.colour)
        clip.append(noisy(board, rng, 6))
    return np.stack(clip)


def followed_clip(act: str, rng: np.random.Generator) -> Rgb:
    """The same as a track's pictures show it: each cut around the person's box at that moment."""
    start, pace, room = rng.uniform(), rng.uniform(0.7, 1.1), figures.wall(SIDE, SIDE, int(rng.integers(1000)))
    colour, margin, clip = int(rng.integers(5)), rng.uniform(1.15, 1.35), []
    for number in range(CLIP):
        points = figures.keypoints(act, start + number * pace / BEAT, Person(x=0, ground=0, torso=50))
        low, high = figures.box_of(points, 0.06).reshape(2, 2)
        side = margin * float((high - low).max())
        board = room.copy()
        figures.draw(board, np.asarray((points - (low + high) / 2 + side / 2) * SIDE / side, np.float32), colour)
        clip.append(noisy(board, rng, 5))
    return np.stack(clip)


def followed_net(studio: Studio) -> Path:
    """A net of clips that follow a person."""

    def train(folder: Path) -> None:
        rng = np.random.default_rng(17)
        labels = rng.integers(len(ACTS), size=600)
        train_clips(folder, "early_fusion", np.stack([followed_clip(ACTS[label], rng) for label in labels]), labels)

    return studio.once("followed", train)


def acts_data(count: int, seed: int) -> tuple[Rgb, NDArray[np.int64]]:
    """`count` clips uint8 (N, CLIP, SIDE, SIDE, 3) and their acts int64 (N,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(len(ACTS), size=count)
    return np.stack([act_clip(ACTS[label], rng) for label in labels]), labels.astype(np.int64)


def train_clips(folder: Path, kind: str, clips: Rgb, labels: NDArray[np.int64], epochs: int = 7) -> None:
    """A model folder of a net of clips (N, T, h, w, 3) with these labels (N,)."""
    import keras

    from streamproc_plugins.action.nets import build

    settle()
    hw = (clips.shape[2], clips.shape[3])
    model = build(kind, frames=clips.shape[1], size=(hw[1], hw[0]), classes=len(ACTS), width=0.25)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    fit(model, (clips.astype(np.float32), labels.astype(np.int64)), loss, epochs=epochs)
    clip_input = picture_input(hw, layout="NDHWC", frames=clips.shape[1])
    keep(folder, model, task="action", decode="logits", labels=list(ACTS), input=clip_input)


def turning_net(studio: Studio) -> Path:
    """A recurrent net of clips twice as long in which somebody goes over to another act, whose label counts."""

    def train(folder: Path) -> None:
        rng = np.random.default_rng(23)
        first, labels = rng.integers(len(ACTS), size=(2, 600))
        room, clips = [act_clip(ACTS[label], rng) for label in first], []
        for before, label in zip(room, labels, strict=True):
            kept = int(rng.integers(2, CLIP + 1))
            after = [act_clip(ACTS[label], rng) for _ in range(2)]
            clips.append(np.concatenate([before[:kept], *after])[: 2 * CLIP])
        train_clips(folder, "cnn_lstm", np.stack(clips), labels, epochs=8)

    return studio.once("turning", train)


def acts_net(studio: Studio, kind: str = "early_fusion") -> Path:
    """A net of clips, trained on 800 of them."""
    return studio.once(f"acts-{kind}", lambda folder: train_clips(folder, kind, *acts_data(800, seed=1)))


# --- keypoints


def posed(count: int, seed: int) -> tuple[Rgb, NDArray[np.float32]]:
    """Crops around somebody, uint8 (N, s, s, 3), and where the keypoints are, (N, 17, 2) in parts of the side."""
    rng = np.random.default_rng(seed)
    crops, points = [], []
    for _ in range(count):
        side = POSE_SIDE
        person = Person(x=side * rng.uniform(0.42, 0.58), ground=side * rng.uniform(0.8, 0.95),
                        torso=side / rng.uniform(4.2, 5.6), colour=int(rng.integers(5)))  # fmt: skip
        where = figures.keypoints(str(rng.choice(ACTS)), rng.uniform(), person)
        if rng.random() < 0.3:
            where = figures.turned(where, float(rng.uniform(-100, 100)))
            where += np.array([side, side]) / 2 - (where.min(axis=0) + where.max(axis=0)) / 2
        board = figures.wall(side, side, int(rng.integers(1000)))
        figures.draw(board, where.astype(np.float32), person.colour)
        crops.append(noisy(board, rng, rng.uniform(2, 16)))
        points.append(where / side)
    return np.stack(crops), np.stack(points).astype(np.float32)


def pose_net(studio: Studio) -> Path:
    """MoveNet's kind of answer from crops: heat maps whose mean place is the keypoint."""

    def train(folder: Path) -> None:
        settle()
        crops, points = posed(2000, seed=2)
        model = _heat_model()
        fit(model, (crops.astype(np.float32), points[:, None]), _keypoint_loss, epochs=9, rate=3e-3)
        keep(folder, model, task="pose", decode="movenet", input=picture_input((POSE_SIDE, POSE_SIDE)))

    return studio.once("pose", train)


def _keypoint_loss(truth: Any, found: Any) -> Any:
    import keras

    return keras.ops.mean(keras.ops.abs(truth - found[..., 1::-1])) * 30


def _heat_model() -> Any:
    import keras
    from keras import layers

    picture = keras.Input((POSE_SIDE, POSE_SIDE, 3), name="picture")
    x = layers.Rescaling(1 / 127.5, offset=-1)(picture)
    x = layers.Conv2D(24, 3, strides=2, padding="same", activation="relu")(x)
    skips = []
    for channels in (32, 48):
        x = layers.Conv2D(channels, 3, padding="same", activation="relu")(x)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    for channels in (64, 64):
        x = layers.Conv2D(channels, 3, padding="same", activation="relu")(x)
    for skip, channels in zip(skips[::-1], (48, 24), strict=True):
        x = layers.Concatenate()([layers.UpSampling2D()(x), skip])
        x = layers.Conv2D(channels, 3, padding="same", activation="relu")(x)
    cells = POSE_SIDE // 2
    heat = layers.Reshape((cells * cells, 17))(layers.Conv2D(17, 1)(x))
    share = layers.Softmax(axis=1)(heat)
    grid = (np.mgrid[:cells, :cells].reshape(2, -1).T + 0.5) / cells  # y, x
    place = layers.Dense(
        2, use_bias=False, kernel_initializer=keras.initializers.Constant(grid.tolist()), trainable=False
    )
    yx = place(layers.Permute((2, 1))(share))
    sure = layers.Rescaling(2.5)(layers.Reshape((17, 1))(layers.GlobalMaxPooling1D()(share)))
    sure = layers.ReLU(max_value=1.0)(sure)
    answer = layers.Reshape((1, 17, 3))(layers.Concatenate(axis=2)([yx, sure]))
    return keras.Model(picture, answer, name="heat")


def sequences_net(studio: Studio) -> Path:
    """A net of keypoint sequences."""

    def train(folder: Path) -> None:
        import keras

        from streamproc_plugins.action.nets.skeletons import build_skeleton
        from streamproc_plugins.action.skeleton import normalised_skeleton

        settle()
        rng = np.random.default_rng(3)
        labels = rng.integers(len(ACTS), size=2000)
        rows = []
        for label in labels:
            start, pace, person = rng.uniform(), rng.uniform(0.7, 1.1), Person(x=0, ground=0, torso=50)
            moves = [figures.keypoints(ACTS[label], start + n * pace / BEAT, person) for n in range(2 * CLIP)]
            seen = np.stack(moves) + rng.normal(0, rng.uniform(0, 4), (2 * CLIP, 17, 2))
            rows.append(
                normalised_skeleton(
                    np.concatenate([seen, np.full((2 * CLIP, 17, 1), 0.9)], axis=2).astype(np.float32), 0.2
                )
            )
        model = build_skeleton("skeleton_conv", frames=2 * CLIP, classes=len(ACTS), width=0.25)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        fit(model, (np.stack(rows), labels.astype(np.int64)), loss, epochs=8)
        keep(folder, model, task="action", decode="logits", labels=list(ACTS))

    return studio.once("sequences", train)


__all__ = [
    "BEAT", "CLIP", "SIDE", "acts_data", "acts_net", "fit", "followed_net",
     "keep", "noisy", "picture_input", "pose_net",
    "sequences_net", "settle", "somebody", "train_clips", "turning_net",
]  # fmt: skip
