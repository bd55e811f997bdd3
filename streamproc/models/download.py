"""Fetch one model file over HTTP: resumable, checked, put in place in one step."""

from __future__ import annotations

import contextlib
import socket
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from streamproc.errors import ChecksumError, DownloadError, redact
from streamproc.models.entries import ModelEntry, ModelFile
from streamproc.models.files import require_folder, sha256_of

if TYPE_CHECKING:
    import httpx

CONNECT_S = 4.0
"""longest wait for a name or a connection, so that "no network" is reported within seconds"""
READ_S = 20.0
"""longest silence in the middle of a download"""
ATTEMPTS = 4
"""attempts in a row without progress before a download fails"""


class DownloadProgress(Protocol):
    """Callback for progress: name of the file, bytes so far, bytes in all (0: unknown)."""

    def __call__(self, name: str, done: int, total: int) -> None: ...


def no_progress(name: str, done: int, total: int) -> None:
    """Ignore progress."""


class _Cut(Exception):
    """The connection ended before the file did."""


def fetch(entry: ModelEntry, file: ModelFile, target: Path, progress: DownloadProgress = no_progress) -> Path:
    """Download `file` to `target` and return it.

    What an interrupted download left (`target`.part) is continued. One process downloads a file at a time, others wait
    for it. Raises `DownloadError` (no address, no network, HTTP status, breaks off again and again) or `ChecksumError`.
    """
    if file.url is None:
        raise DownloadError(
            f"{file.name} of {entry.name} has no public address; put the file into a folder named by STREAMPROC_MODELS"
        )
    require_folder(target.parent)
    try:
        return _fetch_alone(entry, file, target, progress)
    except OSError as error:  # the network's errors are not among these
        raise DownloadError(
            f"{target} can't be written ({error.strerror}); make room, or name another folder with STREAMPROC_CACHE"
        ) from None


def _fetch_alone(entry: ModelEntry, file: ModelFile, target: Path, progress: DownloadProgress) -> Path:
    with _only_one(target.with_name(f".{target.name}.lock")):
        if target.is_file():  # another process was faster
            return target
        part = target.with_name(f"{target.name}.part")
        resumed = _size(part) > 0
        _download(entry, file, part, progress)
        if resumed and file.sha256 not in (None, sha256_of(part)):
            part.unlink()  # what lay there wasn't the beginning of this file
            _download(entry, file, part, progress)
        _accept(entry, file, part)
        part.replace(target)
    return target


def _accept(entry: ModelEntry, file: ModelFile, part: Path) -> None:
    found = sha256_of(part)
    if file.sha256 is not None and found != file.sha256:
        part.unlink()
        raise ChecksumError(
            f"the download of {file.name} for {entry.name} from {redact(file.url or '')} has the sha256 {found}, "
            f"expected {file.sha256}; it was thrown away. The address may serve another version: "
            "get the file elsewhere and put it into a folder named by STREAMPROC_MODELS"
        )


def _download(entry: ModelEntry, file: ModelFile, part: Path, progress: DownloadProgress) -> None:
    import httpx

    assert file.url is not None
    _check_name(entry, file)
    timeout = httpx.Timeout(READ_S, connect=CONNECT_S)
    fruitless = 0
    with httpx.Client(timeout=timeout, follow_redirects=True) as client:
        while fruitless < ATTEMPTS:
            before = _size(part)
            try:
                _continue(client, file, part, progress)
            except (httpx.TransportError, _Cut) as error:
                if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.UnsupportedProtocol):
                    raise _unreachable(entry, file, str(error) or type(error).__name__) from None
                fruitless = 0 if _size(part) > before else fruitless + 1
                continue
            return
    raise DownloadError(
        f"the download of {file.name} for {entry.name} breaks off after {_size(part)} of {file.bytes or 'unknown'} "
        f"bytes every time ({redact(file.url)}); run `streamproc models pull {entry.name}` again to go on from there"
    )


def _continue(client: httpx.Client, file: ModelFile, part: Path, progress: DownloadProgress) -> None:
    """Request the missing part of the file once."""
    assert file.url is not None
    done = _size(part)
    if file.bytes is not None and done >= file.bytes:
        if done == file.bytes:
            return
        part.unlink()
        done = 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={done}-"} if done else {})
    with client.stream("GET", file.url, headers=headers) as response:
        if response.status_code == 416:  # what is there doesn't belong to this file
            part.unlink(missing_ok=True)
            raise _Cut
        if response.status_code not in (200, 206):
            raise DownloadError(
                f"{redact(file.url)} answered {response.status_code} {response.reason_phrase}; the file {file.name} "
                "isn't there (any more). Put it into a folder named by STREAMPROC_MODELS"
            )
        if not _goes_on(response, done):
            done = 0
        total = file.bytes or done + int(response.headers.get("Content-Length", 0))
        with part.open("ab" if done else "wb") as target:
            for block in response.iter_raw():
                done += len(block)
                _refuse_more(file, done, part)
                target.write(block)
                progress(file.name, done, total)
    if total and done < total:
        raise _Cut


def _goes_on(response: httpx.Response, done: int) -> bool:
    return response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {done}-")


def _refuse_more(file: ModelFile, done: int, part: Path) -> None:
    if file.bytes is not None and done > file.bytes:
        part.unlink(missing_ok=True)
        raise ChecksumError(
            f"{redact(file.url or '')} sends more than the {file.bytes} bytes that {file.name} has; it isn't that file"
        )


def _check_name(entry: ModelEntry, file: ModelFile) -> None:
    """Resolve the host within a limit, as a resolver without a network may take half a minute."""
    parts = urlsplit(file.url or "")
    if parts.hostname is None or urllib.request.getproxies().get(parts.scheme):
        return
    failed: list[str] = ["the name can't be resolved in time"]

    def resolve(host: str) -> None:
        try:
            socket.getaddrinfo(host, None)
            failed.clear()
        except OSError as error:
            failed[:] = [error.strerror or str(error)]

    # a daemon: a resolver that hangs can't be ended from outside and mustn't hold the program
    worker = threading.Thread(target=resolve, args=(parts.hostname,), name="resolve", daemon=True)
    worker.start()
    worker.join(CONNECT_S)
    if failed:
        raise _unreachable(entry, file, failed[0])


def _unreachable(entry: ModelEntry, file: ModelFile, reason: str) -> DownloadError:
    host = urlsplit(file.url or "").hostname
    return DownloadError(
        f"the model {entry.name} isn't on this machine and {host} can't be reached ({redact(reason)}); connect to the "
        f"network, or put {file.name} into a folder named by STREAMPROC_MODELS"
    )


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


@contextlib.contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    import fcntl

    # never removed: another process may be waiting on this very file
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)  # released by the system when the process dies
        yield
