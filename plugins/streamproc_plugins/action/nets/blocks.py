"""What the nets are made of: convolution blocks, a CNN that runs over each frame, fusion of scores.

All functions take and give Keras tensors. A clip is (N, T, H, W, C).
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


def conv(x: Any, filters: int, name: str, *, kernel: int = 1, strides: tuple[int, int] = (1, 1)) -> Any:
    """Convolution over `kernel` frames and 3 x 3 pixels, batch normalisation, ReLU; padded with zeros.

    strides: in time, in space. The frames under the kernel are laid side by side as channels of one 2-D convolution,
    which is the same sum and trains ten times as fast on a CPU as Conv3D.
    """
    from keras import layers, ops

    frames = -(-x.shape[1] // strides[0])
    stacked = x if kernel == 1 and strides[0] == 1 else _neighbours(x, kernel, strides[0], name)
    flat = ops.reshape(stacked, (-1, *stacked.shape[2:]))
    flat = layers.Conv2D(filters, 3, strides=strides[1], padding="same", use_bias=False, name=name)(flat)
    flat = layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_norm")(flat)
    flat = layers.ReLU(name=f"{name}_relu")(flat)
    return ops.reshape(flat, (-1, frames, *flat.shape[1:]))


def _neighbours(x: Any, kernel: int, stride: int, name: str) -> Any:
    """Each frame with those around it as further channels, (N, ceil(T / stride), h, w, kernel * C)."""
    from keras import layers, ops

    steps = -(-x.shape[1] // stride)
    missing = max((steps - 1) * stride + kernel - x.shape[1], 0)
    padded = layers.ZeroPadding3D(((missing // 2, missing - missing // 2), 0, 0), name=f"{name}_pad")(x)
    parts = [padded[:, k : k + (steps - 1) * stride + 1 : stride] for k in range(kernel)]
    return ops.concatenate(parts, axis=-1) if kernel > 1 else parts[0]


def frame_maps(x: Any, shape: Shape, prefix: str = "") -> Any:
    """The feature maps of each frame for itself, (N, T, h, w, D): blocks of stride 2 down to about 4 pixels."""
    side, block = min(x.shape[2:4]), 0
    while block == 0 or (side > _LEAST_SIDE and block < _MOST_BLOCKS):
        filters = shape.wide(min(32 << block, 256))
        x = conv(x, filters, f"{prefix}frame{block}", strides=(1, 2))
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
