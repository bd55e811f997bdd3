"""The model store: finds, checks, downloads and loads models, each once per process."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from streamproc.errors import ModelError, ModelNotFound
from streamproc.models.download import DownloadProgress, fetch, no_progress
from streamproc.models.entries import MANIFEST, ModelEntry, builtin, read_manifest
from streamproc.models.files import Checksums, cache_folder, find_file, mirror_folders
from streamproc.models.net import Array, Net
from streamproc.models.runtimes import Job, open_net
from streamproc.paths import expand

Place = Literal["folder", "mirror", "cache"]

_SUFFIXES = {".onnx", ".tflite", ".xml", ".keras", ".npz", ".pb", ".json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A known model, with its folder if it isn't in the built-in list."""

    entry: ModelEntry
    folder: Path | None = None


class ModelStore:
    """Models by name or path; each net is loaded once and shared.

    A model is looked for in: the path given, the folders in `STREAMPROC_MODELS`, the cache (`STREAMPROC_CACHE`);
    then it is downloaded into the cache. Every file is compared with its checksum. All methods may be called from any
    thread.
    """

    def __init__(
        self,
        *,
        mirrors: Sequence[Path] | None = None,
        cache: Path | None = None,
        download: bool = True,
        progress: DownloadProgress = no_progress,
    ) -> None:
        """Store the settings; access no file.

        mirrors: folders instead of those in `STREAMPROC_MODELS`. cache: folder instead of the usual one.
        download: False answers `ModelNotFound` at once instead of using the network.
        """
        self._mirrors = mirrors
        self._cache = cache
        self._download = download
        self._progress = progress
        self._lock = threading.Lock()
        self._checksums: Checksums | None = None
        self._nets: dict[object, Net] = {}
        self._arrays: dict[str, Mapping[str, Array]] = {}
        self._loading: dict[object, threading.Lock] = {}

    @property
    def cache(self) -> Path:
        """The folder that downloads go to."""
        return self._cache if self._cache is not None else cache_folder()

    @property
    def mirrors(self) -> tuple[Path, ...]:
        """Folders that are looked through before the cache."""
        return tuple(self._mirrors) if self._mirrors is not None else mirror_folders()

    @property
    def checksums(self) -> Checksums:
        """The memory of files already read."""
        with self._lock:
            if self._checksums is None:
                self._checksums = Checksums(self.cache / "checksums.json")
            return self._checksums

    def find(self, name: str) -> Model:
        """Return the model of this name or path.

        A path (anything with a folder part or a model file's suffix) names a model folder with its `model.json`, or a
        file that such a manifest or the built-in list knows. Raises `ModelNotFound` or `ModelError`.
        """
        if "/" in name or "\\" in name or name.startswith(".") or Path(name).suffix in _SUFFIXES:
            return self._from_path(expand(name))
        if name in builtin():
            return Model(entry=builtin()[name])
        for folder in (*self.mirrors, self.cache):
            if (folder / name / MANIFEST).is_file():
                return Model(entry=read_manifest(folder / name), folder=folder / name)
        raise ModelNotFound(self._unknown(name))

    def entry(self, name: str) -> ModelEntry:
        """Return the entry of a model, without access to its files."""
        return self.find(name).entry

    def locate(self, model: Model) -> tuple[Place, dict[str, Path]] | None:
        """Return the folder of a model's files, or None where one is missing; nothing is read or downloaded."""
        if model.folder is not None:
            paths = {file.name: model.folder / file.name for file in model.entry.files}
            return ("folder", paths) if all(path.is_file() for path in paths.values()) else None
        places: list[tuple[Place, Path]] = [("mirror", folder) for folder in self.mirrors]
        for place, folder in [*places, ("cache", self.cache)]:
            found = {file.name: find_file(folder, model.entry, file) for file in model.entry.files}
            paths = {name: path for name, path in found.items() if path is not None}
            if len(paths) == len(found):
                return (place, paths)
        return None

    def files(self, name: str, *, progress: DownloadProgress | None = None) -> dict[str, Path]:
        """Return the paths of a model's files by file name, found or downloaded, and checked.

        Raises `ModelNotFound`, `DownloadError` or `ChecksumError`.
        """
        model = self.find(name)
        entry, located = model.entry, self.locate(model)
        paths = located[1] if located is not None else self._fetch(model, progress or self._progress)
        for file in entry.files:
            self.checksums.check(paths[file.name], entry, file)
        return paths

    def load(self, name: str, *, input_hw: tuple[int, int] | None = None, threads: int = 1) -> Net:
        """Return the net of this name or path, loaded once per process for each input size and thread count.

        input_hw: (height, width) in pixels instead of the model's own, where it allows that. threads: how many one call
        may use. Raises `ModelError` or one of its kinds.
        """
        if threads < 1:
            raise ModelError(f"threads is {threads}, expected 1 or more")
        key = (name, input_hw, threads)
        with self._lock:
            loading = self._loading.setdefault(key, threading.Lock())
        with loading:
            if key not in self._nets:
                job = Job(entry=self.entry(name), files=self.files(name), input_hw=input_hw, threads=threads)
                self._nets[key] = open_net(job)
            return self._nets[key]

    def arrays(self, name: str) -> Mapping[str, Array]:
        """Return the named arrays of a model of runtime `arrays` (an .npz file), read-only; pickles are refused."""
        entry = self.entry(name)
        if entry.runtime != "arrays":
            raise ModelError(f"{entry.name} is a net for {entry.runtime}, not a set of arrays; load it instead")
        with self._lock:
            loading = self._loading.setdefault(("arrays", name), threading.Lock())
        with loading:
            if name not in self._arrays:
                self._arrays[name] = _read_arrays(self.files(name)[entry.files[0].name])
            return self._arrays[name]

    def _from_path(self, path: Path) -> Model:
        folder = path if path.is_dir() else path.parent
        if path.is_dir() or path.name == MANIFEST:
            return Model(entry=read_manifest(folder), folder=folder)
        if not path.is_file():
            raise ModelNotFound(f"{path} doesn't exist; give a model file, a model folder, or a name in the model list")
        if (folder / MANIFEST).is_file():
            entry = read_manifest(folder)
            if path.name in {file.name for file in entry.files}:
                return Model(entry=entry, folder=folder)
        for entry in builtin().values():
            if entry.files[0].name == path.name and entry.files[0].sha256 == self.checksums.of(path):
                return Model(entry=entry, folder=folder)
        raise ModelNotFound(
            f"nothing is known of {path}: put it into a folder of its own with a {MANIFEST} that says its runtime, "
            "input, decode and labels (`streamproc models add FOLDER` stores it under a name)"
        )

    def _unknown(self, name: str) -> str:
        own = {path.parent.name for folder in (*self.mirrors, self.cache) for path in folder.glob(f"*/{MANIFEST}")}
        near = difflib.get_close_matches(name, [*builtin(), *sorted(own)], n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"no model {name!r} in the model list{hint} (`streamproc models list` shows them)"

    def _fetch(self, model: Model, progress: DownloadProgress) -> dict[str, Path]:
        entry = model.entry
        names = ", ".join(file.name for file in entry.files)
        if model.folder is not None:
            raise ModelNotFound(f"{model.folder} doesn't hold all of {names}, the files that its {MANIFEST} names")
        if not self._download:
            raise ModelNotFound(
                f"the model {entry.name} isn't on this machine; run `streamproc models pull {entry.name}`, or put "
                f"{names} into a folder named by STREAMPROC_MODELS"
            )
        folder = self.cache / entry.name
        return {file.name: fetch(entry, file, folder / file.name, progress) for file in entry.files}


def _read_arrays(path: Path) -> Mapping[str, Array]:
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (ValueError, OSError) as error:
        raise ModelError(f"{path} is not a set of plain arrays: {error}") from None
    for array in arrays.values():
        array.flags.writeable = False
    return arrays
