"""Soft attention over the regions of each frame, steered by an LSTM.

Sharma et al., Action Recognition using Visual Attention, 2015: at each step a softmax over the K = h x w regions, made
from the state of the LSTM before, weighs the features of the regions; their sum is the LSTM's input. Here the
regions' own features take part in the weights as well (Bahdanau et al., 2015), which trains with far fewer clips.
"""

from __future__ import annotations

from typing import Any

from streamproc_plugins.action.nets.blocks import MapShape, frame_maps, scores


def attention(x: Any, shape: MapShape, *, prefix: str = "", dropout: float = 0.0, units: int = 512) -> Any:
    """Logits from the mean over time of the LSTM's states. `with_map` shows where it looked."""
    from keras import initializers, layers, ops

    maps, size = frame_maps(x, shape, prefix), shape.wide(units)
    _, frames, height, width, _ = maps.shape
    # a bias for each region encodes its place, which a weighted sum over regions would lose
    maps = layers.EinsumDense(
        "nthwd,de->nthwe",
        (frames, height, width, size),
        bias_axes="hwe",
        bias_initializer=initializers.RandomNormal(stddev=0.5),
        activation="relu",
        name=f"{prefix}placed",
    )(maps)
    regions = layers.Reshape((frames, height * width, size), name=f"{prefix}regions")(maps)
    cell = layers.LSTMCell(size, name=f"{prefix}cell")
    # a mean over many regions differs little from picture to picture; without this it trains very slowly
    norm = layers.BatchNormalization(momentum=0.9, name=f"{prefix}seen_norm")
    of_region = layers.Dense(size, name=f"{prefix}of_region")(regions)
    of_state = layers.Dense(size, use_bias=False, name=f"{prefix}of_state")
    weigh = layers.Dense(1, name=f"{prefix}weigh")
    start = layers.GlobalAveragePooling1D(name=f"{prefix}start")(regions[:, 0])
    hidden = layers.Dense(size, activation="tanh", name=f"{prefix}start_h")(start)
    memory = layers.Dense(size, activation="tanh", name=f"{prefix}start_c")(start)
    said = []
    for t in range(frames):
        energy = weigh(ops.tanh(of_region[:, t] + ops.expand_dims(of_state(hidden), 1)))
        weight = layers.Softmax(axis=1, name=f"{prefix}attend{t}")(energy)
        hidden, (_, memory) = cell(norm(ops.sum(weight * regions[:, t], axis=1)), [hidden, memory])
        said.append(hidden)
    return scores(ops.mean(ops.stack(said, axis=1), axis=1), shape, prefix, dropout)


def with_map(model: Any) -> Any:
    """The same net with a second output: the attention (N, T, h, w), each frame summing to 1."""
    import keras

    _, frames, height, width, _ = model.get_layer("regions").input.shape
    weights = [model.get_layer(f"attend{t}").output for t in range(frames)]
    # layers with names of their own: Keras numbers unnamed operations anew in each process, and would give one twice
    joined = keras.layers.Concatenate(axis=2, name="attention_join")(weights) if frames > 1 else weights[0]
    turned = keras.layers.Permute((2, 1), name="attention_turn")(joined)
    attention = keras.layers.Reshape((frames, height, width), name="attention_map")(turned)
    return keras.Model(model.inputs, [model.outputs[0], attention], name=model.name)


__all__ = ["attention", "with_map"]
