"""Nets: the interface of a loaded model, for every library that runs nets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc.errors import ModelError
from streamproc.models.entries import InputSpec, ModelEntry

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """Input or output of a net."""

    name: str
    shape: tuple[int | None, ...]
    """None: any length"""
    dtype: str
    """NumPy's name"""
    scale: float = 0.0
    """quantisation step; 0: not quantised"""
    zero_point: int = 0
    signature: str = ""
    """name in the model's signature, where it has exactly one (LiteRT calls the tensor itself otherwise)"""

    def __str__(self) -> str:
        sides = ", ".join("any" if n is None else str(n) for n in self.shape)
        return f"{self.name} {self.dtype} ({sides})"

    def fits(self, shape: tuple[int | None, ...]) -> bool:
        """True when every length is equal or left open on one side."""
        return len(shape) == len(self.shape) and all(
            a is None or b is None or a == b for a, b in zip(shape, self.shape, strict=True)
        )

    def dequantise(self, values: Array) -> NDArray[np.float32]:
        """Real numbers from quantised ones, float32 of the same shape: `(values - zero_point) * scale`."""
        real = values.astype(np.float32)
        if self.scale:
            real = (real - np.float32(self.zero_point)) * np.float32(self.scale)
        return real


class Net(ABC):
    """A loaded model. `run` may be called from several threads at once."""

    def __init__(self, entry: ModelEntry, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> None:
        self.entry = entry
        self.inputs = inputs
        self.outputs = outputs

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels by class id."""
        return self.entry.label_names

    @property
    def input_hw(self) -> tuple[int, int] | None:
        """Height and width that the first input wants; None where the net takes any or says nothing."""
        layout = self.entry.input.layout if self.entry.input else "NCHW"
        shape = self.inputs[0].shape
        if len(shape) != len(layout):
            return None
        height, width = shape[layout.index("H")], shape[layout.index("W")]
        return None if height is None or width is None else (height, width)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name, in the net's order, as new arrays that belong to the caller.

        Raises `ModelError` naming both shapes where an input doesn't fit.
        """
        for want in self.inputs:
            got = inputs.get(want.name)
            if got is None:
                names = ", ".join(inputs) or "nothing"
                raise ModelError(f"{self.entry.name} wants the input {want}, got {names}")
            if got.dtype != want.dtype or not want.fits(got.shape):
                raise ModelError(f"{self.entry.name} wants the input {want}, got {got.dtype} {got.shape}")
        return self._run(inputs)

    def __call__(self, array: Array) -> tuple[Array, ...]:
        """All outputs, in the net's order, for a net with one input."""
        return tuple(self.run({self.inputs[0].name: array}).values())

    def expect(self, decode: str, outputs: Mapping[str, tuple[int | None, ...]]) -> None:
        """Refuse a net whose outputs the decoder `decode` can't read.

        `outputs`: wanted shapes by output name (None: any length); a name starting with `#` stands for a position,
        `#0` the first. Raises `ModelError` naming both shapes.
        """
        by_name = {tensor.name: tensor for tensor in self.outputs}
        by_name |= {f"#{index}": tensor for index, tensor in enumerate(self.outputs)}
        for name, shape in outputs.items():
            found = by_name.get(name)
            if found is not None and found.fits(shape):
                continue
            wanted = ", ".join("any" if n is None else str(n) for n in shape)
            given = "; ".join(map(str, self.outputs))
            raise ModelError(
                f"{self.entry.name} doesn't fit the decoder {decode!r}: it gives {given}, expected output "
                f"{name} of shape ({wanted}); choose another model or mend `decode` in its manifest"
            )

    def expect_picture(self, spec: InputSpec) -> None:
        """Refuse a net that doesn't take one picture as its manifest says; `ModelError` naming both shapes."""
        wanted = (1, 3, *spec.hw) if spec.layout == "NCHW" else (1, *spec.hw, 3)
        given = self.inputs[0]
        if len(self.inputs) > 1 or given.dtype != spec.dtype or not given.fits(wanted):
            raise ModelError(
                f"{self.entry.name} takes {'; '.join(map(str, self.inputs))}, but its manifest says {spec.dtype} "
                f"{wanted}; mend `input` in the manifest"
            )

    @abstractmethod
    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]: ...
