"""A net that carries a state from picture to picture: which of its inputs is which, and one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc import ModelError
from streamproc.models import InputSpec, Net, Tensor, to_input

State = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SteppingNet:
    """A streaming net: picture and states in, scores and new states out (MoViNets: Kondratyuk et al., CVPR 2021).

    In place of the picture it may take a vector of features, that of `embed`.
    """

    net: Net
    spec: InputSpec | None
    """of the picture; None where it takes features"""
    picture: Tensor
    scores: Tensor
    states: tuple[tuple[Tensor, Tensor], ...]
    """an input, and the output that is its next value"""

    @classmethod
    def of(cls, net: Net) -> SteppingNet:
        """Find the roles of inputs and outputs; `ModelError` names them where the roles are ambiguous.

        A state is an input and an output of one name (that of the model's signature where it has one). Otherwise, the
        inputs behind the picture and the outputs behind the scores belong together in their order, with equal shapes.
        """
        spec = net.entry.input
        if spec is None:
            return cls._of_features(net)
        if spec.layout == "NCHW" or (spec.frames or 1) != 1:
            raise ModelError(
                f"{net.entry.name} must be declared with an input of one picture: layout NHWC, or NDHWC with 1 frame"
            )
        picture = next((tensor for tensor in net.inputs if tensor.fits(_picture_shape(spec))), None)
        states = [tensor for tensor in net.inputs if tensor is not picture]
        pairs = _by_name(states, net.outputs) or _by_place(states, net.outputs)
        rest = [tensor for tensor in net.outputs if all(tensor is not after for _, after in pairs)]
        scores = next((tensor for tensor in rest if tensor.fits((1, len(net.labels)))), None)
        if picture is None or not states or len(pairs) != len(states) or scores is None:
            raise ModelError(
                f"{net.entry.name} is no streaming net with {len(net.labels)} labels: it takes "
                f"{'; '.join(map(str, net.inputs))} and gives {'; '.join(map(str, net.outputs))}; expected a picture "
                f"{_picture_shape(spec)}, states, and scores (1, {len(net.labels)}) with the states' next values"
            )
        return cls(net=net, spec=spec, picture=picture, scores=scores, states=tuple(pairs))

    @classmethod
    def _of_features(cls, net: Net) -> SteppingNet:
        """The first input is the vector, the first output the scores; the rest are states in their order."""
        vector, *states = net.inputs
        pairs = _by_place(states, net.outputs)
        fits = vector.fits((1, None)) and net.outputs[0].fits((1, len(net.labels)))
        if not fits or not states or len(pairs) != len(states):
            raise ModelError(
                f"{net.entry.name} names no input in its manifest and is no streaming net over features with "
                f"{len(net.labels)} labels: it takes {'; '.join(map(str, net.inputs))} and gives "
                f"{'; '.join(map(str, net.outputs))}; expected features (1, D), states, and scores (1, "
                f"{len(net.labels)}) with the states' next values"
            )
        return cls(net=net, spec=None, picture=vector, scores=net.outputs[0], states=tuple(pairs))

    def fresh(self) -> State:
        """States before the first picture: zeros."""
        return {
            tensor.name: np.zeros([1 if side is None else side for side in tensor.shape], tensor.dtype)
            for tensor, _ in self.states
        }

    def step(self, picture: NDArray[Any], state: State) -> tuple[NDArray[Any], State]:
        """The net's scores after this picture (uint8 (h, w, 3), of its size) or features (D,), and its new state."""
        if self.spec is None:
            blob = np.asarray(picture[None], np.float32)
        else:
            blob = to_input(picture, self.spec.model_copy(update={"layout": "NHWC"}))
            blob = blob if len(self.picture.shape) == 4 else blob[:, None]
        outputs = self.net.run({self.picture.name: blob, **state})
        after = {before.name: outputs[now.name].reshape(state[before.name].shape) for before, now in self.states}
        return outputs[self.scores.name], after

    def read(self, stored: State) -> State:
        """A stored state, checked; `ValueError` where it is one of another net."""
        want = {name: (array.shape, array.dtype) for name, array in self.fresh().items()}
        got = {name: (array.shape, array.dtype) for name, array in stored.items()}
        if want != got:
            raise ValueError(f"the stored state is that of another net: {got}, expected {want}; start afresh")
        return stored


def _picture_shape(spec: InputSpec) -> tuple[int | None, ...]:
    sides = (spec.height, spec.width, 3)
    return (1, *sides) if spec.layout == "NHWC" else (1, 1, *sides)


def _by_name(states: list[Tensor], outputs: tuple[Tensor, ...]) -> list[tuple[Tensor, Tensor]]:
    names = {tensor.signature or tensor.name: tensor for tensor in outputs}
    found = [(tensor, names.get(tensor.signature or tensor.name)) for tensor in states]
    return [(before, after) for before, after in found if after is not None and _alike(before, after)]


def _by_place(states: list[Tensor], outputs: tuple[Tensor, ...]) -> list[tuple[Tensor, Tensor]]:
    pairs = list(zip(states, outputs[1:], strict=False))
    return pairs if len(outputs) == len(states) + 1 and all(_alike(*pair) for pair in pairs) else []


def _alike(before: Tensor, after: Tensor) -> bool:
    return before.dtype == after.dtype and before.fits(after.shape)


__all__ = ["State", "SteppingNet"]
