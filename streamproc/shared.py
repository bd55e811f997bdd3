"""Objects that the plugins of one package share in this process, such as weights."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class SharedObjects:
    """Objects by key, each made once on first use; safe to use from all threads.

    An object lives as long as it is referenced; one that can't be referenced weakly lives until the process ends.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._making: dict[Hashable, threading.Lock] = {}
        self._weak: weakref.WeakValueDictionary[Hashable, Any] = weakref.WeakValueDictionary()
        self._strong: dict[Hashable, Any] = {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the object of this key, made by `make` where there is none; concurrent callers wait for it."""
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            found: Any = self._strong.get(key)
            if found is None:
                found = self._weak.get(key)
            if found is None:
                found = make()
                self._store(key, found)
            return found  # type: ignore[no-any-return]

    def _store(self, key: Hashable, made: Any) -> None:
        try:
            self._weak[key] = made
        except TypeError:
            self._strong[key] = made


SHARED = SharedObjects()
"""shared objects of this process"""

__all__ = ["SHARED", "SharedObjects"]
