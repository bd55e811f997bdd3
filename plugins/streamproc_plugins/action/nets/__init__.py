"""Nets over clips: one builder for every architecture, all of them Keras layers that load in safe mode.

>>> from streamproc_plugins.action.nets import KINDS, build
>>> model = build("cnn_lstm", frames=16, size=(112, 112), classes=10, width=0.25)  # doctest: +SKIP

Importing this loads no TensorFlow; `build` does.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from streamproc.errors import ModelError, nearest
from streamproc_plugins.action.nets.blocks import MapShape

_MODULES = {
    "single_frame": "pooling",
    "frame_mean": "pooling",
    "frame_max": "pooling",
    "conv_pooling": "pooling",
    "late_pooling": "pooling",
    "early_fusion": "fusion",
    "late_fusion": "fusion",
    "slow_fusion": "fusion",
    "cnn_lstm": "recurrent",
    "conv_lstm": "recurrent",
    "causal_conv": "streaming",
    "attention": "attention",
    "c3d": "c3d",
    "i3d": "i3d",
    "shufflenet3d": "shufflenet3d",
    "two_stream": "two_stream",
}
KINDS: tuple[str, ...] = tuple(_MODULES)
"""names of all architectures"""
FLOW_KINDS = frozenset({"two_stream"})
"""kinds that always have an input of optical flow"""
FLOW_LIMIT_PX = 20.0
"""flow is clipped to this many pixels before it reaches a net"""

Logits = Callable[..., Any]


def build(
    kind: str,
    *,
    frames: int,
    size: tuple[int, int],
    classes: int,
    width: float = 1.0,
    flow: bool = False,
    **options: Any,
) -> Any:
    """A new `keras.Model` that gives logits (N, classes); it normalises its inputs itself.

    Inputs: `rgb` (N, T, H, W, 3) float32 in pixels 0..255 and, with flow, `flow` (N, T, H, W, 2) float32: right and
    down in pixels of this grid, the first from the picture before the clip.

    kind: one of `KINDS`. frames: T. size: (width, height) of the pictures. width: factor for the number of filters
    and units, 1: as published. flow: a second stream of the same kind over flow, the scores of both averaged
    (`two_stream` always has it; `i3d` adds the logits, as published). options: those of the kind, such as
    `dropout=0.5`. Raises `ModelError` for an unknown kind or option, or a clip that is too small for it.
    """
    if kind not in _MODULES:
        raise ModelError(f"no kind of net {kind!r}{nearest(kind, KINDS)}; there are {', '.join(KINDS)}")
    _check(kind, frames, size, classes, width)
    shape = MapShape(frames=frames, hw=(size[1], size[0]), classes=classes, width=width)
    module = import_module(f"{__name__}.{_MODULES[kind]}")
    logits: Logits = getattr(module, kind)
    try:
        model = _model(kind, logits, shape, flow or kind in FLOW_KINDS, options)
    except TypeError as error:
        if options and "unexpected keyword" in str(error):
            raise ModelError(f"the net {kind} has not all of the options {sorted(options)}: {error}") from None
        raise
    return model


def _check(kind: str, frames: int, size: tuple[int, int], classes: int, width: float) -> None:
    least = {"slow_fusion": 8, "late_fusion": 2, "c3d": 2, "i3d": 2, "shufflenet3d": 2}.get(kind, 1)
    side = {"i3d": 16, "c3d": 16, "shufflenet3d": 16}.get(kind, 8)
    if frames < least or min(size) < side:
        raise ModelError(
            f"{kind} can't be built for {frames} frames of {size[0]}x{size[1]} pixels; it needs at least {least} "
            f"frames of {side}x{side}"
        )
    if classes < 1 or not 0 < width <= 4:
        raise ModelError(f"{classes} classes and width {width} can't be had; give 1 class or more, a width in (0, 4]")


def _model(kind: str, logits: Logits, shape: MapShape, flow: bool, options: dict[str, Any]) -> Any:
    import keras

    from streamproc_plugins.action.nets import blocks

    rgb = keras.Input((shape.frames, *shape.hw, 3), name="rgb")
    pictures = blocks.normalised(rgb, kind)
    if not flow:
        return keras.Model(rgb, logits(pictures, shape, **options), name=kind)
    uv = keras.Input((shape.frames, *shape.hw, 2), name="flow")
    motion = keras.layers.Rescaling(1 / FLOW_LIMIT_PX, name="flow_scale")(
        keras.ops.clip(uv, -FLOW_LIMIT_PX, FLOW_LIMIT_PX)
    )
    if kind in FLOW_KINDS:
        fused = logits(pictures, shape, flow=motion, **options)
    else:
        both = [logits(pictures, shape, **options), logits(motion, shape, prefix="flow_", **options)]
        fused = keras.layers.Add(name="sum")(both) if kind == "i3d" else blocks.averaged(both)
    return keras.Model([rgb, uv], fused, name=kind)


__all__ = ["FLOW_KINDS", "FLOW_LIMIT_PX", "KINDS", "build"]
