"""Loads PyAV quietly for the other modules here and turns its errors into sentences without secrets."""

from __future__ import annotations

import re
import socket
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from streamproc.errors import SourceError, SourceLost, redact
from streamproc.paths import expand

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")


def load() -> ModuleType:
    """PyAV. FFmpeg logs nothing, which is its default: its messages hold addresses with their passwords."""
    import av

    return av


def is_url(address: str) -> bool:
    """Return whether it is an address with a scheme rather than a path."""
    return _URL.match(address) is not None


def ffmpeg_name(address: str) -> str:
    """`address` as FFmpeg takes it: a path with a colon or a percent sign in it stays a path."""
    return address if is_url(address) else f"file:{expand(address)}"


def check_file(path: Path) -> None:
    """Raise `SourceError` unless this is a file with something in it that may be read."""
    name = redact(str(path))  # an address whose scheme was forgotten is taken for a path
    try:
        if path.is_dir():
            raise SourceError(f"{name} is a folder, expected a video file; for a folder of pictures use `type: images`")
        if not path.exists():
            place = "" if path.is_absolute() else f" (looked in {Path.cwd()})"
            raise SourceError(f"{name} doesn't exist{place}; check the path")
        if not path.is_file():
            raise SourceError(
                f"{name} is {_kind(path)}, expected a video file; write what comes out of it to a file first, or for a "
                "camera use `type: camera`"
            )
        if path.stat().st_size == 0:
            raise SourceError(f"{name} is empty (0 bytes), expected a video; it may still be being written")
        with path.open("rb"):
            pass
    except OSError as error:
        raise SourceError(f"{name} can't be read: {error.strerror or error}; check its permissions") from None


def _kind(path: Path) -> str:
    """Describe a place where no regular file is."""
    if path.is_fifo():
        return "a pipe"
    return "a socket" if path.is_socket() else "a device"


def explain(error: Exception, address: str, *, live: bool, limit: str = "") -> SourceError:
    """FFmpeg's error over `address` as a sentence: `SourceLost` where a live input may come back.

    limit: the time limit that applied, in words.
    """
    errors: Any = load().error
    name = redact(address)
    silent = f"gave nothing within the time limit{limit and f' of {limit}'}"
    no_video = (
        "gives no video stream; check host, port (most cameras use 554) and what stands after them"
        if live
        else "isn't a video that FFmpeg can read, or it is cut off before its index; check that it plays elsewhere"
    )
    hopeless = {
        (errors.HTTPUnauthorizedError, errors.HTTPForbiddenError): (
            "refused the login; check user name and password in the address"
        ),
        (errors.ProtocolNotFoundError,): (
            "has a scheme that FFmpeg doesn't know; expected a path, or file, http, https, rtsp or rtmp"
        ),
    }
    hopeful = {
        (errors.HTTPNotFoundError,): "doesn't know this stream or file; check what stands after the host",
        (errors.ExitError, TimeoutError): f"{silent}; check that it is up and within reach, or raise the limit",
        (ConnectionError,): "takes no connection; check address and port, and that it is up",
        (errors.InvalidDataError,): no_video,
    }
    for kinds, sentence in hopeless.items():
        if isinstance(error, kinds):
            return SourceError(f"{name} {sentence}")
    lost = SourceLost if live else SourceError
    for kinds, sentence in hopeful.items():
        if isinstance(error, kinds):
            return lost(f"{name} {sentence}")
    if host := _unknown_host(address):
        return lost(
            f"{name} can't be opened: its host {redact(host)} isn't known; check its spelling and the name server"
        )
    return lost(f"{name} can't be opened or read: {reason(error)}; check that it is a video and within reach")


def _unknown_host(address: str) -> str:
    """The host of an address if its name can't be resolved, else nothing: FFmpeg only says that input failed."""
    if not is_url(address):
        return ""
    try:
        host = urlsplit(address).hostname or ""
        socket.getaddrinfo(host, None)
    except socket.gaierror:
        return host
    except ValueError:  # no host can be read from it
        return ""
    return ""


def reason(error: Exception) -> str:
    """FFmpeg's own short reason, without the address that its errors end with."""
    text = getattr(error, "strerror", None) or type(error).__name__
    return redact(str(text)).lower()


def fraction(value: Any) -> Fraction | None:
    """PyAV's rational as a `Fraction`, None where it is unset or 0."""
    return Fraction(value.numerator, value.denominator) if value else None
