"""Short training of small nets on `tests.motion_clips`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.motion_clips import make

BATCH = 32


def train(model: Any, task: str, *, epochs: int, clips: int = 768, stop_at: float = 1.0, rate: float = 2e-3) -> float:
    """Train with Adam on generated clips until clips that it never saw are right by `stop_at`; gives that accuracy."""
    import keras

    score = 0.0
    model.compile(
        keras.optimizers.Adam(rate, clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,  # compiling takes longer than it saves on a CPU
    )
    for epoch in range(epochs):
        rgb, flow, label = make(task, clips, seed=epoch, side=_side(model))
        model.fit(_inputs(model, rgb, flow), label, batch_size=BATCH, epochs=1, shuffle=False, verbose=0)
        score = accuracy(model, task, clips=128, seed=20_000)
        if score >= stop_at:
            break
    return score


def accuracy(model: Any, task: str, clips: int = 256, seed: int = 10_000) -> float:
    """Part of fresh clips that the model gets right."""
    rgb, flow, label = make(task, clips, seed=seed, side=_side(model))
    logits = np.asarray(model.predict(_inputs(model, rgb, flow), batch_size=64, verbose=0))
    return float((logits.argmax(axis=1) == label).mean())


def _side(model: Any) -> int:
    return int(model.inputs[0].shape[2])


def _inputs(model: Any, rgb: NDArray[np.uint8], flow: NDArray[np.float32]) -> Any:
    pictures = rgb.astype(np.float32)
    return [pictures, flow] if len(model.inputs) == 2 else pictures


__all__ = ["accuracy", "train"]
