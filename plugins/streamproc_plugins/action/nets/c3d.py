"""C3D: 3x3x3 convolution everywhere.

Tran et al., Learning Spatiotemporal Features with 3D Convolutional Networks, ICCV 2015: eight convolutions of ReLU,
five poolings of which the first leaves time alone, two dense layers of 4096. Published for 16 frames of 112x112.
"""

from __future__ import annotations

from typing import Any

from streamproc_plugins.action.nets.blocks import MapShape, convolved, max_pooled, scores

_STAGES = ((64,), (128,), (256, 256), (512, 512), (512, 512))


def c3d(x: Any, shape: MapShape, *, prefix: str = "", dropout: float = 0.5) -> Any:
    """Logits; 78 million weights at width 1 with 16 frames of 112x112 and 101 classes."""
    from keras import layers

    for number, stage in enumerate(_STAGES, 1):
        for letter, filters in zip("ab", stage, strict=False):
            name = f"{prefix}conv{number}{letter if len(stage) > 1 else 'a'}"
            x = convolved(x, shape.wide(filters), name, activation="relu", kernel_initializer="he_normal")
        time = 1 if number == 1 else 2
        # the last one pads, as published: 7 pixels become 4
        x = max_pooled(x, (time, 2), (time, 2), f"{prefix}pool{number}")
    x = layers.Flatten(name=f"{prefix}flat")(x)
    for number in (6, 7):
        x = layers.Dense(
            shape.wide(4096), activation="relu", kernel_initializer="he_normal", name=f"{prefix}fc{number}"
        )(x)
        x = layers.Dropout(dropout, name=f"{prefix}dropout{number}")(x)
    return scores(x, shape, prefix)


__all__ = ["c3d"]
