"""I3D: Inception v1 whose filters and poolings are inflated into time.

Carreira and Zisserman, Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset, CVPR 2017. The layers are
called as in the authors' checkpoints, so that `load_checkpoint` can fill both streams by name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from streamproc.errors import ModelError
from streamproc_plugins.action.nets.blocks import MapShape, convolved, max_pooled, stacked_kernel

_SCOPES = {"": "RGB", "flow_": "Flow"}
# filters of the branches: 1x1; reduction and 3x3; reduction and 3x3; 1x1 behind the pooling
_MIXED: dict[str, tuple[int, int, int, int, int, int]] = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
_POOLS = {"Mixed_3b": (1, 3, 2), "Mixed_4b": (3, 3, 2), "Mixed_5b": (2, 2, 2)}
"""before these: kernel in time, kernel in space, stride in space"""
_TIME_STRIDE = {"Mixed_3b": 1, "Mixed_4b": 2, "Mixed_5b": 2}
# the authors' own slip: this branch of Mixed_5b is called 0a where all others are 0b
_ODD_NAMES = {("Mixed_5b", "Branch_2"): "Conv3d_0a_3x3"}


def i3d(x: Any, shape: MapShape, *, prefix: str = "", dropout: float = 0.5) -> Any:
    """Logits: the mean over time of those of each step."""
    from keras import layers

    x = _unit(x, shape, prefix, ("Conv3d_1a_7x7", 64, 7), strides=2)
    x = max_pooled(x, (1, 3), (1, 2), f"{prefix}MaxPool3d_2a_3x3")
    x = _unit(x, shape, prefix, ("Conv3d_2b_1x1", 64, 1))
    x = _unit(x, shape, prefix, ("Conv3d_2c_3x3", 192, 3))
    for name, filters in _MIXED.items():
        if name in _POOLS:
            in_time, in_space, stride = _POOLS[name]
            x = max_pooled(x, (in_time, in_space), (_TIME_STRIDE[name], stride), f"{prefix}pool_before_{name}")
        x = _mixed(x, shape, prefix, name, filters)
    window = (min(2, x.shape[1]), min(7, x.shape[2]), min(7, x.shape[3]))
    x = layers.AveragePooling3D(window, 1, padding="valid", name=f"{prefix}Logits_pool")(x)
    x = layers.Dropout(dropout, name=f"{prefix}Logits_dropout")(x)
    x = layers.Conv3D(shape.classes, 1, name=f"{prefix}Logits.Conv3d_0c_1x1")(x)
    return layers.GlobalAveragePooling3D(name=f"{prefix}Logits_mean")(x)


def _unit(x: Any, shape: MapShape, prefix: str, unit: tuple[str, int, int], strides: int = 1) -> Any:
    """Convolution, batch normalisation without a scale, ReLU. unit: name, filters, kernel."""
    from keras import layers

    name, filters, kernel = unit
    strided = (strides, strides)
    x = convolved(x, shape.wide(filters), f"{prefix}{name}", kernel=(kernel, kernel), strides=strided, use_bias=False)
    x = layers.BatchNormalization(scale=False, epsilon=1e-3, momentum=0.9, name=f"{prefix}{name}.batch_norm")(x)
    return layers.ReLU(name=f"{prefix}{name}.relu")(x)


def _mixed(x: Any, shape: MapShape, prefix: str, name: str, filters: tuple[int, ...]) -> Any:
    """An inception block."""
    from keras import layers

    one, reduce1, three1, reduce2, three2, pooled = filters
    third = _ODD_NAMES.get((name, "Branch_2"), "Conv3d_0b_3x3")
    branch0 = _unit(x, shape, prefix, (f"{name}.Branch_0.Conv3d_0a_1x1", one, 1))
    branch1 = _unit(x, shape, prefix, (f"{name}.Branch_1.Conv3d_0a_1x1", reduce1, 1))
    branch1 = _unit(branch1, shape, prefix, (f"{name}.Branch_1.Conv3d_0b_3x3", three1, 3))
    branch2 = _unit(x, shape, prefix, (f"{name}.Branch_2.Conv3d_0a_1x1", reduce2, 1))
    branch2 = _unit(branch2, shape, prefix, (f"{name}.Branch_2.{third}", three2, 3))
    branch3 = max_pooled(x, (3, 3), (1, 1), f"{prefix}{name}.Branch_3.MaxPool3d_0a_3x3")
    branch3 = _unit(branch3, shape, prefix, (f"{name}.Branch_3.Conv3d_0b_1x1", pooled, 1))
    return layers.Concatenate(name=f"{prefix}{name}")([branch0, branch1, branch2, branch3])


def checkpoint_names(model: Any) -> dict[str, Any]:
    """The variables of both streams by their names in the authors' checkpoints (230 a stream)."""
    found: dict[str, Any] = {}
    for layer in model.layers:
        prefix = "flow_" if layer.name.startswith("flow_") else ""
        scope = f"{_SCOPES[prefix]}/inception_i3d/" + layer.name.removeprefix(prefix).replace(
            ".batch_norm", ""
        ).replace(".", "/")
        for variable in layer.weights:
            if layer.name.endswith(".batch_norm"):
                found[f"{scope}/batch_norm/{variable.name}"] = variable
            else:
                found[f"{scope}/conv_3d/{'w' if variable.name == 'kernel' else 'b'}"] = variable
    return found


def load_checkpoint(model: Any, *prefixes: Path) -> None:
    """Fill an `i3d` net from TensorFlow 1 checkpoints: `rgb_imagenet/model.ckpt`, and `flow_imagenet/model.ckpt`.

    Every variable must be there, of the same shape, and none left over; else `ModelError` naming them. Kernels are
    turned from Conv3D's (t, h, w, in, out) into those of `blocks.convolved`.
    """
    import tensorflow as tf

    values: dict[str, Any] = {}
    for path in prefixes:
        try:
            reader = tf.train.load_checkpoint(str(path))
        except (tf.errors.OpError, ValueError) as error:
            raise ModelError(f"{path} is not a TensorFlow checkpoint: {str(error).splitlines()[0]}") from None
        values |= {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    wanted = checkpoint_names(model)
    lacking, spare = sorted(set(wanted) - set(values)), sorted(set(values) - set(wanted))
    if lacking or spare:
        raise ModelError(
            f"the checkpoint doesn't fit the net: it lacks {lacking[:3]} ({len(lacking)}), and has {spare[:3]} "
            f"({len(spare)}) that the net doesn't; build it with the same streams"
        )
    for name, variable in wanted.items():
        value, expected = values[name], published_shape(name, variable)
        if value.shape != expected:
            raise ModelError(f"{name} has the shape {value.shape} in the checkpoint, {expected} in the net")
        # the last convolution is a Conv3D, all others lie as 2-D ones
        variable.assign(value if value.ndim == len(variable.shape) else stacked_kernel(value))


def published_shape(name: str, variable: Any) -> tuple[int, ...]:
    """The shape that a variable of `checkpoint_names` has in the checkpoint: (t, h, w, in, out) for kernels."""
    if not name.endswith("/conv_3d/w") or len(variable.shape) == 5:
        return tuple(variable.shape)
    height, width, stacked, filters = variable.shape  # kernels of I3D are cubes
    return height, height, width, stacked // height, filters


__all__ = ["checkpoint_names", "i3d", "load_checkpoint", "published_shape"]
