"""The `action` plugin: options to net, clip to `Classification`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamproc import (
    Classification,
    Clip,
    ClipPlugin,
    ClipSpec,
    Duration,
    Event,
    Field,
    ModelError,
    Options,
    Output,
    PluginContext,
    Results,
    seconds,
)
from streamproc_plugins.action.scores import Activation, activate, best


class ActionOptions(Options):
    """Options of `action`."""

    model: str = Field(description="name in the model list, or path of a model folder; takes clips (NDHWC)")
    rate: float = Field(8, gt=0, le=120, description="pictures per second of media time in a clip")
    stride: Duration = Field(seconds(1), gt=0, description="media time between the ends of two clips")
    top_k: int = Field(5, ge=1, le=1000, description="most labels kept per clip")
    activation: Activation = Field("softmax", description="what turns the net's outputs into scores")
    min_score: float = Field(
        0.5, ge=0, le=1, description="an event `action.seen` tells of a best label from this score on"
    )
    ignore: tuple[str, ...] = Field((), description="labels that are no event, such as 'No gesture'")


class Action(ClipPlugin[ActionOptions]):
    """Classifies clips with a net over space and time, such as a 3-D convolution net.

    3-D convolution over video: Tran et al., Learning Spatiotemporal Features with 3D Convolutional Networks, ICCV 2015.
    The number of pictures and their size come from the model's manifest (`input.frames`, `height`, `width`).
    """

    gives = (Classification,)

    def open(self, context: PluginContext) -> None:
        """Load the net; `ModelError` where it doesn't take clips, or has another number of classes than labels."""
        entry = context.models.entry(self.options.model)
        spec = entry.input
        if spec is None or spec.frames is None or spec.layout != "NDHWC":
            got = "no input" if spec is None else f"layout {spec.layout} and frames {spec.frames}"
            raise ModelError(
                f"{entry.name} is declared with {got}; `action` needs a model of clips: layout NDHWC and input.frames"
            )
        self._net = context.models.load(self.options.model)
        self._net.expect("action", {"#0": (1, len(self._net.labels))})
        self._spec, self._frames = spec, spec.frames
        mean, scale = np.array(spec.mean, np.float32), np.array(spec.scale, np.float32)
        self._shift, self._scale = mean, scale

    def clip(self) -> ClipSpec:
        """The clip that the model's manifest names."""
        size = (self._spec.width, self._spec.height)
        return ClipSpec(frames=self._frames, rate=self.options.rate, stride_ns=self.options.stride, size=size)

    def process(self, clip: Clip, past: Results) -> Output:
        """One `Classification`, and an event where the best label is sure enough."""
        outputs = self._net(self._prepared(clip.rgb))
        scores = activate(outputs[0].reshape(-1), self.options.activation)
        ids = best(scores, self.options.top_k)
        labels = tuple(self._net.labels[i] for i in ids)
        yield Classification(label=labels, score=scores[ids], class_id=ids)
        if labels[0] not in self.options.ignore and scores[ids[0]] >= self.options.min_score:
            yield Event.instant(clip, "action.seen", score=float(scores[ids[0]]), label=labels[0])

    def _prepared(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32] | NDArray[np.uint8]:
        """The clip as the net's input (1, T, h, w, 3)."""
        pictures = rgb if self._spec.colour == "rgb" else rgb[..., ::-1]
        if self._spec.dtype == "uint8":
            return np.ascontiguousarray(pictures)[None]
        values = pictures.astype(np.float32)
        if not self._spec.plain:
            values -= self._shift
            values *= self._scale
        return np.ascontiguousarray(values)[None]


__all__ = ["Action", "ActionOptions"]
