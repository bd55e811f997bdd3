"""One module per library that runs nets; each is imported when the first net of its kind is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from streamproc.errors import ModelError
from streamproc.models.entries import ModelEntry
from streamproc.models.net import Net


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A net to load, and its settings."""

    entry: ModelEntry
    files: Mapping[str, Path]
    """verified files by name"""
    input_hw: tuple[int, int] | None = None
    threads: int = 1

    @property
    def main(self) -> Path:
        """The file to load."""
        return self.files[self.entry.files[0].name]


_LOADERS = {
    "onnx": "onnx",
    "litert": "litert",
    "openvino": "openvino",
    "keras": "tensorflow",
    "savedmodel": "tensorflow",
}


def open_net(job: Job) -> Net:
    """The loaded net.

    Raises `ModelError` where the runtime isn't installed, the file isn't what it should be, or the size can't be had.
    """
    entry = job.entry
    if entry.runtime not in _LOADERS:
        raise ModelError(f"{entry.name} is a set of {entry.runtime}, not a net; ask the store for its arrays instead")
    _check_size(job)
    module = import_module(f"{__name__}.{_LOADERS[entry.runtime]}")
    load: Callable[[Job], Net] = module.load
    net = load(job)
    _check_input(net, job)
    return net


def _check_input(net: Net, job: Job) -> None:
    spec = job.entry.input
    if spec is None:
        return
    height, width = job.input_hw or spec.hw
    sides = {"N": None, "C": None, "D": None, "H": height, "W": width}
    wanted = tuple(sides[axis] for axis in spec.layout)
    # states of a streaming net may stand before the picture
    if not any(tensor.fits(wanted) for tensor in net.inputs):
        raise ModelError(
            f"{job.entry.name} wants the input {net.inputs[0]}, its entry says {spec.layout} with {height}x{width} "
            "(height x width); mend `input` in its manifest"
        )


def _check_size(job: Job) -> None:
    spec, wanted = job.entry.input, job.input_hw
    if wanted is None or (spec is not None and wanted == spec.hw):
        return
    if spec is None or spec.multiple is None:
        given = "no stated size" if spec is None else f"{spec.height}x{spec.width} only"
        raise ModelError(
            f"{job.entry.name} has {given}, got the input size {wanted[0]}x{wanted[1]}; leave the input size out"
        )
    if any(side < spec.multiple or side % spec.multiple for side in wanted):
        raise ModelError(
            f"input size {wanted[0]}x{wanted[1]} for {job.entry.name}: height and width must be multiples "
            f"of {spec.multiple}"
        )
