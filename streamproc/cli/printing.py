"""`print` of plugins during a run: it goes to the log, and never between the lines of the `stdout` sink."""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_LONGEST = 10_000
"""characters of a line that are held back for its end"""

logger = logging.getLogger("streamproc.print")


class _Lines(io.TextIOBase):
    """Logs each line that is written to it, on any thread.

    behind: the standard output itself, which the `stdout` sink writes to.
    """

    def __init__(self, behind: TextIO) -> None:
        self.behind = behind
        self._rest: dict[int, str] = {}
        """by thread: a line without its end"""

    def write(self, text: str) -> int:
        """Log the lines that are complete."""
        thread = threading.get_ident()
        *lines, rest = (self._rest.pop(thread, "") + text).split("\n")
        if len(rest) > _LONGEST:
            lines, rest = [*lines, rest], ""
        if rest:
            self._rest[thread] = rest
        for line in lines:
            logger.warning("printed: %s", line)
        return len(text)

    def writable(self) -> bool:
        return True

    def finish(self) -> None:
        """Log the lines that have no end."""
        for line in list(self._rest.values()):
            logger.warning("printed: %s", line)
        self._rest.clear()


@contextmanager
def prints_logged() -> Iterator[None]:
    """Within the block, what is printed is logged."""
    behind = sys.stdout
    if behind is None:  # the program was started without one
        yield
        return
    lines = _Lines(behind)
    sys.stdout = lines
    try:
        yield
    finally:
        sys.stdout = behind
        lines.finish()


__all__ = ["prints_logged"]
