"""Locks of a state folder: keep apart runs that would overwrite each other's checkpoints."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from streamproc.errors import StreamprocError
from streamproc.filelock import lock_file, unlock_file


@contextmanager
def sharing(folder: Path, sources: Iterable[str] = ()) -> Iterator[None]:
    """Share a state folder with other runs, except the checkpoints of these sources.

    The system frees the locks when the process ends, even after a crash. The folder is made, and removed again if it
    stays empty. Where it can't be made, or on a file system without locks, nothing is locked; later users of the folder
    report the error. Raises `StreamprocError` where another run uses a checkpoint.
    """
    with ExitStack() as locks:
        shared = _shared(folder)
        if shared is not None:
            locks.callback(_leave, folder, shared)
            for source in sorted(sources):
                path = folder / "sources" / f"{quote(source, safe='')}.lock"
                file = _checkpoint_lock(folder, path, source)
                if file is not None:
                    locks.callback(unlock_file, path, file)
        yield


def _checkpoint_lock(folder: Path, path: Path, source: str) -> int | None:
    try:
        return lock_file(path)
    except BlockingIOError:
        raise StreamprocError(
            f"the state folder {folder} is in use by another run that reads source {source!r} and stores its "
            "checkpoints there; end that run first, or give this one a folder of its own with runtime.state"
        ) from None
    except OSError:
        return None


def _leave(folder: Path, shared: int) -> None:
    with suppress(OSError):  # something lies in it
        folder.rmdir()
    os.close(shared)


def _shared(folder: Path) -> int | None:
    """Take a shared lock of the folder itself, as earlier versions lock it for one run alone."""
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            shared = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(shared, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(shared)
            raise StreamprocError(
                f"the state folder {folder} is in use by another run, of a version that shares it with none; end that "
                "run first, or give this one a folder of its own with runtime.state"
            ) from None
        except OSError:  # a file system without locks
            return shared
        if _is_still(folder, shared):
            return shared
        os.close(shared)  # another run has just removed the empty folder


def _is_still(folder: Path, shared: int) -> bool:
    try:
        return os.path.samestat(folder.stat(), os.fstat(shared))
    except FileNotFoundError:
        return False


__all__ = ["sharing"]
