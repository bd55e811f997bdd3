"""A net over clips, for any runtime: its inputs (pictures, flow, both) and outputs (scores, attention)."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from streamproc import ModelError
from streamproc.models import InputSpec, ModelEntry, ModelStore, Net, Tensor
from streamproc_plugins.action.flow import FlowScale, net_flow
from streamproc_plugins.action.scores import Activation, scores_of

F32 = NDArray[np.float32]

_built: WeakKeyDictionary[ModelStore, dict[str, Net]] = WeakKeyDictionary()
_building = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Answer of a net for one clip."""

    scores: F32
    """float32 (classes,), 0..1"""
    attention: F32 | None = None
    """float32 (T, h, w), where the net has such an output: how much each region counted"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipNet:
    """A loaded net whose inputs are clips."""

    net: Net
    spec: InputSpec
    frames: int
    rgb: str
    """name of the input of pictures (1, T, h, w, 3); empty: it has none"""
    flow: str
    """name of the input of flow (1, T, h, w, 2); empty: it has none"""
    activation: Activation
    flow_scale: FlowScale = "pixels"

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the pictures."""
        return (self.spec.width, self.spec.height)

    def __call__(self, rgb: NDArray[np.uint8], flow: F32 | None) -> Answer:
        """rgb: uint8 (T, h, w, 3). flow: float32 (T, h, w, 2) in pixels, for nets that want it.

        Raises `ModelError` where the answer isn't finite.
        """
        given: dict[str, Any] = {}
        if self.rgb:
            given[self.rgb] = picture_input(rgb, self.spec)
        if self.flow:
            assert flow is not None
            given[self.flow] = np.ascontiguousarray(net_flow(flow, self.flow_scale))[None]
        outputs = self.net.run(given)
        first, *others = (outputs[tensor.name] for tensor in self.net.outputs)
        maps = [other for other in others if other.ndim == 4 and other.shape[1] == self.frames]
        return Answer(
            scores=scores_of(self.net, first, self.activation),
            attention=np.asarray(maps[0][0], np.float32) if maps else None,
        )


def picture_input(rgb: NDArray[np.uint8], spec: InputSpec) -> NDArray[Any]:
    """A clip uint8 (T, h, w, 3) as the net's input (1, T, h, w, 3): `(pixel - mean) * scale`."""
    pictures = rgb if spec.colour == "rgb" else rgb[..., ::-1]
    if spec.dtype == "uint8":
        return np.ascontiguousarray(pictures)[None]
    values = pictures.astype(np.float32)
    if not spec.plain:
        values -= np.array(spec.mean, np.float32)
        values *= np.array(spec.scale, np.float32)
    return np.ascontiguousarray(values)[None]


def open_clip_net(
    models: ModelStore, name: str, user: str, *, activation: Activation, threads: int, flow_scale: FlowScale = "pixels"
) -> ClipNet:
    """Load a net of clips and check that its inputs, outputs and labels fit. user: the plugin, for messages.

    Raises `ModelError` or one of its kinds, with the shapes that it got and expected.
    """
    entry = models.entry(name)
    spec = clip_input(entry, user)
    net = _built_net(models, name, entry) if entry.runtime == "arrays" else models.load(name, threads=threads)
    assert spec.frames is not None
    by_channels = {tensor.shape[-1]: tensor for tensor in net.inputs}
    for tensor in net.inputs:
        if tensor.shape[-1] not in (2, 3) or not tensor.fits((1, spec.frames, *spec.hw, tensor.shape[-1])):
            raise ModelError(
                f"{entry.name} takes {'; '.join(map(str, net.inputs))}; `{user}` gives pictures "
                f"(1, {spec.frames}, {spec.height}, {spec.width}, 3) and flow (.., 2): mend `input` in its manifest"
            )
    net.expect(user, {"#0": (1, len(net.labels))})
    return ClipNet(
        net=net,
        spec=spec,
        frames=spec.frames,
        rgb=by_channels[3].name if 3 in by_channels else "",
        flow=by_channels[2].name if 2 in by_channels else "",
        activation=activation,
        flow_scale=flow_scale,
    )


def clip_input(entry: ModelEntry, user: str) -> InputSpec:
    """The input of a model of clips; `ModelError` where it isn't one."""
    spec = entry.input
    if spec is None or spec.frames is None or spec.layout != "NDHWC":
        got = "no input" if spec is None else f"layout {spec.layout} and frames {spec.frames}"
        raise ModelError(
            f"{entry.name} is declared with {got}; `{user}` needs a model of clips: layout NDHWC and input.frames"
        )
    if not entry.label_names:
        raise ModelError(f"{entry.name} has no labels; name them in its manifest")
    return spec


class GraphNet(Net):
    """A Keras model built here and filled from arrays, run as one TensorFlow graph."""

    def __init__(self, entry: ModelEntry, model: Any, tf: Any) -> None:
        shape = (None, *model.inputs[0].shape[1:])
        super().__init__(
            entry,
            (Tensor(name="rgb", shape=shape, dtype="float32"),),
            (Tensor(name="logits", shape=(None, model.outputs[0].shape[-1]), dtype="float32"),),
        )
        self._call = tf.function(
            lambda rgb: model(rgb, training=False),
            input_signature=[tf.TensorSpec(shape, tf.float32)],
            autograph=False,
        )

    def _run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return {"logits": self._call(inputs["rgb"]).numpy()}


def _built_net(models: ModelStore, name: str, entry: ModelEntry) -> Net:
    """The net of a set of arrays, built once for each store."""
    if entry.decode != "shufflenet3d":
        raise ModelError(f"{entry.name} is a set of arrays for {entry.decode!r}; of these only shufflenet3d is known")
    with _building:
        built = _built.setdefault(models, {})
        if name not in built:
            built[name] = _shufflenet3d(models, name, entry)
        return built[name]


def _shufflenet3d(models: ModelStore, name: str, entry: ModelEntry) -> Net:
    from streamproc.models.runtimes.tensorflow import library
    from streamproc_plugins.action.nets.blocks import MapShape
    from streamproc_plugins.action.nets.shufflenet3d import STEM, load_arrays, shufflenet3d

    tf = library()
    arrays, spec = models.arrays(name), entry.input
    assert spec is not None
    assert spec.frames is not None
    stem = next((array for key, array in arrays.items() if key.endswith("conv1.0.weight")), None)
    if stem is None:
        raise ModelError(f"{entry.name} holds no array conv1.0.weight, so it isn't a 3-D ShuffleNet")
    shape = MapShape(frames=spec.frames, hw=spec.hw, classes=len(entry.label_names), width=len(stem) / STEM)
    clip = tf.keras.Input((shape.frames, *shape.hw, 3))
    model = tf.keras.Model(clip, shufflenet3d(clip, shape))
    load_arrays(model, arrays)
    return GraphNet(entry, model, tf)


__all__ = ["Answer", "ClipNet", "GraphNet", "clip_input", "open_clip_net", "picture_input"]
