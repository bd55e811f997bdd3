"""Cooldown: the least time between two events of a kind."""

from __future__ import annotations

from typing import Any


class Cooldown:
    """After one event, others of the same type and label don't begin for a while; they are counted."""

    def __init__(self, length_ns: int) -> None:
        self._length_ns = length_ns
        self._last_ns: dict[str, int] = {}
        self._held: dict[str, int] = {}

    def begin(self, type_: str, label: str, now_ns: int) -> dict[str, Any] | None:
        """Data about the events held back since the last one; None: hold this one back, too."""
        if not self._length_ns:
            return {}
        key = f"{type_} {label}"
        last_ns = self._last_ns.get(key)
        if last_ns is not None and now_ns - last_ns < self._length_ns:
            self._held[key] = self._held.get(key, 0) + 1
            return None
        self._last_ns[key] = now_ns
        held = self._held.pop(key, 0)
        return {"suppressed": held} if held else {}

    def state(self) -> list[Any]:
        """JSON values for `restore`."""
        return [dict(self._last_ns), dict(self._held)]

    def restore(self, state: list[Any]) -> None:
        """Go on from `state`."""
        self._last_ns, self._held = dict(state[0]), dict(state[1])


__all__ = ["Cooldown"]
