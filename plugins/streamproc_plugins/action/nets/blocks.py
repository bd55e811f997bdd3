"""What the nets are made of: convolution blocks, a CNN that runs over each frame, fusion of scores.

All functions take and give Keras tensors. A clip is (N, T, H, W, C). The two-dimensional CNN is written as convolution
with a kernel of one frame, so that no layer has to fold time into the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

JESTER_MEAN = (114.77, 107.74, 99.48)
"""mean of ActivityNet's pictures, as 3-D ShuffleNet was trained with"""
_LEAST_SIDE = 4
_MOST_BLOCKS = 5
_MOMENTUM = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The clip, the number of classes and the width factor of a net."""

    frames: int
    hw: tuple[int, int]
    classes: int
    width: float = 1.0

    def wide(self, filters: int, multiple: int = 1) -> int:
        """`filters` times the width factor, at least one `multiple`, in steps of it."""
        return max(multiple, round(filters * self.width / multiple) * multiple)


def normalised(rgb: Any, kind: str) -> Any:
    """Pixels 0..255 as the kind wants them: -1..1, or less their mean."""
    from keras import layers

    if kind == "shufflenet3d":
        return layers.Rescaling(1.0, offset=[-mean for mean in JESTER_MEAN], name="scale")(rgb)
    return layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(rgb)


def conv(x: Any, filters: int, kernel: Sequence[int], name: str, **settings: Any) -> Any:
    """Convolution in space and time (`same` unless told otherwise), batch normalisation, ReLU."""
    from keras import layers

    padding = settings.pop("padding", "same")
    x = layers.Conv3D(filters, tuple(kernel), padding=padding, use_bias=False, name=name, **settings)(x)
    x = layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def frame_maps(x: Any, shape: Shape, prefix: str = "") -> Any:
    """The feature maps of each frame for itself, (N, T, h, w, D): blocks of stride 2 down to about 4 pixels."""
    side, block = min(x.shape[2:4]), 0
    while block == 0 or (side > _LEAST_SIDE and block < _MOST_BLOCKS):
        filters = shape.wide(min(32 << block, 256))
        x = conv(x, filters, (1, 3, 3), f"{prefix}frame{block}", strides=(1, 2, 2))
        side, block = -(-side // 2), block + 1
    return x


def frame_features(x: Any, shape: Shape, prefix: str = "", units: int = 512) -> Any:
    """A vector for each frame, (N, T, units times width): its maps, flattened, through one dense layer."""
    from keras import layers

    maps = frame_maps(x, shape, prefix)
    flat = layers.Reshape((maps.shape[1], -1), name=f"{prefix}flat")(maps)
    return layers.Dense(shape.wide(units), activation="relu", name=f"{prefix}features")(flat)


def scores(x: Any, shape: Shape, prefix: str = "", dropout: float = 0.0) -> Any:
    """Logits (..., classes) from features, by one dense layer."""
    from keras import layers

    if dropout:
        x = layers.Dropout(dropout, name=f"{prefix}dropout")(x)
    return layers.Dense(shape.classes, name=f"{prefix}logits")(x)


def averaged(logits: Sequence[Any]) -> Any:
    """Logits whose softmax is the mean of the softmaxes of several (N, classes): late fusion of scores."""
    from keras import ops

    stacked = ops.stack([ops.log_softmax(one) for one in logits], axis=1)
    return ops.logsumexp(stacked, axis=1)


__all__ = ["JESTER_MEAN", "Shape", "averaged", "conv", "frame_features", "frame_maps", "normalised", "scores"]
