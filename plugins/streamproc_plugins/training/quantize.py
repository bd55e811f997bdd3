"""Smaller numbers in a net: float16, 8-bit weights, or 8 bits throughout; and the measured effect.

Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, CVPR 2018.
Nets of Keras and TensorFlow become LiteRT files, ONNX files stay ONNX.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamproc.errors import ModelError
from streamproc.folders import files_below
from streamproc.models import InputSpec, ModelEntry, ModelStore, Net, to_input
from streamproc.models.entries import Edit
from streamproc_plugins.training.data import CLIP_SUFFIXES, TrainingError
from streamproc_plugins.training.export import model_name, prepare_folder, save_entry, save_report
from streamproc_plugins.training.loading import fitted_picture, sampled_pictures

To = Literal["float16", "dynamic", "int8"]
Inputs = Sequence[NDArray[Any]]

REPORT = "quantization.json"
_REPEATS = 20
"""timed calls, of which the median counts"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two nets."""

    name: str
    bytes: int
    ms: float
    """median time of one call on one thread; only the ratio of the two means much on another machine"""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationReport:
    """Before and after."""

    to: str
    before: Side
    after: Side
    inputs: int
    measured_on: str
    """`data`, or `noise` where none were given"""
    same_best: float
    """part of the inputs with the same best class; NaN for nets that don't give a score for each label"""
    cosine: float
    """mean cosine similarity of the outputs before and after"""
    mean_difference: float
    """mean absolute difference of the outputs, all of them"""
    most_difference: float
    spread: float
    """standard deviation of the outputs before: the scale of the differences"""

    @property
    def size_ratio(self) -> float:
        """After / before."""
        return self.after.bytes / self.before.bytes

    @property
    def time_ratio(self) -> float:
        """After / before."""
        return self.after.ms / self.before.ms

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "size_ratio": self.size_ratio, "time_ratio": self.time_ratio}


def quantize(
    model: str, to: To, out: Path, *, store: ModelStore, data: Path | None = None, samples: int = 100
) -> QuantizationReport:
    """Write the quantised model folder and compare.

    model: name or path in the store; runtime `keras`, `savedmodel` or `onnx`. data: a folder of pictures (subfolders
    too) or of clips, or one clip: as many inputs as `samples` are taken from it, evenly. `int8` needs it to find the
    ranges of values. Raises `TrainingError` or `ModelError` where something is in the way.
    """
    entry = store.entry(model)
    spec = _spec(entry)
    if to == "int8" and data is None:
        raise TrainingError(
            "int8 needs pictures like those of a run, to find the ranges of values: --data FOLDER or CLIP"
        )
    _check_separate(store.find(model).folder, out)
    inputs = read_inputs(data, spec, samples) if data is not None else noise(spec, min(samples, 8))
    prepare_folder(out)
    files = store.files(model)
    content, runtime, suffix = _converted(entry, files[entry.files[0].name], to, inputs)
    made = entry.model_copy(
        update={
            "name": model_name(f"{entry.name}-{to}"), "runtime": runtime, "edits": _left(entry),
            "note": f"{entry.name} in {to}", "source": f"{entry.source or entry.name}, quantised with streamproc",
        }
    )  # fmt: skip
    save_entry(out, made, f"net{suffix}", content)
    report = _compared(to, entry, made, _nets(store, model, out), inputs, data is not None, (files, content))
    save_report(out, report.to_json(), REPORT)
    return report


def _check_separate(source: Path | None, out: Path) -> None:
    """`TrainingError` where the new model would take the old one's place."""
    if source is not None and out.exists() and out.samefile(source):
        raise TrainingError(
            f"{out} is the folder of the model itself, which would be lost; name another one with --out"
        )


def _spec(entry: ModelEntry) -> InputSpec:
    if entry.input is None:
        raise TrainingError(f"{entry.name} says nothing of its input; add `input` to its manifest")
    if entry.input.dtype != "float32":
        raise TrainingError(
            f"{entry.name} takes {entry.input.dtype}: it is quantised already, name the net it was made from"
        )
    return entry.input


def _converted(entry: ModelEntry, path: Path, to: To, inputs: Inputs) -> tuple[bytes, Any, str]:
    """The new file's content, its runtime and ending."""
    from streamproc_plugins.training import converters

    if entry.runtime in ("keras", "savedmodel"):
        return converters.to_litert(path, entry, to, inputs), "litert", ".tflite"
    if entry.runtime == "onnx":
        return _from_onnx(entry, path, to, inputs), "onnx", ".onnx"
    raise TrainingError(f"{entry.name} is a net for {entry.runtime}, expected keras, savedmodel or onnx")


def _from_onnx(entry: ModelEntry, path: Path, to: To, inputs: Inputs) -> bytes:
    """The file as it is loaded, with its edits, quantised: patterns that edits look for are gone afterwards."""
    from streamproc.models.runtimes.onnx import edited
    from streamproc_plugins.training import converters

    if not entry.edits:
        return converters.to_onnx(path, to, inputs)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / path.name
        source.write_bytes(edited(entry, path.read_bytes()))
        return converters.to_onnx(source, to, inputs)


def _left(entry: ModelEntry) -> tuple[Edit, ...]:
    """The edits that the new file still needs: those that follow the size of the input."""
    return tuple(name for name in entry.edits if name == "onnx_input_size")


def _nets(store: ModelStore, model: str, out: Path) -> tuple[Net, Net]:
    # absolute: one word alone would be looked up as a name
    return store.load(model), ModelStore().load(str(out.absolute()))


def _compared(  # noqa: PLR0913, PLR0917 - two nets, their entries and files
    to: To, entry: ModelEntry, made: ModelEntry, nets: tuple[Net, Net], inputs: Inputs, real: bool,
    files: tuple[Any, bytes],
) -> QuantizationReport:  # fmt: skip
    before, after = (_answers(net, inputs) for net in nets)
    if before.shape != after.shape:
        raise ModelError(f"the quantised net gives {after.shape[1:]} numbers, the one before {before.shape[1:]}")
    if not np.isfinite(after).all():
        raise ModelError(f"{made.name} gives values that are not finite; try another --to")
    apart = np.abs(before - after)
    old = sum(path.stat().st_size for path in files[0].values())
    times = _times(nets, inputs[0])
    return QuantizationReport(
        to=to,
        before=Side(name=entry.name, bytes=old, ms=times[0]),
        after=Side(name=made.name, bytes=len(files[1]), ms=times[1]),
        inputs=len(inputs),
        measured_on="data" if real else "noise",
        same_best=_same_best(before, after) if before.shape[1] == len(made.label_names) else float("nan"),
        cosine=_cosine(before, after),
        mean_difference=float(apart.mean()),
        most_difference=float(apart.max()),
        spread=float(before.std()),
    )


def _same_best(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    return float((before.argmax(axis=1) == after.argmax(axis=1)).mean())


def _cosine(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    return float(np.mean(np.einsum("nd,nd->n", before, after) / np.maximum(lengths, 1e-12)))


def _answers(net: Net, inputs: Inputs) -> NDArray[np.float32]:
    """The first output of each input, float32 (N, values)."""
    return np.stack([net.outputs[0].dequantise(net(value)[0]).ravel() for value in inputs])


def _times(nets: tuple[Net, Net], value: NDArray[Any]) -> tuple[float, float]:
    """Median milliseconds of a call of each, called in turn so that both run under the same load."""
    rows: tuple[list[float], list[float]] = ([], [])
    for _ in range(_REPEATS):
        for net, row in zip(nets, rows, strict=True):
            start = time.perf_counter()
            net(value)
            row.append(1e3 * (time.perf_counter() - start))
    return float(np.median(rows[0])), float(np.median(rows[1]))


def noise(spec: InputSpec, count: int) -> Inputs:
    """Inputs of random pixels."""
    rng = np.random.default_rng(0)
    frames = spec.frames or 1
    made = [rng.integers(0, 256, (frames, *spec.hw, 3), dtype=np.uint8) for _ in range(count)]
    return [as_input(pictures, spec) for pictures in made]


def read_inputs(data: Path, spec: InputSpec, count: int) -> Inputs:
    """At most `count` inputs from a folder of pictures or clips, or from one clip."""
    from streamproc.media.stills import PICTURE_SUFFIXES, natural, require_picture

    if not data.exists():
        raise TrainingError(f"{data} does not exist, expected a folder of pictures or a clip")
    files = [data] if data.is_file() else sorted(files_below(data), key=natural)
    stills = [path for path in files if path.suffix.lower() in PICTURE_SUFFIXES]
    clips = [path for path in files if path.suffix.lower() in CLIP_SUFFIXES]
    if stills and spec.layout != "NDHWC":
        try:
            return [as_input(fitted_picture(require_picture(path), spec)[None], spec) for path in evenly(stills, count)]
        except ValueError as error:
            raise TrainingError(str(error)) from None
    made = [value for path in clips for value in _of_clip(path, spec)]
    if not made:
        raise TrainingError(f"{data} holds no pictures or clips that make an input, expected JPEG, PNG, MP4, ...")
    return [as_input(value, spec) for value in evenly(made, count)]


def _of_clip(path: Path, spec: InputSpec) -> list[NDArray[np.uint8]]:
    """Inputs from one recording: pictures once a second, or clips one behind the other at 8 pictures a second."""
    if spec.layout != "NDHWC":
        return [fitted_picture(rgb, spec)[None] for rgb in sampled_pictures(path, None, 1.0)]
    frames = spec.frames or 1
    found = list(sampled_pictures(path, (spec.width, spec.height), 8.0))
    return [np.stack(found[i : i + frames]) for i in range(0, len(found) - frames + 1, frames)]


def evenly(items: Sequence[Any], count: int) -> list[Any]:
    """At most `count` of them, evenly from first to last."""
    places = np.unique(np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int))
    return [items[i] for i in places]


def as_input(pictures: NDArray[np.uint8], spec: InputSpec) -> NDArray[Any]:
    """Pictures uint8 (T, h, w, 3) as the net's input: of a clip (1, T, h, w, 3), else (1, h, w, 3) or (1, 3, h, w)."""
    if spec.layout != "NDHWC":
        return to_input(pictures[0], spec)
    return np.concatenate([to_input(rgb, spec) for rgb in pictures])[None]


__all__ = ["QuantizationReport", "Side", "To", "as_input", "evenly", "noise", "quantize", "read_inputs"]
