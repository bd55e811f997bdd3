"""The captioner as a Keras model: an encoder that gives regions, and the decoder unrolled over the words.

Encoder: a CNN over each picture (`2d`; Donahue et al., Long-term Recurrent Convolutional Networks, CVPR 2015), over
space and time (`3d`; Yao et al., Describing Videos by Exploiting Temporal Structure, ICCV 2015), or over optical flow
(`flow`; Venugopalan et al., Sequence to Sequence: Video to Text, ICCV 2015). Decoder: soft attention, see `decoder`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamproc_plugins.action.nets import FLOW_LIMIT_PX
from streamproc_plugins.action.nets.blocks import MapShape, conv, frame_maps

EncoderKind = Literal["2d", "3d", "flow"]
ENCODERS: tuple[EncoderKind, ...] = ("2d", "3d", "flow")

_LEAST_SIDE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class NetSettings:
    """Sizes of the net."""

    encoder: EncoderKind = "2d"
    frames: int = 8
    """T; 1 for pictures"""
    size: tuple[int, int] = (112, 112)
    """(width, height)"""
    words: int
    """V, of the vocabulary"""
    longest: int = 20
    """words of a sentence, start and end mark counted"""
    width: float = 1.0
    """factor of all sizes below"""
    units: int = 256
    embedding: int = 128
    attention: int = 128
    dropout: float = 0.2

    def wide(self, count: int) -> int:
        """`count` times the width factor, at least 8."""
        return max(8, round(count * self.width))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Captioner:
    """The trained net, and its parts."""

    model: Any
    """`rgb` or `flow` (N, T, h, w, C) and `words` (N, L - 1) -> logits (N, L - 1, V) of the words that follow"""
    encoder: Any
    """`rgb` or `flow` -> regions (N, R, D)"""

    def decoder_arrays(self) -> dict[str, NDArray[np.float32]]:
        """The decoder's weights under the names of `decoder.Weights`."""
        found = {}
        for name, layer, index in _PLACES:
            found[name] = np.asarray(self.model.get_layer(layer).get_weights()[index], np.float32)
        return found


_PLACES = (
    ("embedding", "embedding", 0), ("regions_kernel", "of_regions", 0), ("regions_bias", "of_regions", 1),
    ("state_kernel", "of_state", 0), ("weigh_kernel", "weigh", 0), ("start_h_kernel", "start_h", 0),
    ("start_h_bias", "start_h", 1), ("start_c_kernel", "start_c", 0), ("start_c_bias", "start_c", 1),
    ("lstm_kernel", "lstm", 0), ("lstm_recurrent", "lstm", 1), ("lstm_bias", "lstm", 2),
    ("words_kernel", "words_out", 0), ("words_bias", "words_out", 1),
)  # fmt: skip
"""name of the array, layer and place among its weights"""


def build_captioner(settings: NetSettings) -> Captioner:
    """A new captioner with random weights."""
    import keras

    channels = 2 if settings.encoder == "flow" else 3
    name = "flow" if settings.encoder == "flow" else "rgb"
    pictures = keras.Input((settings.frames, settings.size[1], settings.size[0], channels), name=name)
    encoder = keras.Model(pictures, _regions(pictures, settings), name="encoder")
    words = keras.Input((settings.longest - 1,), dtype="int32", name="words")
    logits = _decode(encoder(pictures), words, settings)
    return Captioner(model=keras.Model([pictures, words], logits, name="captioner"), encoder=encoder)


def _regions(pictures: Any, settings: NetSettings) -> Any:
    """Features of each region of each picture, (N, R, D); a bias for each place encodes where and when it is."""
    from keras import layers, ops

    shape = MapShape(frames=settings.frames, hw=settings.size[::-1], classes=1, width=settings.width)
    if settings.encoder == "flow":
        limit = FLOW_LIMIT_PX
        x = layers.Rescaling(1 / limit, name="scale")(ops.clip(pictures, -limit, limit))
    else:
        x = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(pictures)
    maps = _volume_maps(x, shape) if settings.encoder == "3d" else frame_maps(x, shape)
    _, frames, height, width, depth = maps.shape
    flat = layers.Reshape((frames * height * width, depth), name="regions")(maps)
    placed = layers.EinsumDense("nrd,de->nre", (flat.shape[1], depth), bias_axes="re", activation="relu", name="placed")
    return placed(flat)


def _volume_maps(x: Any, shape: MapShape) -> Any:
    """Blocks of 3 x 3 x 3 convolution that halve the picture, and time at every second block."""
    side, block = min(x.shape[2:4]), 0
    while block == 0 or side > _LEAST_SIDE:
        stride = 2 if block % 2 and x.shape[1] > 1 else 1
        filters = shape.wide(min(32 << block, 256))
        x = conv(x, filters, f"volume{block}", kernel=min(3, x.shape[1]), strides=(stride, 2))
        side, block = -(-side // 2), block + 1
    return x


def _decode(regions: Any, words: Any, settings: NetSettings) -> Any:
    from keras import layers, ops

    units = settings.wide(settings.units)
    of_regions = layers.Dense(settings.wide(settings.attention), name="of_regions")(regions)
    of_state = layers.Dense(settings.wide(settings.attention), use_bias=False, name="of_state")
    weigh = layers.Dense(1, use_bias=False, name="weigh")
    cell = layers.LSTMCell(units, name="lstm")
    out = layers.Dense(settings.words, name="words_out")
    drop = layers.Dropout(settings.dropout, name="drop")
    known = layers.Embedding(settings.words, settings.wide(settings.embedding), name="embedding")(words)
    mean = ops.mean(regions, axis=1)
    hidden = layers.Dense(units, activation="tanh", name="start_h")(mean)
    memory = layers.Dense(units, activation="tanh", name="start_c")(mean)
    said = []
    for step in range(settings.longest - 1):
        energy = weigh(ops.tanh(of_regions + ops.expand_dims(of_state(hidden), 1)))
        context = ops.sum(ops.softmax(energy, axis=1) * regions, axis=1)
        hidden, (_, memory) = cell(ops.concatenate([known[:, step], context], axis=1), [hidden, memory])
        said.append(out(drop(ops.concatenate([hidden, context], axis=1))))
    return ops.stack(said, axis=1)


__all__ = ["ENCODERS", "Captioner", "EncoderKind", "NetSettings", "build_captioner"]
