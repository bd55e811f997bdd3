"""CNNs that take time in early, late or slowly.

Karpathy et al., Large-scale Video Classification with Convolutional Neural Networks, CVPR 2014.
"""

from __future__ import annotations

from typing import Any

from streamproc_plugins.action.nets.blocks import MapShape, conv, frame_maps, scores


def early_fusion(x: Any, shape: MapShape, *, prefix: str = "", dropout: float = 0.0) -> Any:
    """The first filters reach over all frames; from there on it is a CNN of one picture."""
    from keras import layers

    _, frames, height, width, channels = x.shape
    side_by_side = layers.Permute((2, 3, 1, 4), name=f"{prefix}early_stack")(x)
    x = layers.Reshape((1, height, width, frames * channels), name=f"{prefix}early_join")(side_by_side)
    x = conv(x, shape.wide(64), f"{prefix}early", strides=(1, 2))
    return _head(frame_maps(x, shape, prefix), shape, prefix, dropout)


def late_fusion(x: Any, shape: MapShape, *, prefix: str = "", dropout: float = 0.0) -> Any:
    """Two towers of shared weights over the first and the last frame, joined by the first dense layer."""
    from keras import ops

    ends = ops.concatenate([x[:, :1], x[:, -1:]], axis=1)
    return _head(frame_maps(ends, shape, prefix), shape, prefix, dropout)


def slow_fusion(x: Any, shape: MapShape, *, prefix: str = "", dropout: float = 0.0) -> Any:
    """Each layer reaches over more time: filters over 4, 2 and 2 frames with a stride of 2 in time."""
    x = conv(x, shape.wide(64), f"{prefix}slow0", kernel=4, strides=(2, 2))
    for layer in (1, 2):
        strides = (2, 2) if min(x.shape[2:4]) > 4 else (2, 1)
        x = conv(x, shape.wide(64 << layer), f"{prefix}slow{layer}", kernel=2, strides=strides)
    x = frame_maps(x, shape, prefix) if min(x.shape[2:4]) > 4 else x
    return _head(x, shape, prefix, dropout)


def _head(maps: Any, shape: MapShape, prefix: str, dropout: float) -> Any:
    """One dense layer over all maps of all frames, then the logits."""
    from keras import layers

    flat = layers.Flatten(name=f"{prefix}flat")(maps)
    return scores(
        layers.Dense(shape.wide(512), activation="relu", name=f"{prefix}joined")(flat), shape, prefix, dropout
    )


__all__ = ["early_fusion", "late_fusion", "slow_fusion"]
