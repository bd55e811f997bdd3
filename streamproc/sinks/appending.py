"""Append-only files that stay readable after a crash or a full disk."""

from __future__ import annotations

import errno
import fcntl
import os
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Literal

from streamproc.errors import SinkBusy, SinkError
from streamproc.events import Event
from streamproc.options import Field, Options
from streamproc.sink import EventSink, SinkContext

_BLOCK = 1 << 16
_FULL = (errno.ENOSPC, errno.EDQUOT)
_PATIENCE_S = 5.0
"""wait before a full disk is tried again"""


class PathTaken(SinkError):
    """Another run or sink is writing this file."""


class AppendingFile:
    """File of whole lines: an unfinished line of a crash or a full disk is removed again."""

    def __init__(self, path: Path, *, replace: bool) -> None:
        """Open `path` and lock it; its folder is made. Raises `SinkError`."""
        self.path = path
        self.repaired = 0
        """bytes of an unfinished last line that were removed"""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            if error.errno in _FULL:
                raise SinkBusy(f"{path} can't be made: {error.strerror}; free some room", _PATIENCE_S) from error
            raise SinkError(f"{path} can't be written: {error.strerror}; choose another path") from error
        try:
            self._lock()
            self._size = 0 if replace else self._end_of_whole()
            before = os.fstat(self._fd).st_size
            self.repaired = 0 if replace else before - self._size
            if before != self._size:
                os.ftruncate(self._fd, self._size)
        except BaseException:
            os.close(self._fd)
            raise

    @property
    def empty(self) -> bool:
        """Whether the file is empty."""
        return self._size == 0

    def first_line(self) -> str:
        """Its first line without the line break."""
        return os.pread(self._fd, _BLOCK, 0).split(b"\n", 1)[0].decode(errors="replace").rstrip("\r")

    @property
    def size(self) -> int:
        """Bytes in it."""
        return self._size

    def append(self, text: str | bytes) -> None:
        """Add whole lines; raises `SinkBusy` if the disk is full, else `SinkError`: then nothing was added."""
        rest = memoryview(text.encode() if isinstance(text, str) else text)
        end = self._size + len(rest)
        try:
            while rest:
                rest = rest[os.pwrite(self._fd, rest, end - len(rest)) :]
        except OSError as error:
            self._take_back()
            raise failed(self.path, error) from error
        self._size = end

    def sync(self) -> None:
        """Return once everything is on the disk."""
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise failed(self.path, error) from error

    def close(self) -> None:
        """Close it; the lock goes with it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _lock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PathTaken(f"{self.path} is being written by another run or sink; give each its own path") from None
        except OSError:
            pass  # a file system without locks: two writers are the user's care

    def _end_of_whole(self) -> int:
        """Return the end of the last whole line."""
        end = os.fstat(self._fd).st_size
        while end > 0:
            start = max(0, end - _BLOCK)
            found = os.pread(self._fd, end - start, start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
        return 0

    def _take_back(self) -> None:
        # if this fails too, the next append overwrites what is there
        with suppress(OSError):
            os.ftruncate(self._fd, self._size)


def failed(path: Path, error: OSError) -> SinkError:
    """Return the sink's error where the system refuses to write `path`: `SinkBusy` if the disk is full."""
    if error.errno in _FULL:
        return SinkBusy(f"{path}: {error.strerror}; free some room, nothing is lost meanwhile", _PATIENCE_S)
    return SinkError(f"{path} can't be written: {error.strerror}")


class LinesOptions(Options):
    """Options of the sinks that write a text file."""

    path: Path = Field(description="the file to write; its folder is made")
    mode: Literal["append", "replace"] = Field(
        "append", description="append: add to what an earlier run wrote; replace: start an empty file"
    )


class LinesSink(EventSink[LinesOptions]):
    """Writes each event as one line of a text file, in the form of the subclass.

    Delivery: at least once; a repeated event has the id of the first. Lines are whole even after `kill -9`: an
    unfinished last line is removed when the file is opened again. Durable after `flush`.
    """

    header: ClassVar[str] = ""
    """the first line of the file, without its line break; empty: none"""
    _file: AppendingFile | None = None
    _begun = False

    @abstractmethod
    def line(self, event: Event) -> str:
        """The event as one line, line break included; the same text in every run."""

    def open(self, context: SinkContext) -> None:
        """Open the file; raises `SinkError` if it can't be written or starts with another header."""
        # opened again in the same run, it must not throw away what it wrote before
        replace = self.options.mode == "replace" and not self._begun
        self._file = file = AppendingFile(self.options.path, replace=replace)
        if not self._begun and not file.empty and self.options.mode == "append":
            said = f"{file.path} holds lines of an earlier run; new ones are added (mode: replace starts an empty file)"
            context.log.info(said)
            context.note(said)
        self._begun = True
        if file.repaired:
            context.log.warning("%s ended in %d bytes of an unfinished line: removed", file.path, file.repaired)
        if self.header and file.empty:
            file.append(self.header + "\n")
        elif self.header and file.first_line() != self.header:
            self.close()
            raise SinkError(
                f"{file.path} starts with another line than {self.header!r}; choose another path, or mode: replace"
            )

    def write(self, events: Sequence[Event]) -> None:
        """Add the events' lines, all or none."""
        self._opened().append("".join(self.line(event) for event in events))

    def flush(self) -> None:
        """Return once all lines are on the disk."""
        self._opened().sync()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> AppendingFile:
        if self._file is None:
            raise SinkError(f"{self.options.path} isn't open")
        return self._file


__all__ = ["AppendingFile", "LinesOptions", "LinesSink", "PathTaken", "failed"]
