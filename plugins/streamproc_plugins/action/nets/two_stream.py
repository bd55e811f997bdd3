"""Two streams: one for appearance, one for motion.

Simonyan and Zisserman, Two-Stream Convolutional Networks for Action Recognition in Videos, NIPS 2014: a CNN over one
picture, another over a stack of dense optical flow (2 T channels), their scores averaged.
"""

from __future__ import annotations

from typing import Any

from streamproc_plugins.action.nets.blocks import MapShape, averaged
from streamproc_plugins.action.nets.fusion import early_fusion
from streamproc_plugins.action.nets.pooling import single_frame


def two_stream(x: Any, shape: MapShape, *, flow: Any, prefix: str = "", dropout: float = 0.0) -> Any:
    """Logits whose softmax is the mean of both streams' scores. flow: (N, T, H, W, 2), scaled to -1..1."""
    spatial = single_frame(x, shape, prefix=f"{prefix}spatial_", dropout=dropout)
    temporal = early_fusion(flow, shape, prefix=f"{prefix}temporal_", dropout=dropout)
    return averaged([spatial, temporal])


__all__ = ["two_stream"]
