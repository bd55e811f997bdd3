"""Events of people over time: state machines over posture and media time, one for each person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc import Episode, Event
from streamproc_plugins.pose.posture import SHOULDERS, descent, hands_height, lean_deg, middle, stature_px
from streamproc_plugins.rules.presence import Change, Presence, Timing

FALL, LYING, RAISED_HANDS = "pose.fall", "pose.lying", "pose.raised_hands"

_MARGIN_DEG = 5.0
_MARGIN_TORSO = 0.1
_LEAST_SPAN_S = 0.3
"""a descent is measured over at least this, so that one jumping keypoint is no fall"""
_AROUND_NS = 500_000_000
_LEAST_UPRIGHT_NS = 200_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BodySettings:
    """Limits for lying, falling and raised hands."""

    types: frozenset[str]
    sure: float
    lying_deg: float
    upright_deg: float
    lying: Timing
    down: Timing
    """how long a body must lie before it counts as fallen"""
    fall_speed: float
    """least descent, body lengths per second"""
    fall_within_ns: int
    hands: Timing
    hands_above: float
    """above the nose, in torso lengths"""
    both_hands: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BodyObservation:
    """One person in one frame."""

    points: NDArray[np.float32]
    """(17, 3)"""
    score: float
    about: Mapping[str, Any]
    """event data about the person"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posture:
    """Posture at a moment."""

    at_ns: int
    y: float
    """of the middle of the shoulders, pixels"""
    lean: float
    stature: float


class PostureEpisode:
    """An episode of one posture or gesture of a person."""

    def __init__(self, type_: str, timing: Timing, person: str) -> None:
        self._type, self._timing, self._person = type_, timing, person
        self.presence = Presence()
        self._episode: Episode | None = None
        self._said: dict[str, Any] = {}
        self._score = 0.0

    def observe(
        self, now_ns: int, depth: float | None, margin: float, observed: BodyObservation, index: int
    ) -> Iterator[Event]:
        """Update with `depth`, >= 0 while the posture lasts; None: unknown. index: of the frame, for episode keys."""
        if depth is None:
            yield from self.expire(now_ns)
            return
        if self.presence.lost(now_ns, self._timing):
            yield from self.finish()
        elif not self.presence.inside and now_ns - self.presence.observed_ns > self._timing.leave_ns:
            self.presence = Presence()  # two poses with nothing known between them are no beginning
        change = self.presence.observe(now_ns, depth, margin, self._timing)
        if depth >= 0:
            self._said, self._score = dict(observed.about), observed.score
        if change == "entered":
            key = f"{self._person}/{index}"
            self._episode = Episode(type=self._type, key=key, start_ns=self.presence.since_ns)
            yield self._episode.start(now_ns, score=self._score, **self._said)
        elif change == "left":
            yield from self._ended()
        elif self._episode is not None and self._episode.due(now_ns, self._timing.update_ns):
            yield self._episode.update(now_ns, score=self._score, **self._said)

    def expire(self, now_ns: int) -> Iterator[Event]:
        """End at the last pose, if that is too long ago."""
        if self.presence.lost(now_ns, self._timing):
            yield from self.finish()

    def finish(self) -> Iterator[Event]:
        """End at the last pose."""
        yield from self._ended()
        self.presence = Presence()

    def state(self) -> dict[str, Any]:
        """JSON values for `restore`."""
        episode = None if self._episode is None else self._episode.state()
        return {"presence": asdict(self.presence), "episode": episode, "said": self._said, "score": self._score}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.presence = Presence(**state["presence"])
        self._episode = Episode.restored(state["episode"])
        self._said, self._score = dict(state["said"]), state["score"]

    def _ended(self) -> Iterator[Event]:
        episode, self._episode = self._episode, None
        if episode is not None:
            end_ns = self.presence.last_ns
            yield episode.end(end_ns, score=self._score, **self._said, duration_s=episode.lasted_s(end_ns))


class Body:
    """One person."""

    def __init__(self, person: str, settings: BodySettings) -> None:
        self._settings, self._person = settings, person
        self._lying = PostureEpisode(LYING, settings.lying, person)
        self._hands = PostureEpisode(RAISED_HANDS, settings.hands, person)
        self._down = Presence()
        self._history: list[Posture] = []
        self.observed_ns = 0

    def observe(self, now_ns: int, observed: BodyObservation, index: int) -> Iterator[Event]:
        """Events of a new pose of this person."""
        settings = self._settings
        self.observed_ns = now_ns
        lean = lean_deg(observed.points, settings.sure)
        depth = None if lean is None else lean - settings.lying_deg
        if lean is not None and FALL in settings.types:
            if now_ns - self._down.observed_ns > settings.down.leave_ns:
                self._down, self._history = Presence(), []  # nothing is known about the time without poses
            self._remember(now_ns, lean, observed)
            yield from self._fallen(now_ns, lean - settings.lying_deg, observed, index)
        if LYING in settings.types:
            yield from self._lying.observe(now_ns, depth, _MARGIN_DEG, observed, index)
        if RAISED_HANDS in settings.types:
            yield from self._hands.observe(now_ns, self._hands_depth(observed, lean), _MARGIN_TORSO, observed, index)

    def expire(self, now_ns: int) -> Iterator[Event]:
        """End episodes without a pose for too long."""
        yield from self._lying.expire(now_ns)
        yield from self._hands.expire(now_ns)

    def finish(self) -> Iterator[Event]:
        """End all open episodes."""
        yield from self._lying.finish()
        yield from self._hands.finish()

    def state(self) -> dict[str, Any]:
        """JSON values for `restore`."""
        return {
            "lying": self._lying.state(),
            "hands": self._hands.state(),
            "down": asdict(self._down),
            "history": [asdict(posture) for posture in self._history],
            "observed_ns": self.observed_ns,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self._lying.restore(state["lying"])
        self._hands.restore(state["hands"])
        self._down = Presence(**state["down"])
        self._history = [Posture(**posture) for posture in state["history"]]
        self.observed_ns = state["observed_ns"]

    def _hands_depth(self, observed: BodyObservation, lean: float | None) -> float | None:
        """Height of the hands above the place where they count as raised; None for a person who lies."""
        if lean is not None and lean >= self._settings.lying_deg:
            return -1.0
        depths = [height - self._settings.hands_above for height in hands_height(observed.points, self._settings.sure)]
        depth = (min if self._settings.both_hands else max)(depths, default=-1.0)
        # a hidden arm may be up or down: a visible one decides only if the other can't change it
        decided = len(depths) == 2 or (bool(depths) and (depth < 0) == self._settings.both_hands)
        return depth if decided else None

    def _remember(self, now_ns: int, lean: float, observed: BodyObservation) -> None:
        settings = self._settings
        shoulders, stature = (
            middle(observed.points, SHOULDERS, settings.sure),
            stature_px(observed.points, settings.sure),
        )
        oldest_ns = now_ns - settings.fall_within_ns - settings.down.enter_ns - 2 * _AROUND_NS
        self._history = [posture for posture in self._history if posture.at_ns >= oldest_ns]
        if shoulders is not None and stature is not None:
            self._history.append(Posture(at_ns=now_ns, y=shoulders[1], lean=lean, stature=stature))

    def _fallen(self, now_ns: int, depth: float, observed: BodyObservation, index: int) -> Iterator[Event]:
        change: Change | None = self._down.observe(now_ns, depth, _MARGIN_DEG, self._settings.down)
        if change != "entered":
            return
        fall = fall_of(self._history, self._down.since_ns, self._settings)
        if fall is not None:
            upright_ns, speed = fall
            down_ns = self._down.since_ns
            said = {"took_s": (down_ns - upright_ns) / 1e9, "body_lengths_per_s": speed}
            yield Event(
                type=FALL, phase="instant", episode=f"{self._person}/{index}", start_ns=down_ns, end_ns=down_ns,
                score=observed.score, data={**observed.about, **said},
            )  # fmt: skip


def fall_of(history: list[Posture], down_ns: int, settings: BodySettings) -> tuple[int, float] | None:
    """Last upright moment of a person lying since `down_ns`, and its descent in body lengths per second.

    None where it wasn't a fall: not upright for a while before, too long ago, or too slow.
    """
    upright = [posture for posture in history if posture.at_ns < down_ns and posture.lean < settings.upright_deg]
    if not upright or upright[-1].at_ns - upright[0].at_ns < _LEAST_UPRIGHT_NS:
        return None
    start_ns = upright[-1].at_ns
    if down_ns - start_ns > settings.fall_within_ns:
        return None
    part = [posture for posture in history if start_ns - _AROUND_NS <= posture.at_ns <= down_ns + _AROUND_NS]
    times_s = [(posture.at_ns - start_ns) / 1e9 for posture in part]
    body = float(np.median([posture.stature for posture in upright]))
    speed = descent(times_s, [posture.y for posture in part], _LEAST_SPAN_S) / max(body, 1.0)
    return (start_ns, speed) if speed >= settings.fall_speed else None


__all__ = ["FALL", "LYING", "RAISED_HANDS", "Body", "BodyObservation", "BodySettings", "fall_of"]
