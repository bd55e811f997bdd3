"""The `action_stream` plugin: a net that goes on from picture to picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc import (
    Classification,
    Duration,
    Field,
    Frame,
    MissingInput,
    Mistake,
    ModelError,
    Moment,
    Output,
    PluginContext,
    Results,
    StreamPlugin,
    TimeReason,
    seconds,
)
from streamproc.frames import resize
from streamproc.geometry import window_of
from streamproc.models import ModelStore, model_mistakes
from streamproc_plugins.action.carried import State, SteppingNet
from streamproc_plugins.action.options import NetOptions, Region
from streamproc_plugins.action.scores import activation_of, best_labels, scores_of
from streamproc_plugins.packing import pack, unpack
from streamproc_plugins.search.results import Embedding


class ActionStreamOptions(NetOptions):
    """Options of `action_stream`."""

    region: Region | None = Field(
        None, description="part of the picture that is looked at, [left, top, right, bottom] in fractions 0-1"
    )
    gap: Duration = Field(seconds(1), gt=0, description="after a longer time without a picture the net begins anew")
    warm_up: Duration = Field(0, ge=0, description="media time that the net processes before its first answer")
    top_k: int = Field(5, ge=1, le=1000, description="most labels per picture")


class ActionStream(StreamPlugin[ActionStreamOptions]):
    """Classifies the current action after each picture, by a net that carries its state along the stream.

    For streaming nets (MoViNets, Kondratyuk et al., CVPR 2021) and CNN + LSTM (Donahue et al., CVPR 2015): each picture
    costs one step, however long the net looks back. It begins anew at gaps and, with `shots` before it, at cuts. A net
    over features (Ng et al., Beyond Short Snippets, CVPR 2015) takes those of `embed`, which others share.
    """

    pixels = True
    uses = (Embedding,)
    gives = (Classification,)

    @classmethod
    def check_options(cls, options: ActionStreamOptions, models: ModelStore) -> Iterable[Mistake]:
        """The model must be known."""
        return model_mistakes(models, options.model)

    def open(self, context: PluginContext) -> None:
        """Load the net; `ModelError` where it has no states, or other inputs or outputs than its manifest says."""
        options = self.options
        self._net = SteppingNet.of(context.models.load(options.model, threads=options.threads))
        self._activation = activation_of(options.activation, self._net.net.entry.decode)
        self._carried: State = self._net.fresh()
        self._begun_ns: int | None = None
        self._last_ns: int | None = None

    def process(self, frame: Frame, past: Results) -> Output:
        """One step of the net."""
        if self._last_ns is not None and frame.pts_ns - self._last_ns > self.options.gap:
            self._begin_anew()
        self._begun_ns = frame.pts_ns if self._begun_ns is None else self._begun_ns
        output, self._carried = self._net.step(self._input(frame, past), self._carried)
        self._last_ns = frame.pts_ns
        scores = scores_of(self._net.net, output, self._activation, self._net.scores)
        if frame.pts_ns - self._begun_ns < self.options.warm_up:
            return []
        return [best_labels(scores, self._net.net.labels, self.options.top_k)]

    def on_time(self, moment: Moment, reason: TimeReason) -> Output:
        """Begin anew after any interruption of the stream."""
        if reason in ("gap", "cut", "lost", "back"):
            self._begin_anew()
        return []

    def state(self) -> Mapping[str, Any]:
        """The net's states, exactly."""
        carried = {name: pack(array) for name, array in self._carried.items()}
        return {"carried": carried, "begun_ns": self._begun_ns, "last_ns": self._last_ns}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on exactly; `ValueError` for the state of another net."""
        self._carried = self._net.read({name: unpack(stored) for name, stored in state["carried"].items()})
        self._begun_ns, self._last_ns = state["begun_ns"], state["last_ns"]

    def _begin_anew(self) -> None:
        self._carried = self._net.fresh()
        self._begun_ns = self._last_ns = None

    def _input(self, frame: Frame, past: Results) -> NDArray[Any]:
        """The picture as the net wants it, or the features that `embed` made of it."""
        spec = self._net.spec
        if spec is None:
            return self._features(past)
        if self.options.region is None:
            return frame.resized(spec.width, spec.height)
        left, top, right, bottom = window_of(self.options.region, frame.width, frame.height)
        return resize(np.ascontiguousarray(frame.rgb[top:bottom, left:right]), spec.width, spec.height)

    def _features(self, past: Results) -> NDArray[np.float32]:
        found, net = past.get(Embedding), self._net.net
        if found is None:
            raise MissingInput(
                f"{net.entry.name} takes features, and no plugin before it gave any; put `embed` before it"
            )
        if not self._net.picture.fits((1, len(found.values))):
            raise ModelError(
                f"{net.entry.name} takes {self._net.picture}, `embed` gave {len(found.values)} values of "
                f"{found.model}; let it use the net that it was trained over"
            )
        return found.values


__all__ = ["ActionStream", "ActionStreamOptions"]
