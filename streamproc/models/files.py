"""Model files: mirrors, the cache, checksums."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from streamproc.errors import ChecksumError, ModelError
from streamproc.models.entries import ModelEntry, ModelFile
from streamproc.paths import expand

_BLOCK = 1 << 20


def mirror_folders() -> tuple[Path, ...]:
    """The folders named in `STREAMPROC_MODELS`, separated as in PATH."""
    listed = os.environ.get("STREAMPROC_MODELS", "")
    return tuple(expand(part) for part in listed.split(os.pathsep) if part)


def cache_folder() -> Path:
    """`STREAMPROC_CACHE`/models, else streamproc/models in the user's cache folder (XDG base directories)."""
    own = os.environ.get("STREAMPROC_CACHE")
    if own:
        return expand(own) / "models"
    xdg = os.environ.get("XDG_CACHE_HOME")
    return (Path(xdg) if xdg else Path.home() / ".cache") / "streamproc" / "models"


def find_file(folder: Path, entry: ModelEntry, file: ModelFile) -> Path | None:
    """The file in a flat folder, or in the model's own folder inside it."""
    for path in (folder / entry.name / file.name, folder / file.name):
        if path.is_file():
            return path
    return None


def sha256_of(path: Path) -> str:
    """Checksum of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while block := source.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader gets the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as target:
            target.write(content)
        Path(name).chmod(0o644)  # a cache may be shared between users
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


_TICK_NS = 20_000_000
"""longest step of a file system's times of change"""


@dataclass(frozen=True, slots=True)
class _Checked:
    size: int
    stamp: str
    sha256: str


def _stamp(stat: os.stat_result) -> str:
    """Return a stamp that changes with a file's content; a copy with equal size and times has another inode."""
    return f"{stat.st_mtime_ns}:{stat.st_ctime_ns}:{stat.st_dev}:{stat.st_ino}"


class Checksums:
    """Checksums of files, each computed once and valid as long as path, size, inode and times are the same.

    A file stores them, too, so that the next process needn't read 100 MB again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[str, _Checked] | None = None

    def of(self, path: Path, *, fresh: bool = False) -> str:
        """Return the checksum of a file; `fresh` computes it again in any case."""
        path = path.resolve()
        stat = path.stat()
        with self._lock:
            known = self._remembered().get(str(path))
        if not fresh and known is not None and (known.size, known.stamp) == (stat.st_size, _stamp(stat)):
            return known.sha256
        # a change in the same tick of the file system's clock would leave the stamp as it is
        time.sleep(max(0.0, min(_TICK_NS, stat.st_ctime_ns + _TICK_NS - time.time_ns()) / 1e9))
        found = _Checked(stat.st_size, _stamp(stat), sha256_of(path))
        with self._lock:
            if _stamp(path.stat()) == found.stamp:
                self._remembered()[str(path)] = found
                self._store()
        return found.sha256

    def check(self, path: Path, entry: ModelEntry, file: ModelFile, *, fresh: bool = False) -> None:
        """Raise `ChecksumError` unless the file's content is the listed one; files without a checksum pass."""
        if file.sha256 is None:
            return
        found = self.of(path, fresh=fresh)
        if found != file.sha256:
            raise ChecksumError(
                f"{path} is not the file that {entry.name} wants: its sha256 is {found}, expected {file.sha256}; "
                "remove it or put the right file there"
            )

    def _remembered(self) -> dict[str, _Checked]:
        if self._known is None:
            try:
                rows = json.loads(self._path.read_bytes())
                self._known = {path: _Checked(int(row[0]), str(row[1]), str(row[2])) for path, row in rows.items()}
            except (OSError, ValueError, TypeError, LookupError, AttributeError):
                self._known = {}  # it only saves work: without it the files are read again
        return self._known

    def _store(self) -> None:
        rows = {path: [file.size, file.stamp, file.sha256] for path, file in self._remembered().items()}
        with contextlib.suppress(OSError):  # a read-only cache: the checksum is computed again next time
            write_atomically(self._path, json.dumps(rows, indent=0, sort_keys=True).encode())


def require_folder(path: Path) -> Path:
    """Make `path` a folder that can be written to; raises `ModelError` with the reason if it can't."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError(
            f"the model cache {path} can't be made ({error.strerror}); name another with STREAMPROC_CACHE"
        ) from None
    return path
