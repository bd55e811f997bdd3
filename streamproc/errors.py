"""Exceptions of streamproc, as a tree by what the caller can do.

StreamprocError
├── ConfigError        the configuration is wrong: correct the file
├── RunError           a run of the library ended with a failure: its report says which
├── UnknownNameError   no source, sink or plugin of that name is installed
├── SourceError        the input can't be opened or read
│   └── SourceLost     a live input went away: open it again
├── PluginError        a plugin's fault: its output, options or code
│   └── MissingInput   a result that a plugin asked for isn't there for this frame
├── ModelError         a model can't be loaded or doesn't fit
│   ├── ModelNotFound
│   ├── ChecksumError
│   └── DownloadError
└── SinkError          a sink can't deliver
    └── SinkBusy       it can't at the moment: try again after `retry_after_s`
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamproc import secrets
from streamproc.blame import author_frame, hint

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray


redact = secrets.redact
redact_values = secrets.redact_values


class StreamprocError(Exception):
    """Base class. Its text is a sentence for the user that needs no traceback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """One mistake in a configuration, with its place and what to do."""

    message: str
    where: str = ""
    """dotted path of the key, such as `streams.dock.rate`"""
    file: Path | None = None
    line: int | None = None
    """1-based"""
    column: int | None = None
    """1-based"""

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        return ": ".join(part for part in (place, self.where, self.message) if part)


class ConfigError(StreamprocError):
    """A configuration (or the arguments of a call) with one or more mistakes, all of them in `issues`."""

    def __init__(self, issues: Sequence[Issue], *, of: str = "the configuration") -> None:
        self.issues = tuple(issues)
        count = len(self.issues)
        lines = [f"{counted(count, 'mistake')} in {of}:", *(f"  {issue}" for issue in self.issues)]
        super().__init__(redact("\n".join(lines)))


class RunError(StreamprocError):
    """A run that ended with a failure: of a source or plugin, or of delivery.

    report: the run's report, a `streamproc.engine.RunReport`.
    """

    def __init__(self, message: str, report: object) -> None:
        super().__init__(message)
        self.report = report


class UnknownNameError(StreamprocError):
    """A name for which no source, sink or plugin is installed."""


class SourceError(StreamprocError):
    """The input can't be opened, or its content can't be read."""


class SourceLost(SourceError):
    """A live input went away; the engine opens it again after a while."""


class PluginError(StreamprocError):
    """A plugin broke its contract; the message names the plugin and the value."""


class MissingInput(PluginError):
    """No plugin gave the wanted result for this frame."""


class ModelError(StreamprocError):
    """A model can't be loaded, or its inputs and outputs differ from its manifest."""


class ModelNotFound(ModelError):
    """The model list has no such name, or the files are missing and have no address."""


class ChecksumError(ModelError):
    """A model file's content differs from the list."""


class DownloadError(ModelError):
    """A model file couldn't be fetched."""


class SinkError(StreamprocError):
    """A sink couldn't deliver; the engine tries again, then reports the undelivered items."""


class SinkBusy(SinkError):
    """The other side is busy; the engine waits `retry_after_s` seconds and tries again."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


def check_array(name: str, a: NDArray[Any], dtype: DTypeLike, shape: tuple[int | None, ...]) -> None:
    """Raise `ValueError` unless `a` has this dtype and shape (None: any length)."""
    # a loop: a generator and `all` take twice as long, and this runs for every array of every result
    fits = a.dtype == dtype and len(a.shape) == len(shape)
    for want, got in zip(shape, a.shape, strict=False):
        fits = fits and (want is None or want == got)
    if not fits:
        import numpy as np  # the module is imported where NumPy isn't needed

        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise ValueError(
            f"{name} is {a.dtype} {a.shape}, expected {np.dtype(dtype)} ({wanted}); "
            "convert or reshape it before building this object"
        )


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the known word most like `word`, else the empty text."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Raise `StreamprocError` with a sentence where the system refuses to write `place` or files in it.

    >>> with writing(Path("/dev/null/x")):
    ...     Path("/dev/null/x").mkdir()
    Traceback (most recent call last):
    streamproc.errors.StreamprocError: /dev/null/x can't be written (Not a directory); choose another place
    """
    try:
        yield
    except OSError as error:
        at = "" if error.filename in (None, str(place)) else f": {error.filename}"
        raise StreamprocError(f"{place} can't be written ({error.strerror}{at}); choose another place") from None


_LONGEST_ERROR = 2_000
_LINE_BREAK = re.compile(r"\s*\n\s*")


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun.

    >>> counted(1, "frame"), counted(0, "frame"), counted(2, "entry", "entries")
    ('1 frame', '0 frames', '2 entries')
    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def describe(error: BaseException, *, place: bool = True) -> str:
    """Return class and text of an exception as one line of bounded length, without secrets, even if `str` fails.

    place: with file, line and function of the author's frame, where the exception comes from a plugin, source or sink.
    """
    try:
        text, advice = _LINE_BREAK.sub(" ", str(error)[: 10 * _LONGEST_ERROR].strip()), hint(error)
    except BaseException:  # noqa: BLE001
        text, advice = "(its text can't be read)", ""
    name = type(error).__name__
    said = redact(f"{name}: {text}" if text else name)[:_LONGEST_ERROR] + (f" ({advice})" if advice else "")
    frame = author_frame(error) if place else ""
    return f"{said} [{frame}]" if frame else said
