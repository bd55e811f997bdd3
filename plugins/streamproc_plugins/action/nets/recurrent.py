"""Recurrent nets over the frames of a clip.

CNN and LSTM: Ng et al., Beyond Short Snippets, CVPR 2015; Donahue et al., Long-term Recurrent Convolutional Networks
for Visual Recognition and Description, CVPR 2015. ConvLSTM: Shi et al., Convolutional LSTM Network, NIPS 2015.
"""

from __future__ import annotations

from typing import Any

from streamproc_plugins.action.nets.blocks import MapShape, conv, frame_features, frame_maps, scores


def cnn_lstm(x: Any, shape: MapShape, *, prefix: str = "", dropout: float = 0.0, layers_lstm: int = 1) -> Any:
    """Features of each frame through one or more LSTM layers; the state after the last frame decides."""
    from keras import layers

    sequence = frame_features(x, shape, prefix)
    for number in range(layers_lstm):
        last = number == layers_lstm - 1
        sequence = layers.LSTM(shape.wide(512), return_sequences=not last, name=f"{prefix}lstm{number}")(sequence)
    return scores(sequence, shape, prefix, dropout)


def conv_lstm(x: Any, shape: MapShape, *, prefix: str = "", dropout: float = 0.0) -> Any:
    """A convolution per frame to a quarter of the size, a ConvLSTM whose state is a picture, then the logits."""
    from keras import layers

    for number in range(2):
        x = conv(x, shape.wide(32 << number), f"{prefix}frame{number}", strides=(1, 2))
    x = layers.ConvLSTM2D(shape.wide(64), 3, padding="same", return_sequences=False, name=f"{prefix}conv_lstm")(x)
    x = layers.Reshape((1, *x.shape[1:]), name=f"{prefix}state")(x)
    maps = frame_maps(x, shape, f"{prefix}state_") if min(x.shape[2:4]) > 4 else x
    return scores(layers.Flatten(name=f"{prefix}flat")(maps), shape, prefix, dropout)


__all__ = ["cnn_lstm", "conv_lstm"]
