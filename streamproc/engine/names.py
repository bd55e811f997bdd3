"""Names of all streams of a run: each belongs to one source."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from streamproc.errors import StreamprocError


class Names:
    """Owners of stream names, by source; safe to share between readers.

    configured: names of the configured streams, each of which belongs to its own source.
    """

    def __init__(self, configured: Iterable[str]) -> None:
        self._lock = threading.Lock()
        self._configured = set(configured)
        self._owners = {name: name for name in self._configured}

    def configure(self, name: str) -> None:
        """Add a configured stream; `StreamprocError` where another source announced this name."""
        with self._lock:
            if self._owners.setdefault(name, name) != name:
                raise StreamprocError(
                    f"stream {name!r} is announced by source {self._owners[name]!r}; use another name"
                )
            self._configured.add(name)

    def forget(self, name: str) -> None:
        """Remove a configured stream and the names that its source claimed."""
        with self._lock:
            self._configured.discard(name)
            for stream in [stream for stream, owner in self._owners.items() if owner == name]:
                del self._owners[stream]

    def claim(self, name: str, source: str) -> str:
        """Return the name for a source's stream `name`: `source/name` where another source owns that already."""
        with self._lock:
            while self._owners.setdefault(name, source) != source:
                name = f"{source}/{name}"
            return name

    def release(self, name: str) -> None:
        """Free the name of an announced stream that has ended."""
        with self._lock:
            if name not in self._configured:
                self._owners.pop(name, None)


__all__ = ["Names"]
