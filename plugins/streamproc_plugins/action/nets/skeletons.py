"""Nets over a person's keypoints, (N, T, 17, 3): x, y from `action.skeleton.normalised`, score.

`skeleton_conv`: temporal convolution (Kim and Reiter, Interpretable 3D Human Action Analysis with Temporal
Convolutional Networks, CVPRW 2017). `skeleton_lstm`: Du et al., Hierarchical Recurrent Neural Network for Skeleton
Based Action Recognition, CVPR 2015, without its split into limbs.
"""

from __future__ import annotations

from typing import Any

from streamproc.errors import ModelError, nearest

SKELETON_KINDS = ("skeleton_conv", "skeleton_lstm")
POINTS = 17


def build_skeleton(kind: str, *, frames: int, classes: int, width: float = 1.0, dropout: float = 0.0) -> Any:
    """A new `keras.Model`: input `keypoints` (N, T, 17, 3) float32, output logits (N, classes).

    kind: one of `SKELETON_KINDS`. width: factor for the number of filters and units. Raises `ModelError` for another
    kind, or numbers that can't be.
    """
    import keras
    from keras import layers

    if kind not in SKELETON_KINDS:
        raise ModelError(f"no kind of net {kind!r}{nearest(kind, SKELETON_KINDS)}; {', '.join(SKELETON_KINDS)}")
    if frames < 2 or classes < 1 or not 0 < width <= 4:
        raise ModelError(
            f"{frames} frames, {classes} classes and width {width} can't be had; 2, 1, (0, 4] is the least"
        )
    units = max(1, round(256 * width))
    points = keras.Input((frames, POINTS, 3), name="keypoints")
    x = layers.Reshape((frames, POINTS * 3), name="flat")(points)
    x = layers.LSTM(units, name="lstm")(x) if kind == "skeleton_lstm" else _convolved(x, units)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(points, layers.Dense(classes, name="logits")(x), name=kind)


def _convolved(x: Any, units: int) -> Any:
    """Three residual blocks of temporal convolution, the mean over time."""
    from keras import layers

    x = layers.Dense(units, name="embed")(x)
    for block in range(3):
        y = layers.BatchNormalization(momentum=0.9, name=f"norm{block}")(x)
        y = layers.ReLU(name=f"relu{block}")(y)
        y = layers.Conv1D(units, 5, padding="same", name=f"time{block}")(y)
        x = layers.Add(name=f"sum{block}")([x, y])
    return layers.GlobalAveragePooling1D(name="pool")(layers.ReLU(name="relu")(x))


__all__ = ["POINTS", "SKELETON_KINDS", "build_skeleton"]
