"""Files and folders of the plugins' own: named after streams, written in one step, readable by their owner only."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path

from streamproc import PluginError


def write_private(path: Path, content: bytes) -> None:
    """Write a file (mode 0600): a reader gets the old content or the new, never a part, also after a power failure.

    Raises `PluginError` where it can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as target:
                target.write(content)
                target.flush()
                os.fsync(target.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise PluginError(f"{path} can't be written ({error.strerror}); make room, or choose another place") from None


def checked_folder(path: str) -> str:
    """An option that names a folder; `ValueError` for other placeholders than {stream}, or nothing."""
    if "{" in path.replace("{stream}", "") or not path.strip():
        raise ValueError(f"{path!r} is no folder; the only placeholder is {{stream}}")
    return path


def folder_of(path: str, stream: str) -> Path:
    """The folder of a stream, {stream} in `path` replaced by its name as part of a file's name."""
    return Path(path.replace("{stream}", file_name(stream)))


def file_name(stream: str) -> str:
    """A stream's name as part of a file's name: another one for every stream.

    A name that can't stand in a path as it is (`cam/1`), or is too long, gets a hash of it at its end.
    """
    plain = re.sub(r"[^\w.-]+", "_", stream).lstrip(".").encode()[:150].decode(errors="ignore")
    if plain == stream:
        return plain
    digest = hashlib.sha256(stream.encode(errors="surrogatepass")).hexdigest()
    return f"{plain or 'stream'}-{digest[:8]}"


__all__ = ["checked_folder", "file_name", "folder_of", "write_private"]
