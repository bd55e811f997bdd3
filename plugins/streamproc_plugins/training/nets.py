"""Nets for pictures that can be trained: input float32 (N, h, w, 3) with pixels 0..255 RGB, output logits (N, C).

`small`: four blocks of convolution, batch normalisation (Ioffe and Szegedy, ICML 2015) and pooling. `mobilenet-v2`:
Sandler et al., CVPR 2018. `mobilenet-v3-small`, `-large`: Howard et al., ICCV 2019. The last three are Keras's own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from streamproc_plugins.training.data import TrainingError

Kind = Literal["small", "mobilenet-v2", "mobilenet-v3-small", "mobilenet-v3-large"]

KINDS: tuple[Kind, ...] = ("small", "mobilenet-v2", "mobilenet-v3-small", "mobilenet-v3-large")
_LEAST = 32
"""pixels: the nets halve the picture five times"""


def build_classifier(
    kind: Kind, *, size: tuple[int, int], classes: int, width: float = 1.0, weights: Path | None = None
) -> Any:
    """A Keras model whose part before the last layer is called `trunk`.

    size: (width, height) in pixels. width: factor of the number of channels. weights: a file of weights for the trunk,
    as Keras publishes them under `..._no_top.h5`; without it they are random, nothing is downloaded. Raises
    `TrainingError` where size or weights don't fit.
    """
    import keras

    if min(size) < _LEAST:
        raise TrainingError(
            f"pictures of {size[0]}x{size[1]}, expected at least {_LEAST}x{_LEAST}; give a larger --size"
        )
    if kind == "small" and weights is not None:
        raise TrainingError(f"weights go with {', '.join(KINDS[1:])}, not with `small`; name one of them with --net")
    trunk = _small(keras, size, width) if kind == "small" else _mobilenet(keras, kind, size, width)
    if weights is not None:
        _load(trunk, weights, kind)
    images = keras.Input((size[1], size[0], 3), name="images")
    features = keras.layers.Dropout(0.3)(trunk(images))
    return keras.Model(images, keras.layers.Dense(classes, name="logits")(features), name=kind.replace("-", "_"))


def _small(keras: Any, size: tuple[int, int], width: float) -> Any:
    layers = keras.layers
    images = keras.Input((size[1], size[0], 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(images)
    for number, channels in enumerate((24, 48, 96, 192)):
        x = layers.Conv2D(max(4, round(channels * width)), 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
        x = layers.MaxPooling2D(2 if number else 4)(x)
    return keras.Model(images, layers.GlobalAveragePooling2D()(x), name="trunk")


def _mobilenet(keras: Any, kind: Kind, size: tuple[int, int], width: float) -> Any:
    shape = (size[1], size[0], 3)
    apps = keras.applications
    made = {
        "mobilenet-v2": apps.MobileNetV2,
        "mobilenet-v3-small": apps.MobileNetV3Small,
        "mobilenet-v3-large": apps.MobileNetV3Large,
    }[kind]
    try:
        body = made(input_shape=shape, alpha=width, include_top=False, weights=None, pooling="avg")
    except ValueError as error:
        raise TrainingError(f"{kind} can't be built so: {str(error).splitlines()[0]}") from None
    for layer in body.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9  # of the usual 0.999 little is learned in as few steps as small data give
    images = keras.Input(shape)
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(images) if kind == "mobilenet-v2" else images
    return keras.Model(images, body(x), name="trunk")


def _load(trunk: Any, weights: Path, kind: Kind) -> None:
    if not weights.is_file():
        raise TrainingError(f"the weights {weights} don't exist; name a file that Keras published for {kind}")
    try:
        _body(trunk).load_weights(str(weights))
    except (ValueError, OSError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise TrainingError(
            f"{weights} doesn't fit {kind}: {reason}; expected the weights without the last layer (no_top) of the same "
            "width"
        ) from None


def _body(trunk: Any) -> Any:
    """The net of Keras inside the trunk."""
    return next((layer for layer in trunk.layers if hasattr(layer, "layers")), trunk)


def freeze(model: Any, part: float) -> int:
    """Freeze the first `part` (0..1) of the trunk's layers; gives the number of layers that are trained.

    Frozen batch normalisation freezes its statistics too.
    """
    layers = _body(model.get_layer("trunk")).layers
    held = round(part * len(layers))
    for number, layer in enumerate(layers):
        layer.trainable = number >= held
    return len(layers) - held


__all__ = ["KINDS", "Kind", "build_classifier", "freeze"]
