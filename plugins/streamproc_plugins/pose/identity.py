"""Identity of poses over frames: the track where there is one, else the most alike pose shortly before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc import Poses
from streamproc_plugins.pose.matching import alike, assigned

F32 = NDArray[np.float32]

_LEAST = 0.3
_GROWTH_HZ = 10.0
_MOST_GROWTH = 3.0


class Identities:
    """Keys of people: their track id (`7`), or a number of its own with a letter (`p7`) without tracks.

    Without tracks a pose belongs to the person of the last `lost_ns` whose last pose is most alike by OKS. The
    tolerance grows with the time in between, as people move.
    """

    def __init__(self, lost_ns: int) -> None:
        self._lost_ns = lost_ns
        self._last: dict[str, tuple[int, F32]] = {}
        self._count = 0

    def observe(self, now_ns: int, poses: Poses) -> list[str]:
        """A key for each pose, none twice; now_ns is later than all before."""
        self._last = {key: last for key, last in self._last.items() if now_ns - last[0] <= self._lost_ns}
        ids = [0] * len(poses.score) if poses.track_id is None else poses.track_id.tolist()
        keys = [str(track_id) if track_id > 0 else "" for track_id in ids]
        free = [row for row, key in enumerate(keys) if not key]
        for row, key in self._known(now_ns, poses.keypoints, free):
            keys[row] = key
        for row in free:
            if not keys[row]:
                self._count += 1
                keys[row] = f"p{self._count}"
            self._last[keys[row]] = (now_ns, poses.keypoints[row])
        return keys

    def forget(self) -> None:
        """Forget all people, as none can be followed over a cut."""
        self._last.clear()

    def state(self) -> dict[str, Any]:
        """JSON values for `restore`."""
        people = {key: [at_ns, points.tolist()] for key, (at_ns, points) in self._last.items()}
        return {"last": people, "count": self._count}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self._last = {key: (at_ns, np.array(points, np.float32)) for key, (at_ns, points) in state["last"].items()}
        self._count = state["count"]

    def _known(self, now_ns: int, points: F32, free: list[int]) -> list[tuple[int, str]]:
        if not free or not self._last:
            return []
        names = list(self._last)
        before = np.stack([self._last[name][1] for name in names])
        away_s = np.array([now_ns - self._last[name][0] for name in names]) / 1e9
        growth = np.square(1 + np.minimum(_GROWTH_HZ * away_s, _MOST_GROWTH))
        fit = alike(points[free], before, growth=growth)
        return [(free[row], names[column]) for row, column in assigned(fit, _LEAST)]


__all__ = ["Identities"]
