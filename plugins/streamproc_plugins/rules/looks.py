"""Looks of tracks (embeddings), for rules that continue with a person under another id."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc_plugins.rules.observations import Observation

STRANGERS = 0.3
"""mean cosine of two people where the net states none: that of `reid-0267`"""
_ALIKE = 0.5
"""part of the way from strangers to the same picture from which two looks are one person's"""
_OTHER = 0.25
"""and below which they are two people's"""
_CLEARLY = 0.2
"""by which the best match must beat the next: about the spread of the looks of one person"""
_MOST_LOOKS = 4
_APART_NS = 2_000_000_000
"""between two stored looks of a track"""
_PRIOR = 20
"""frames for which the net's own figure speaks"""
_LONGEST = 1000
_RIVAL_FRAMES = 50

Vectors = NDArray[np.float16]


@dataclass(slots=True, kw_only=True)
class _TrackLooks:
    """A track's looks."""

    born_ns: int
    observed_ns: int
    times_ns: list[int] = field(default_factory=list)
    looks: list[Vectors] = field(default_factory=list)
    """float16 (D,) each, the last one as it was at `observed_ns`"""
    rival: float | None = None
    """cosine with the most alike other person in view, on average"""
    frames: int = 0

    def observe(self, now_ns: int, look: NDArray[np.float32]) -> None:
        """Take its look in this frame."""
        self.observed_ns = now_ns
        if len(self.times_ns) > 1 and now_ns - self.times_ns[-2] < _APART_NS:
            self.times_ns.pop()
            self.looks.pop()
        self.times_ns.append(now_ns)
        self.looks.append(look.astype(np.float16))
        if len(self.looks) > _MOST_LOOKS:
            self.times_ns.pop(0)
            self.looks.pop(0)

    def beside(self, cosine: float) -> None:
        """Add the cosine of another person in view."""
        self.frames = min(self.frames + 1, _RIVAL_FRAMES)
        before = cosine if self.rival is None else self.rival
        self.rival = before + (cosine - before) / self.frames


class Looks:
    """Looks of the tracks in view, and of those lost recently.

    The scale is the stream's own: 0 is the likeness of two strangers (measured on people in view at once, at first as
    stated by the net), 1 that of the same picture.
    """

    def __init__(self, retain_ns: int) -> None:
        self._retain_ns = retain_ns
        self._known: dict[int, _TrackLooks] = {}
        self._strangers = STRANGERS
        self._frames = 0

    def __len__(self) -> int:
        """Number of tracks with known looks."""
        return len(self._known)

    def add(self, now_ns: int, observed: list[Observation], strangers: float | None = None) -> None:
        """Add a frame's observations. strangers: mean cosine of two people as stated by the net."""
        if not self._frames and strangers is not None:
            self._strangers = strangers
        with_look = [(observation, observation.look) for observation in observed if observation.look is not None]
        for observation, look in with_look:
            known = self._known.setdefault(
                observation.track_id, _TrackLooks(born_ns=observation.born_ns, observed_ns=now_ns)
            )
            if known.looks and known.looks[0].shape != look.shape:  # another net
                known.looks, known.times_ns = [], []
            known.observe(now_ns, look)
        if len(with_look) > 1:
            self._compare([observation for observation, _ in with_look], np.stack([look for _, look in with_look]))
        if self._known:
            self._known = {
                i: known for i, known in self._known.items() if now_ns - known.observed_ns <= self._retain_ns
            }

    def forget(self) -> None:
        """Forget all tracks, as at a cut."""
        self._known = {}

    def _compare(self, observed: list[Observation], looks: NDArray[np.float32]) -> None:
        cosines = looks @ looks.T
        others = ~np.eye(len(observed), dtype=np.bool_)
        self._frames = min(self._frames + 1, _LONGEST)
        mean = float(np.clip(cosines[others].mean(), 0, 0.95))
        self._strangers += (mean - self._strangers) / (self._frames + _PRIOR)
        for observation, most in zip(observed, np.where(others, cosines, -1).max(axis=1).tolist(), strict=True):
            self._known[observation.track_id].beside(most)

    def alike(self, old: int, new: int) -> float | None:
        """Likeness of the looks of two tracks: 1 the same, 0 like strangers; None where a look isn't known."""
        a, b = self._known.get(old), self._known.get(new)
        if a is None or b is None or a.looks[0].shape != b.looks[0].shape:
            return None
        cosine = float((np.stack(a.looks).astype(np.float32) @ b.looks[-1].astype(np.float32)).max())
        return self._scaled(cosine)

    def others(self, old: int, new: int) -> bool:
        """Whether the looks of two tracks speak against one person."""
        alike = self.alike(old, new)
        return alike is not None and alike < _OTHER

    def same(self, lost: Iterable[int], new: int, free: Iterable[int]) -> int | None:
        """The track of `lost` that goes on as `new`, by looks alone; None: no track, or no clear answer.

        The two must look alike, clearly more so than either does with any other candidate, or with a person in view
        beside the lost one. A track in view at the same time is another person.

        Args:
            lost: tracks that are out of view.
            new: a track in view.
            free: other tracks in view that may be one of the lost.
        """
        born_ns = self._known[new].born_ns if new in self._known else 0
        likes = [
            (alike, old) for old in lost
            if (alike := self.alike(old, new)) is not None and self._known[old].observed_ns < born_ns
        ]  # fmt: skip
        if not likes:
            return None
        likes.sort(reverse=True)
        best, old = likes[0]
        rivals = [alike for alike, _ in likes[1:]]
        rivals += [
            alike for other in free
            if other != new and (alike := self.alike(old, other)) is not None
            and self._known[other].born_ns > self._known[old].observed_ns
        ]  # fmt: skip
        if (rival := self._known[old].rival) is not None:
            rivals.append(self._scaled(rival))
        clear = all(best - rival >= _CLEARLY for rival in rivals)
        return old if best >= _ALIKE and clear else None

    def _scaled(self, cosine: float) -> float:
        return min((cosine - self._strangers) / (1 - self._strangers), 1.0)

    def state(self) -> dict[str, Any]:
        """JSON values for `restore`; empty before the first look."""
        if not self._known and not self._frames:
            return {}
        tracks = [
            [
                track_id,
                known.born_ns,
                known.observed_ns,
                known.times_ns,
                _packed(known.looks),
                known.rival,
                known.frames,
            ]
            for track_id, known in self._known.items()
        ]
        return {"strangers": self._strangers, "frames": self._frames, "tracks": tracks}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._strangers, self._frames = state.get("strangers", STRANGERS), state.get("frames", 0)
        self._known = {
            int(track_id): _TrackLooks(
                born_ns=born_ns, observed_ns=observed_ns, times_ns=list(times_ns),
                looks=_unpacked(looks, len(times_ns)), rival=rival, frames=frames,
            )
            for track_id, born_ns, observed_ns, times_ns, looks, rival, frames in state.get("tracks", [])
        }  # fmt: skip


def _packed(looks: list[Vectors]) -> str:
    return base64.b64encode(np.stack(looks).astype("<f2").tobytes()).decode()


def _unpacked(text: str, count: int) -> list[Vectors]:
    values = np.frombuffer(base64.b64decode(text), "<f2").astype(np.float16)
    return list(values.reshape(count, -1))


__all__ = ["STRANGERS", "Looks"]
