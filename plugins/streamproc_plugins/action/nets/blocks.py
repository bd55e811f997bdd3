"""Building blocks of the nets: convolution blocks, a CNN that runs over each frame, fusion of scores.

All functions take and give Keras tensors. A clip is (N, T, H, W, C).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

JESTER_MEAN = (114.77, 107.74, 99.48)
"""mean of ActivityNet's pictures, as 3-D ShuffleNet was trained with"""
_LEAST_SIDE = 4
_MOST_BLOCKS = 5
_MOMENTUM = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class MapShape:
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

    strides: in time, in space.
    """
    from keras import layers

    x = convolved(x, filters, name, kernel=(kernel, 3), strides=strides, use_bias=False)
    x = layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def convolved(
    x: Any,
    filters: int,
    name: str,
    *,
    kernel: tuple[int, int] = (3, 3),
    strides: tuple[int, int] = (1, 1),
    **settings: Any,
) -> Any:
    """Convolution over time and space, padded with zeros as `Conv3D` does with padding "same".

    kernel, strides: in time, in space (its height and width are the same). settings: of Keras's `Conv2D`. The frames
    under the kernel are laid side by side as channels of one 2-D convolution, which is the same sum and trains many
    times as fast on a CPU as `Conv3D`. `stacked_kernel` gives its weights.
    """
    from keras import layers, ops

    frames = -(-x.shape[1] // strides[0])
    stacked = x if kernel[0] == strides[0] == 1 else ops.concatenate(_moments(x, kernel[0], strides[0], name), axis=-1)
    flat = ops.reshape(stacked, (-1, *stacked.shape[2:]))
    flat = layers.Conv2D(filters, kernel[1], strides=strides[1], padding="same", name=name, **settings)(flat)
    return ops.reshape(flat, (-1, frames, *flat.shape[1:]))


def stacked_kernel(kernel: NDArray[Any]) -> NDArray[Any]:
    """The weights of `Conv3D`, (t, h, w, in, out), as `convolved` has them: (h, w, t * in, out)."""
    t, h, w, channels, filters = kernel.shape
    return np.ascontiguousarray(kernel.transpose(1, 2, 0, 3, 4).reshape(h, w, t * channels, filters))


def max_pooled(x: Any, kernel: tuple[int, int], strides: tuple[int, int], name: str) -> Any:
    """Maximum over time and space of values that aren't negative, padded as `MaxPooling3D` does with padding "same".

    kernel, strides: in time, in space. First over space, then over time: a tenth of the time of `MaxPooling3D`.
    """
    from keras import layers, ops

    frames = x.shape[1]
    flat = ops.reshape(x, (-1, *x.shape[2:]))
    flat = layers.MaxPooling2D(kernel[1], strides[1], padding="same", name=name)(flat)
    x = ops.reshape(flat, (-1, frames, *flat.shape[1:]))
    if kernel[0] == strides[0] == 1:
        return x
    # zeros are as good a border as minus infinity, where nothing is negative
    first, *rest = _moments(x, kernel[0], strides[0], name)
    for part in rest:
        first = ops.maximum(first, part)
    return first


def _moments(x: Any, kernel: int, stride: int, name: str) -> list[Any]:
    """Input of each place of a kernel in time at each step: (N, ceil(T / stride), h, w, C) each."""
    from keras import layers

    steps = -(-x.shape[1] // stride)
    missing = max((steps - 1) * stride + kernel - x.shape[1], 0)
    padded = layers.ZeroPadding3D(((missing // 2, missing - missing // 2), 0, 0), name=f"{name}_pad")(x)
    return [padded[:, k : k + (steps - 1) * stride + 1 : stride] for k in range(kernel)]


def frame_maps(x: Any, shape: MapShape, prefix: str = "") -> Any:
    """The feature maps of each frame for itself, (N, T, h, w, D): blocks of stride 2 down to about 4 pixels."""
    side, block = min(x.shape[2:4]), 0
    while block == 0 or (side > _LEAST_SIDE and block < _MOST_BLOCKS):
        filters = shape.wide(min(32 << block, 256))
        x = conv(x, filters, f"{prefix}frame{block}", strides=(1, 2))
        side, block = -(-side // 2), block + 1
    return x


def frame_features(x: Any, shape: MapShape, prefix: str = "", units: int = 512) -> Any:
    """A vector for each frame, (N, T, units times width): its maps, flattened, through one dense layer."""
    from keras import layers

    maps = frame_maps(x, shape, prefix)
    flat = layers.Reshape((maps.shape[1], -1), name=f"{prefix}flat")(maps)
    return layers.Dense(shape.wide(units), activation="relu", name=f"{prefix}features")(flat)


def scores(x: Any, shape: MapShape, prefix: str = "", dropout: float = 0.0) -> Any:
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


__all__ = [
    "JESTER_MEAN", "MapShape", "averaged", "conv", "convolved", "frame_features", "frame_maps", "max_pooled",
    "normalised",
    "scores", "stacked_kernel",
]  # fmt: skip
