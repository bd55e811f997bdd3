"""The label of a track while the detector's label for it changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from streamproc_plugins.rules.observations import Observation

_HALF_LIFE_NS = 10_000_000_000
_LONGEST_NS = 1_000_000_000
"""time that one observation counts for"""
_FIRST_NS = 1_000_000
_FORGOTTEN_NS = 60_000_000_000


class Votes:
    """The label of each track by the time for which it had it, old times counting for less: half after 10 s.

    So a car that is called a truck for some seconds remains a car, and a truck that was called a car at first becomes
    one.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, str, dict[str, float]]] = {}
        """by track: time of its last observation, its label, and the time for each of its labels"""

    def settle(self, now_ns: int, observed: list[Observation]) -> list[Observation]:
        """The observations with the labels that lasted."""
        settled = [self._settle(now_ns, observation) for observation in observed]
        self._known = {i: known for i, known in self._known.items() if now_ns - known[0] <= _FORGOTTEN_NS}
        return settled

    def _settle(self, now_ns: int, observation: Observation) -> Observation:
        last_ns, label, times = self._known.get(observation.track_id, (now_ns - _FIRST_NS, observation.label, {}))
        fades = 0.5 ** ((now_ns - last_ns) / _HALF_LIFE_NS)
        times = {name: time * fades for name, time in times.items()}
        times[observation.label] = times.get(observation.label, 0.0) + min(now_ns - last_ns, _LONGEST_NS)
        if times[observation.label] > times.get(label, 0.0):
            label = observation.label
        self._known[observation.track_id] = (now_ns, label, times)
        return observation if label == observation.label else replace(observation, label=label)

    def state(self) -> list[Any]:
        """JSON values for `restore`."""
        return [[track_id, *known] for track_id, known in self._known.items()]

    def restore(self, state: list[Any]) -> None:
        """Go on from `state`."""
        self._known = {int(i): (int(at_ns), label, dict(times)) for i, at_ns, label, times in state}


__all__ = ["Votes"]
