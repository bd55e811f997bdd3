"""3-D ShuffleNet: grouped pointwise and depthwise convolution over space and time.

Zhang et al., ShuffleNet, CVPR 2018, inflated by Kopuklu et al., Resource Efficient 3D Convolutional Neural Networks,
ICCVW 2019. The depthwise 3x3x3 convolution is a sum over time of three two-dimensional ones, since a grouped Conv3D
is ten times slower on a CPU. Padding is explicit, as in PyTorch, whose weights `load_arrays` reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc.errors import ModelError
from streamproc_plugins.action.nets.blocks import MapShape

GROUPS = 3
_STAGES = (240, 480, 960)
"""channels at width 1; each stage halves time and space"""
UNITS = (4, 8, 4)
"""residual units of each stage, as published"""
STEM = 24


def shufflenet3d(
    x: Any, shape: MapShape, *, prefix: str = "", dropout: float = 0.2, units: tuple[int, int, int] = UNITS
) -> Any:
    """Logits. Width 0.5 with 16 frames of 112x112 and 27 classes is the net published for Jester.

    units: residual units of each stage.
    """
    from keras import layers

    x = _stem(x, shape.wide(STEM), f"{prefix}conv1.0")
    x = layers.ReLU(name=f"{prefix}conv1.relu")(_norm(x, f"{prefix}conv1.1"))
    x = _max_pooled(x, f"{prefix}maxpool")
    for stage, (channels, count) in enumerate(zip(_STAGES, units, strict=True), 1):
        for unit in range(count):
            name = f"{prefix}layer{stage}.{unit}"
            x = _unit(x, shape.wide(channels, 4 * GROUPS), 2 if unit == 0 else 1, name)
    x = layers.GlobalAveragePooling3D(name=f"{prefix}pool")(x)
    x = layers.Dropout(dropout, name=f"{prefix}classifier.0")(x)
    return layers.Dense(shape.classes, name=f"{prefix}classifier.1")(x)


def _stem(x: Any, filters: int, name: str) -> Any:
    """3x3x3 convolution with a stride of 2 in space: one 2-D convolution over each frame with its neighbours."""
    from keras import layers, ops

    padded = layers.ZeroPadding3D(1, name=f"{name}.pad")(x)
    _, frames, height, width, channels = padded.shape
    parts = [_moments(padded, k, frames - 2, 1) for k in range(3)]
    parts = [ops.reshape(part, (-1, height, width, channels)) for part in parts]
    y = layers.Conv2D(filters, 3, strides=2, use_bias=False, name=name)(ops.concatenate(parts, axis=-1))
    return ops.reshape(y, (-1, frames - 2, *y.shape[1:]))


def _unit(x: Any, channels: int, stride: int, name: str) -> Any:
    """A residual unit; with a stride of 2 the shortcut is pooled and put beside the rest instead of added."""
    from keras import layers

    out = channels - x.shape[-1] if stride == 2 else channels
    y = _grouped(x, channels // 4, f"{name}.conv1")
    y = layers.ReLU(name=f"{name}.relu1")(_norm(y, f"{name}.bn1"))
    y = _shuffled(y)
    y = _norm(_depthwise(y, stride, f"{name}.conv2"), f"{name}.bn2")
    y = _norm(_grouped(y, out, f"{name}.conv3"), f"{name}.bn3")
    if stride == 2:
        short = layers.ZeroPadding3D((0, 1, 1), name=f"{name}.shortcut_pad")(x)
        time = min(2, x.shape[1])
        short = layers.AveragePooling3D((time, 3, 3), 2, name=f"{name}.shortcut")(short)
        y = layers.Concatenate(name=f"{name}.join")([y, short])
    else:
        y = layers.Add(name=f"{name}.join")([y, x])
    return layers.ReLU(name=f"{name}.relu2")(y)


def _norm(x: Any, name: str) -> Any:
    from keras import layers

    return layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name=name)(x)


def _grouped(x: Any, filters: int, name: str) -> Any:
    """Pointwise convolution in groups of channels: a matrix product for each group."""
    from keras import layers, ops

    width = x.shape[-1] // GROUPS
    # one matrix of all places: a product over five axes takes three times as long
    rows = ops.reshape(x, (-1, x.shape[-1]))
    parts = [
        layers.Dense(filters // GROUPS, use_bias=False, name=f"{name}.group{g}")(rows[:, g * width : (g + 1) * width])
        for g in range(GROUPS)
    ]
    joined = layers.Concatenate(name=name)(parts)
    return ops.reshape(joined, (-1, *x.shape[1:-1], filters))


def _shuffled(x: Any) -> Any:
    """Channels in another order, so that the next groups mix all of them."""
    from keras import ops

    _, frames, height, width, channels = x.shape
    split = ops.reshape(x, (-1, frames, height, width, GROUPS, channels // GROUPS))
    return ops.reshape(ops.swapaxes(split, 4, 5), (-1, frames, height, width, channels))


def _depthwise(x: Any, stride: int, name: str) -> Any:
    """Depthwise 3x3x3 convolution, padded with zeros: the sum of 2-D ones over the frames before, at and after."""
    from keras import layers, ops

    padded = layers.ZeroPadding3D(1, name=f"{name}.pad")(x)
    _, frames, height, width, channels = padded.shape
    steps = (frames - 3) // stride + 1
    total: Any = None
    for k in range(3):
        flat = ops.reshape(_moments(padded, k, steps, stride), (-1, height, width, channels))
        y = layers.DepthwiseConv2D(3, strides=stride, use_bias=False, name=f"{name}.time{k}")(flat)
        total = y if total is None else total + y
    return ops.reshape(total, (-1, steps, *total.shape[1:]))


def _max_pooled(x: Any, name: str) -> Any:
    """Maximum over 3x3x3 with a stride of 2, first over space, then over time: a tenth of the time of MaxPooling3D.

    After a ReLU zeros are as good a border as PyTorch's minus infinity.
    """
    from keras import layers, ops

    padded = layers.ZeroPadding3D(1, name=f"{name}.pad")(x)
    _, frames, height, width, channels = padded.shape
    flat = layers.MaxPooling2D(3, 2, name=name)(ops.reshape(padded, (-1, height, width, channels)))
    y = ops.reshape(flat, (-1, frames, *flat.shape[1:]))
    steps = (frames - 3) // 2 + 1
    first, second, third = (_moments(y, k, steps, 2) for k in range(3))
    return ops.reshape(ops.maximum(ops.maximum(first, second), third), (-1, steps, *flat.shape[1:]))


def _moments(x: Any, start: int, steps: int, stride: int) -> Any:
    """Every so many frames of (N, T, h, w, C), as (N, steps, h * w * C): slicing over long rows is a plain copy."""
    from keras import ops

    rows = ops.reshape(x, (-1, x.shape[1], prod(x.shape[2:])))
    return rows[:, start : start + (steps - 1) * stride + 1 : stride]


def load_arrays(model: Any, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Fill the net from a PyTorch state dict of plain arrays (names with or without `module.`).

    `ModelError` names the missing, superfluous or misshapen arrays.
    """
    given = {name.removeprefix("module."): array for name, array in arrays.items()}
    given = {name: array for name, array in given.items() if not name.endswith("num_batches_tracked")}
    used: set[str] = set()
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([_fitting(given, layer, variable, used) for variable in layer.weights])
    if spare := sorted(set(given) - used):
        raise ModelError(f"the arrays hold {spare[:3]} ({len(spare)} in all) that the net doesn't have")


_NAMES = {
    "gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var",
    "kernel": "weight", "bias": "bias",
}  # fmt: skip


def _fitting(given: Mapping[str, NDArray[Any]], layer: Any, variable: Any, used: set[str]) -> NDArray[Any]:
    """The value of one variable, its axes as TensorFlow has them."""
    base, _, part = layer.name.rpartition(".")
    split = part.startswith(("group", "time"))
    name = f"{base if split else layer.name}.{_NAMES[variable.name]}"
    if name not in given:
        raise ModelError(f"the arrays lack {name!r}, which the net needs")
    used.add(name)
    value = given[name]
    if split and value.ndim == 5:
        value = _part(value, part)
    elif value.ndim == 5:  # (O, I, t, h, w): the frames side by side as channels
        value = value.transpose(3, 4, 2, 1, 0).reshape(*value.shape[3:], -1, len(value))
    elif value.ndim == 2:
        value = value.T
    if value.shape != tuple(variable.shape):
        raise ModelError(f"{name} has the shape {given[name].shape}, which doesn't fit {tuple(variable.shape)}")
    return np.ascontiguousarray(value)


def _part(value: NDArray[Any], part: str) -> NDArray[Any]:
    """A group's (I, O) of a pointwise kernel (O, I, 1, 1, 1), or a moment's (h, w, C, 1) of (C, 1, t, h, w)."""
    if part.startswith("time"):
        return value[:, :, int(part[4:])].transpose(2, 3, 0, 1)
    rows = len(value) // GROUPS
    group = int(part[5:])
    return value[group * rows : (group + 1) * rows, :, 0, 0, 0].T


__all__ = ["load_arrays", "shufflenet3d"]
