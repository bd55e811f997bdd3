"""Nets over features that another net computed of each picture, (N, T, D): trained in seconds, shared by many.

`feature_lstm`: Ng et al., Beyond Short Snippets: Deep Networks for Video Classification, CVPR 2015, and Donahue et
al., CVPR 2015. `feature_mean`: the mean over time, for comparison: it can't separate a clip from its reverse.
"""

from __future__ import annotations

from typing import Any

from streamproc.errors import ModelError, nearest

FEATURE_KINDS = ("feature_lstm", "feature_mean")
_UNITS, _DENSE = 512, 512


def build_over_features(
    kind: str, *, frames: int, depth: int, classes: int, width: float = 1.0, dropout: float = 0.5
) -> Any:
    """A new `keras.Model`: input `features` (N, T, D) float32, output logits (N, classes).

    kind: one of `FEATURE_KINDS`. depth: D. width: factor for the number of units, 1: 512. Raises `ModelError` for
    another kind, or numbers that can't be.
    """
    import keras
    from keras import layers

    if kind not in FEATURE_KINDS:
        raise ModelError(f"no kind of net {kind!r}{nearest(kind, FEATURE_KINDS)}; {', '.join(FEATURE_KINDS)}")
    if min(frames, depth, classes) < 1 or not 0 < width <= 4:
        raise ModelError(f"{frames} frames, {depth} features, {classes} classes and width {width} can't be had")
    features = keras.Input((frames, depth), name="features")
    if kind == "feature_lstm":
        x = layers.LSTM(max(1, round(_UNITS * width)), name="lstm")(features)
    else:
        x = layers.GlobalAveragePooling1D(name="mean")(features)
    for layer in _head(classes, width, dropout):
        x = layer(x)
    return keras.Model(features, x, name=kind)


def step_over_features(model: Any) -> Any:
    """The step of such a net: features (N, D) and states in, logits and the new states out; weights are copied.

    States begin as zeros. After T steps the logits are those of the clip net for these T pictures.
    """
    import keras
    from keras import layers

    depth = model.inputs[0].shape[-1]
    features = keras.Input((depth,), name="features")
    if model.name == "feature_lstm":
        old = model.get_layer("lstm")
        states = [keras.Input((old.units,), name=f"state{n}") for n in range(2)]
        new = layers.LSTM(old.units, return_state=True, name="lstm")
        x, *after = new(layers.Reshape((1, depth), name="time")(features), initial_state=states)
        new.set_weights(old.get_weights())
    else:
        states = [keras.Input((depth,), name="state0"), keras.Input((1,), name="state1")]
        total, count = states[0] + features, states[1] + 1.0
        x, after = total / count, [total, count]
    for old in model.layers[2:]:
        new = type(old).from_config(old.get_config())
        x = new(x)
        new.set_weights(old.get_weights())
    return keras.Model([features, *states], [x, *after], name=f"{model.name}_step")


def _head(classes: int, width: float, dropout: float) -> list[Any]:
    from keras import layers

    return [
        layers.Dropout(dropout, name="drop0"),
        layers.Dense(max(1, round(_DENSE * width)), activation="relu", name="dense"),
        layers.Dropout(dropout, name="drop1"),
        layers.Dense(classes, name="logits"),
    ]


__all__ = ["FEATURE_KINDS", "build_over_features", "step_over_features"]
