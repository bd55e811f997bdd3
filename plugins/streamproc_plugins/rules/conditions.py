"""Conditions that a track meets for a while, anywhere: standing still, left behind, wrong way, too fast."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from streamproc import Episode, Event
from streamproc_plugins.rules.area import Area
from streamproc_plugins.rules.cooldown import Cooldown
from streamproc_plugins.rules.observations import (
    Box,
    Observation,
    Paths,
    Point,
    about,
    box_gap,
    by_int,
    part_of,
    wanted,
)
from streamproc_plugins.rules.options import (
    LeftObjectOptions,
    RuleOptions,
    SpeedOptions,
    StationaryOptions,
    WrongWayOptions,
)
from streamproc_plugins.rules.presence import Presence, Timing

_SLOW = 0.1
"""box sizes per second: below this speed a track stands still while less of it is visible than before"""
_PUT_DOWN_NS = 2_000_000_000
"""time after an object appears within which a person near it counts as its owner"""


@dataclass(slots=True, kw_only=True)
class HeldTrack:
    """State of a track under a condition."""

    presence: Presence
    score: float
    about: dict[str, Any]
    origin: Point
    """where it stands still, if it does"""
    box: Box
    """all of it, as it was there"""
    next_origin: Point | None = None
    """where it stands if it isn't back soon"""
    next_ns: int = 0
    near: dict[str, list[int]] = field(default_factory=dict)
    """owners near it, by track: since when, and when last"""
    owned: list[int] = field(default_factory=list)
    """tracks near it when it was put down, or that stayed with it"""
    began_ns: int = 0
    """first moment at which it stood there"""
    now_ns: int = 0
    value: float = 0.0
    most: float = 0.0
    episode: Episode | None = None


class Condition(ABC):
    """A condition that a track meets or not, with an event while it lasts."""

    type: str

    def __init__(self, name: str, options: RuleOptions, area: Area | None, timing: Timing) -> None:
        self.name = name
        self._labels = options.labels
        self._area = area
        self._timing = timing
        self._cooldown = Cooldown(options.cooldown)
        self._held: dict[int, HeldTrack] = {}
        self._emitted = 0

    @abstractmethod
    def depth(
        self, observation: Observation, held: HeldTrack, paths: Paths, observed: list[Observation]
    ) -> float | None:
        """>= 0 while the condition holds, None where it can't be measured; may store a figure in `held.value`."""

    def settle(self, observation: Observation, held: HeldTrack) -> None:  # noqa: B027 - most have nothing to note
        """Update state that depends on whether the condition goes on."""

    def said(self, held: HeldTrack) -> dict[str, Any]:
        """Event data besides the track and the duration."""
        return {}

    def step(self, now_ns: int, observed: list[Observation], paths: Paths) -> Iterator[Event]:
        """Events of the observations of the frame at `now_ns`."""
        mine = wanted(observed, self._labels)
        inside = [now >= 0 for now, _ in self._area.depths(mine)] if self._area else [True] * len(mine)
        for observation, here in zip(mine, inside, strict=True):
            held = self._held.get(observation.track_id)
            if held is None:
                held = HeldTrack(
                    presence=Presence(observed_ns=now_ns),
                    score=observation.score,
                    about={},
                    origin=observation.point,
                    box=observation.box,
                )
                self._held[observation.track_id] = held
            held.about, held.score = about(observation), observation.score
            held.now_ns = now_ns
            depth = self.depth(observation, held, paths, observed) if here else -1.0
            if depth is None:
                continue
            change = held.presence.observe(now_ns, depth, 0.0, self._timing)
            yield from self._changed(held, change, now_ns)
            self.settle(observation, held)
        yield from self.expire(now_ns)

    def expire(self, now_ns: int) -> Iterator[Event]:
        """End the episodes of tracks without a detection for too long."""
        for track_id, held in list(self._held.items()):
            if held.presence.lost(now_ns, self._timing):
                yield from self._end(held)
                del self._held[track_id]

    def finish(self, now_ns: int) -> Iterator[Event]:
        """End all that is open."""
        for held in self._held.values():
            yield from self._end(held)
        self._held.clear()

    def state(self) -> dict[str, Any]:
        """JSON values for `restore`."""
        held = {str(track_id): asdict(found) for track_id, found in self._held.items()}
        return {"held": held, "emitted": self._emitted, "cooldown": self._cooldown.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._held = {track_id: _read(found) for track_id, found in by_int(state["held"]).items()}
        self._emitted = state["emitted"]
        self._cooldown.restore(state["cooldown"])

    def _changed(self, held: HeldTrack, change: str | None, now_ns: int) -> Iterator[Event]:
        since_ns = held.presence.since_ns
        if held.presence.inside and change is None:
            held.most = max(held.most, held.value)
        if change == "entered":
            held.most = held.value
            extra = self._cooldown.begin(self.type, held.about["label"], now_ns)
            if extra is not None:
                self._emitted += 1
                key = f"{self.name}/{held.about['track_id']}/{self._emitted}"
                held.episode = Episode(type=self.type, key=key, start_ns=since_ns, data=extra)
                yield held.episode.start(now_ns, score=held.score, **self._about(held))
        elif change == "left":
            yield from self._end(held)
        elif held.episode is not None and held.episode.due(now_ns, self._timing.update_ns):
            yield held.episode.update(now_ns, score=held.score, **self._about(held))

    def _end(self, held: HeldTrack) -> Iterator[Event]:
        if held.episode is not None:
            yield held.episode.end(held.presence.last_ns, score=held.score, **self._about(held))
        held.episode = None

    def _about(self, held: HeldTrack) -> dict[str, Any]:
        lasted = (held.presence.last_ns - held.presence.since_ns) / 1e9
        return {"rule": self.name, **held.about, "duration_s": lasted, **self.said(held)}


class Stationary(Condition):
    """Its anchor stays within a circle; a part of it may be hidden."""

    type = "object.stationary"

    def __init__(self, name: str, options: StationaryOptions, area: Area | None, timing: Timing) -> None:
        super().__init__(name, options, area, timing)
        self._radius = options.radius

    def depth(
        self, observation: Observation, held: HeldTrack, paths: Paths, observed: list[Observation]
    ) -> float | None:
        radius = self._radius * observation.size
        depth = radius - math.dist(observation.point, held.origin)
        if depth >= 0:
            held.next_origin = None
            if _girth(observation.box) >= _girth(held.box):
                held.box = observation.box
            return depth
        if part_of(observation.box, held.box):
            velocity = paths.velocity(observation.track_id)
            slow = velocity is not None and math.hypot(*velocity) < _SLOW * observation.size
            return radius if slow else None
        if held.next_origin is None or math.dist(observation.point, held.next_origin) > radius:
            held.next_origin, held.next_ns = observation.point, held.now_ns
        return depth

    def settle(self, observation: Observation, held: HeldTrack) -> None:
        presence = held.presence
        if presence.inside or presence.run_ns is not None or held.next_origin is None:
            return
        # it has moved: it may have stood at its new place for a while
        held.origin, held.box, held.next_origin = held.next_origin, observation.box, None
        presence.run_ns = presence.since_ns = held.next_ns
        presence.last_ns = held.now_ns
        held.near, held.owned, held.began_ns = {}, [], held.next_ns


class LeftObject(Stationary):
    """Holds while the object stands still without an owner near it; an owner that only passes by doesn't count."""

    type = "object.left"

    def __init__(self, name: str, options: LeftObjectOptions, area: Area | None, timing: Timing) -> None:
        super().__init__(name, options, area, timing)
        self._owners = options.owners
        self._near = options.near
        self._passing_ns = options.passing

    def depth(
        self, observation: Observation, held: HeldTrack, paths: Paths, observed: list[Observation]
    ) -> float | None:
        attended = self._attended(observation, held, wanted(observed, self._owners))
        depth = super().depth(observation, held, paths, observed)
        return -1.0 if attended else depth

    def _attended(self, observation: Observation, held: HeldTrack, owners: list[Observation]) -> bool:
        now_ns, near, attended = held.now_ns, held.near, False
        held.began_ns = held.began_ns or now_ns
        for owner in owners:
            if box_gap(owner.box, observation.box) > self._near * (owner.box[3] - owner.box[1]):
                continue
            since_ns, _ = near.get(str(owner.track_id), (now_ns, now_ns))
            near[str(owner.track_id)] = [since_ns, now_ns]
            new = now_ns - held.began_ns <= _PUT_DOWN_NS
            if owner.track_id not in held.owned and (new or now_ns - since_ns >= self._passing_ns):
                held.owned.append(owner.track_id)
                held.presence.last_ns = min(held.presence.last_ns, since_ns)
            attended = attended or owner.track_id in held.owned
        held.near = {key: times for key, times in near.items() if now_ns - times[1] <= self._timing.leave_ns}
        return attended


class WrongWay(Condition):
    """Movement against the right way."""

    type = "direction.wrong"

    def __init__(
        self, name: str, options: WrongWayOptions, area: Area | None, timing: Timing, size: tuple[int, int]
    ) -> None:
        super().__init__(name, options, area, timing)
        (ax, ay), (bx, by) = options.along
        way = ((bx - ax) * size[0], (by - ay) * size[1])
        length = math.hypot(*way)
        self._way = (way[0] / length, way[1] / length)
        self._cosine = math.cos(math.radians(options.tolerance))
        self._least = options.min_speed

    def depth(
        self, observation: Observation, held: HeldTrack, paths: Paths, observed: list[Observation]
    ) -> float | None:
        velocity = paths.velocity(observation.track_id)
        if velocity is None:
            return None
        speed = math.hypot(*velocity)
        if speed <= self._least * observation.size or speed == 0:
            return -1.0
        against = -(velocity[0] * self._way[0] + velocity[1] * self._way[1]) / speed
        return against - self._cosine


class Speeding(Condition):
    """Speed above the limit."""

    type = "speed.exceeded"

    def __init__(self, name: str, options: SpeedOptions, area: Area | None, timing: Timing, width: int) -> None:
        super().__init__(name, options, area, timing)
        scale = 1.0 if options.metres is None else options.metres / width
        self._scale = scale * (3.6 if options.unit == "km/h" else 1.0)
        self._unit = options.unit
        self._limit = options.above

    def depth(
        self, observation: Observation, held: HeldTrack, paths: Paths, observed: list[Observation]
    ) -> float | None:
        velocity = paths.velocity(observation.track_id)
        if velocity is None:
            return None
        held.value = math.hypot(*velocity) * self._scale
        return held.value - self._limit if held.value != self._limit else -1.0

    def said(self, held: HeldTrack) -> dict[str, Any]:
        return {"speed": held.value, "top_speed": held.most, "limit": self._limit, "unit": self._unit}


def _girth(box: Box) -> float:
    return box[2] - box[0] + box[3] - box[1]


def _read(found: dict[str, Any]) -> HeldTrack:
    parts = {"presence": Presence(**found["presence"]), "episode": Episode.restored(found["episode"])}
    places = {key: found[key] and tuple(found[key]) for key in ("origin", "box", "next_origin")}
    return HeldTrack(**{**found, **parts, **places})


__all__ = ["Condition", "HeldTrack", "LeftObject", "Speeding", "Stationary", "WrongWay"]
