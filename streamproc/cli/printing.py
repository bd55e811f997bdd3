"""`print` of plugins during a run: it goes to the log, and never between the lines of the `stdout` sink."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

logger = logging.getLogger("streamproc.print")


class _Lines(io.TextIOBase):
    """Logs each line that is written to it. `behind`: the standard output itself, which the sink writes to."""

    def __init__(self, behind: TextIO) -> None:
        self.behind = behind
        self._rest = ""

    def write(self, text: str) -> int:
        """Log the lines that are complete."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            logger.warning("printed: %s", line)
        return len(text)

    def writable(self) -> bool:
        return True

    def finish(self) -> None:
        """Log what is left of a line."""
        if self._rest:
            self.write("\n")


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
