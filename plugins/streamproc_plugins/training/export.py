"""Model folders as `streamproc models add` takes them, with the training's figures beside the net."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamproc.evaluation.tables import to_json
from streamproc.models import InputSpec, ModelEntry, ModelFile
from streamproc_plugins.training.data import TrainingError

MANIFEST = "model.json"
REPORT = "training.json"
CURVES = "tensorboard"
"""folder of TensorBoard files"""
_DRAFT = ".writing-"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportTarget:
    """The folder of a model, and the content of its manifest."""

    folder: Path
    name: str
    task: str
    labels: tuple[str, ...]
    input: InputSpec | None
    """None: it takes no pictures"""
    decode: str
    note: str = ""
    licence: str = "your own"

    def entry(self, runtime: Any, file: str) -> ModelEntry:
        """The manifest."""
        return ModelEntry(
            name=self.name, task=self.task, runtime=runtime, note=self.note, decode=self.decode, input=self.input,
            labels=self.labels, licence=self.licence, source="trained with streamproc", files=(ModelFile(name=file),),
        )  # fmt: skip


def model_name(text: str) -> str:
    """A name for the model list made from any text: lower case, digits, `.`, `_`, `-`."""
    name = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")
    if not name:
        raise TrainingError(f"{text!r} makes no name for a model; give one with --name, such as --name gestures")
    return name


def prepare_folder(folder: Path) -> None:
    """Make the folder; `TrainingError` where it holds something else than an earlier model or unfinished training."""
    if folder.exists() and not (folder.is_dir() and ((folder / MANIFEST).is_file() or _unfinished(folder))):
        raise TrainingError(f"{folder} is there and isn't a model folder; name another one with --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{folder} can't be made ({error.strerror}); name another one with --out") from None


def _unfinished(folder: Path) -> bool:
    """Whether it only holds the rest of a training that failed before its first epoch was done."""
    return all(path.name == CURVES or path.name.startswith(_DRAFT) for path in folder.iterdir())


def save_keras(target: ExportTarget, model: Any) -> None:
    """Write the net as `net.keras`, then the manifest; the old files stay whole until the new ones are."""
    import keras

    bare = keras.Model(model.inputs, model.outputs, name=model.name)  # without the optimizer's state, twice the weights
    _replace(target.folder / "net.keras", bare.save)
    _manifest(target.folder, target.entry("keras", "net.keras"))


def save_bytes(target: ExportTarget, runtime: Any, file: str, content: bytes) -> None:
    """Write the net of another runtime from its bytes, then the manifest."""
    save_entry(target.folder, target.entry(runtime, file), file, content)


def save_entry(folder: Path, entry: ModelEntry, file: str, content: bytes) -> None:
    """Write a net under this name, then its manifest, which names it only."""
    _replace(folder / file, lambda path: path.write_bytes(content))
    _manifest(folder, entry.model_copy(update={"files": (ModelFile(name=file),)}))


def save_parts(folder: Path, entry: ModelEntry, parts: Mapping[str, Callable[[Path], Any]]) -> None:
    """Write the files of a model of several parts, each by its function, then the manifest that names them."""
    for file, write in parts.items():
        _replace(folder / file, write)
    _manifest(folder, entry)


def save_report(folder: Path, values: Any, name: str = REPORT) -> None:
    """Write the figures of the net as JSON."""
    text = to_json(values)
    _replace(folder / name, lambda path: path.write_text(text + "\n", encoding="utf-8"))


def _manifest(folder: Path, entry: ModelEntry) -> None:
    content = entry.model_dump_json(indent=1, exclude_defaults=True)
    _replace(folder / MANIFEST, lambda path: path.write_text(content + "\n", encoding="utf-8"))


def _replace(path: Path, write: Callable[[Path], Any]) -> None:
    """Write beside the file and put it in place, so that a run that is killed leaves the one before."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=_DRAFT) as folder:
        draft = Path(folder) / path.name
        write(draft)
        draft.replace(path)


__all__ = [
    "CURVES",
    "ExportTarget",
    "model_name",
    "prepare_folder",
    "save_bytes",
    "save_entry",
    "save_keras",
    "save_parts",
    "save_report",
]
