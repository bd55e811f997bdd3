"""The names of all streams of a run: each belongs to one source."""

from __future__ import annotations

import threading
from collections.abc import Iterable


class Names:
    """Which source a stream's name belongs to; safe to share between readers.

    configured: the names of the configured streams, each of which belongs to its own source.
    """

    def __init__(self, configured: Iterable[str]) -> None:
        self._lock = threading.Lock()
        self._configured = frozenset(configured)
        self._owners = {name: name for name in self._configured}

    def claim(self, name: str, source: str) -> str:
        """The name for a stream that `source` calls `name`: `source/name` where another source has that one already."""
        with self._lock:
            while self._owners.setdefault(name, source) != source:
                name = f"{source}/{name}"
            return name

    def release(self, name: str) -> None:
        """A stream has ended that its source had announced."""
        with self._lock:
            if name not in self._configured:
                self._owners.pop(name, None)


__all__ = ["Names"]
