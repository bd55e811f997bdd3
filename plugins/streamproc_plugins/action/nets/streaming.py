"""Nets that go on frame by frame: the state is an input and an output of each step.

`causal_conv` convolves over past frames only, (2+1)-D as Tran et al. (CVPR 2018), and has a buffer of the last frames
of each layer when it runs as a stream (stream buffers and cumulative pooling: Kondratyuk et al., MoViNets, CVPR 2021).
`stepwise` turns a trained clip net (`causal_conv`, `cnn_lstm`) into its step.
"""

from __future__ import annotations

from math import prod
from typing import Any

from streamproc.errors import ModelError
from streamproc_plugins.action.nets.blocks import MapShape, frame_maps, scores

_PAST = "_past"
_POOL = "cumulative_pool"


def causal_conv(x: Any, shape: MapShape, *, prefix: str = "", dropout: float = 0.0, kernel: int = 3) -> Any:
    """Logits: maps of each frame, two convolutions over the last `kernel` of them, the mean over time."""
    from keras import layers

    x = frame_maps(x, shape, prefix)
    _, frames, height, width, depth = x.shape
    x = layers.Reshape((frames, height * width * depth), name=f"{prefix}flat")(x)
    for number in range(2):
        x = layers.ZeroPadding1D((kernel - 1, 0), name=f"{prefix}time{number}{_PAST}")(x)
        x = layers.Conv1D(shape.wide(512), kernel, activation="relu", name=f"{prefix}time{number}")(x)
    x = layers.GlobalAveragePooling1D(name=f"{prefix}{_POOL}")(x)
    return scores(x, shape, prefix, dropout)


def stepwise(model: Any) -> Any:
    """The step of a trained clip net: inputs picture (N, H, W, 3) and states, outputs logits and the new states.

    States begin as zeros. After T steps the logits are those of the clip net for these T frames. Weights are copied.
    Raises `ModelError` for a net that isn't a chain of layers over past frames.
    """
    import keras

    clip = model.inputs[0]
    if len(model.inputs) != 1 or model.name not in ("causal_conv", "cnn_lstm"):
        raise ModelError(f"{model.name} can't run frame by frame; causal_conv and cnn_lstm without flow can")
    picture = keras.Input(clip.shape[2:], name="picture")
    states: list[Any] = []
    after: list[Any] = []
    x = picture  # convolution works on frames anyway; time returns where the maps are flattened
    for layer in model.layers[1:]:
        x = _step(layer, x, states, after)
    return keras.Model([picture, *states], [x, *after], name=f"{model.name}_step")


def _step(layer: Any, x: Any, states: list[Any], after: list[Any]) -> Any:
    """One layer for one frame; appends the states that it takes and those that it gives."""
    import keras
    from keras import layers, ops

    def state(*shape: int) -> Any:
        made = keras.Input(shape, name=f"state{len(states)}")
        states.append(made)
        return made

    if isinstance(layer, layers.LSTM):
        before = [state(layer.units), state(layer.units)]
        settings = {**layer.get_config(), "return_state": True, "return_sequences": layer.return_sequences}
        new = layers.LSTM.from_config(settings)
        y, *states_after = new(x, initial_state=before)
        new.set_weights(layer.get_weights())
        after.extend(states_after)
        return y
    if layer.name.endswith(_PAST):
        joined = ops.concatenate([state(layer.padding[0], x.shape[-1]), x], axis=1)
        after.append(joined[:, 1:])
        return joined
    if layer.name.endswith(_POOL):
        total, count = state(x.shape[-1]) + x[:, 0], state(1) + 1.0
        after.extend([total, count])
        return total / count
    return _same(layer, x)


def _same(layer: Any, x: Any) -> Any:
    """The same layer over one frame, with its weights."""
    from keras import layers, ops

    if isinstance(layer, layers.Reshape):
        return ops.reshape(x, (-1, 1, prod(x.shape[1:])))
    new = type(layer).from_config(layer.get_config())
    y = new(x)
    new.set_weights(layer.get_weights())
    return y


__all__ = ["causal_conv", "stepwise"]
