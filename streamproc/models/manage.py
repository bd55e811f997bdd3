"""Commands `streamproc models list | pull | add | verify`."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streamproc.errors import ChecksumError, ModelError
from streamproc.models.download import DownloadProgress, no_progress
from streamproc.models.entries import MANIFEST, ModelEntry, ModelFile, builtin, read_manifest
from streamproc.models.files import require_folder, sha256_of, write_atomically
from streamproc.models.runtimes import Job, open_net
from streamproc.models.store import Model, ModelStore, Place

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatus:
    """A model and where it is."""

    entry: ModelEntry
    own: bool
    """True for a model that was added, False for one of the built-in list"""
    place: Place | None
    """folder of its files; None: not on this machine"""
    files: tuple[Path, ...] = ()

    @property
    def available(self) -> bool:
        """Whether it can be used: it is here, or every file has an address."""
        return self.place is not None or all(file.url for file in self.entry.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Result of `verify` for one file."""

    model: str
    path: Path
    fault: str | None
    """difference from the list; None: the content is right"""


def list_models(store: ModelStore) -> tuple[ModelStatus, ...]:
    """The built-in list, then the models in mirrors and the cache that have a manifest of their own."""
    known = {name: Model(entry=entry) for name, entry in builtin().items()}
    for folder in (*store.mirrors, store.cache):
        for manifest in sorted(folder.glob(f"*/{MANIFEST}")):
            own = manifest.parent
            if own.name in known or own.name.startswith("."):
                continue
            try:
                known[own.name] = Model(entry=read_manifest(own), folder=own)
            except ModelError as error:  # one bad folder mustn't hide the other models
                log.warning("model folder left out: %s", error)
    return tuple(_status(store, model) for model in known.values())


def _status(store: ModelStore, model: Model) -> ModelStatus:
    located = store.locate(model)
    own = model.folder is not None
    if located is None:
        return ModelStatus(entry=model.entry, own=own, place=None)
    return ModelStatus(entry=model.entry, own=own, place=located[0], files=tuple(located[1].values()))


def pull(
    store: ModelStore, names: Sequence[str], progress: DownloadProgress = no_progress
) -> dict[str, tuple[Path, ...]]:
    """Download and check models where needed; return the paths of their files by model name.

    Every name is looked up before the first download. Raises as `ModelStore.files` does.
    """
    for name in names:
        store.find(name)
    return {name: tuple(store.files(name, progress=progress).values()) for name in names}


def verify(store: ModelStore, names: Sequence[str] = ()) -> tuple[Verdict, ...]:
    """Read every file of these models (empty: of all that are on this machine) and compare the checksums anew."""
    models = [store.find(name) for name in names]
    if not names:
        models = [store.find(s.entry.name) for s in list_models(store) if s.place is not None]
    found: list[Verdict] = []
    for model in models:
        located = store.locate(model)
        for file in model.entry.files:
            path = located[1][file.name] if located else Path(file.name)
            fault = _fault(store, model.entry, file, path) if located else "not on this machine"
            found.append(Verdict(model=model.entry.name, path=path, fault=fault))
    return tuple(found)


def _fault(store: ModelStore, entry: ModelEntry, file: ModelFile, path: Path) -> str | None:
    try:
        store.checksums.check(path, entry, file, fresh=True)
    except ChecksumError as error:
        return str(error)
    except OSError as error:
        return f"{path} can't be read: {error.strerror}"
    return None


def add(store: ModelStore, path: Path) -> ModelEntry:
    """Copy your own model folder (with its `model.json`) into the cache, so that its name can be used.

    Its net is loaded once as a check; sizes and checksums are written into the copy's manifest. Raises
    `ModelError` where the manifest is wrong, a file is missing, the net can't be loaded, or the name is taken.
    """
    folder = path.parent if path.is_file() else path
    entry = read_manifest(folder)
    if entry.name in builtin():
        raise ModelError(f"{entry.name!r} is a name of the built-in list; choose another in {folder / MANIFEST}")
    paths = {file.name: folder / file.name for file in entry.files}
    missing = [name for name, file in paths.items() if not file.is_file()]
    if missing:
        raise ModelError(f"{folder} has no {', '.join(missing)}, which its {MANIFEST} names")
    stamped = entry.model_copy(update={"files": tuple(_stamp(f, paths[f.name]) for f in entry.files)})
    if entry.runtime != "arrays":
        open_net(Job(entry=stamped, files=paths))
    _install(stamped, paths, require_folder(store.cache) / entry.name)
    return stamped


def _stamp(file: ModelFile, path: Path) -> ModelFile:
    found = sha256_of(path)
    if file.sha256 not in (None, found):
        raise ChecksumError(f"{path} has the sha256 {found}, its manifest says {file.sha256}; mend one of the two")
    return file.model_copy(update={"sha256": found, "bytes": path.stat().st_size})


def _install(entry: ModelEntry, paths: dict[str, Path], target: Path) -> None:
    """Copy into a folder beside the target, then put it in place, so that a half model is never found."""
    staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        staging.chmod(0o755)  # a cache may be shared between users
        for name, path in paths.items():
            (staging / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, staging / name)
        write_atomically(staging / MANIFEST, entry.model_dump_json(indent=1).encode())
        if target.exists():
            shutil.rmtree(target)
        staging.rename(target)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
