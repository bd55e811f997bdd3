"""A CNN over each frame and pooling over time, which knows no order.

Where the pooling sits: Ng et al., Beyond Short Snippets: Deep Networks for Video Classification, CVPR 2015.
"""

from __future__ import annotations

from typing import Any

from streamproc_plugins.action.nets.blocks import MapShape, frame_features, frame_maps, scores


def single_frame(x: Any, shape: MapShape, *, prefix: str = "", dropout: float = 0.0) -> Any:
    """The middle frame alone: the baseline of Karpathy et al., CVPR 2014."""
    middle = shape.frames // 2
    features = frame_features(x[:, middle : middle + 1], shape, prefix)
    return scores(features[:, 0], shape, prefix, dropout)


def frame_mean(x: Any, shape: MapShape, *, prefix: str = "", dropout: float = 0.0) -> Any:
    """Logits of each frame, their mean."""
    from keras import layers

    each = scores(frame_features(x, shape, prefix), shape, prefix, dropout)
    return layers.GlobalAveragePooling1D(name=f"{prefix}mean")(each)


def frame_max(x: Any, shape: MapShape, *, prefix: str = "", dropout: float = 0.0) -> Any:
    """Logits of each frame, the highest for each class."""
    from keras import layers

    each = scores(frame_features(x, shape, prefix), shape, prefix, dropout)
    return layers.GlobalMaxPooling1D(name=f"{prefix}max")(each)


def conv_pooling(x: Any, shape: MapShape, *, prefix: str = "", dropout: float = 0.0) -> Any:
    """Maximum over time of the last feature maps (places stay), then two dense layers ("Conv Pooling")."""
    from keras import layers

    maps = frame_maps(x, shape, prefix)
    pooled = layers.MaxPooling3D((shape.frames, 1, 1), name=f"{prefix}pool")(maps)
    features = layers.Dense(shape.wide(512), activation="relu", name=f"{prefix}features")(layers.Flatten()(pooled))
    return scores(features, shape, prefix, dropout)


def late_pooling(x: Any, shape: MapShape, *, prefix: str = "", dropout: float = 0.0) -> Any:
    """Two dense layers over each frame, then the maximum over time ("Late Pooling")."""
    from keras import layers

    features = frame_features(x, shape, prefix)
    features = layers.Dense(shape.wide(512), activation="relu", name=f"{prefix}features2")(features)
    return scores(layers.GlobalMaxPooling1D(name=f"{prefix}pool")(features), shape, prefix, dropout)


__all__ = ["conv_pooling", "frame_max", "frame_mean", "late_pooling", "single_frame"]
