"""One zone: the tracks inside, since when, and their number. Knows observations and media time only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from streamproc import Episode, Event
from streamproc_plugins.rules.area import Area
from streamproc_plugins.rules.cooldown import Cooldown
from streamproc_plugins.rules.crowd import Crowd
from streamproc_plugins.rules.looks import Looks
from streamproc_plugins.rules.observations import Observation, Paths, about, by_int, same_place, wanted
from streamproc_plugins.rules.options import LoiteringOptions, ZoneOptions
from streamproc_plugins.rules.presence import Presence, Timing
from streamproc_plugins.rules.steady import Swings, reach


@dataclass(slots=True, kw_only=True)
class Visitor:
    """State of a track in a zone."""

    presence: Presence
    score: float
    about: dict[str, Any]
    """label, track_id and box of the last observation"""
    visit: Episode | None = None
    """the visit, once its event is emitted"""
    dwell: Episode | None = None
    dwell_tried: bool = False
    stay_ns: int = 0
    """first moment of the stay; short absences don't end it"""
    stayed_ns: int | None = None
    """when it was last inside; None: never"""
    stay: Episode | None = None
    rejoined: bool = False
    """whether the stay began under another track"""


@dataclass(slots=True, kw_only=True)
class Edge:
    """The last observation of a track, inside or outside."""

    observed_ns: int
    depth: float
    swings: Swings = field(default_factory=Swings)


class Zone:
    """Turns observations into events; `state` and `restore` carry it over a restart."""

    def __init__(
        self, name: str, options: ZoneOptions, area: Area, timing: Timing, margin: float, looks: Looks
    ) -> None:
        self.name = name
        self.area = area
        self._options = options
        self._timing = timing
        self._margin = margin
        self._cooldown = Cooldown(options.cooldown)
        self._looks = looks
        self._in_view: list[int] = []
        self._visitors: dict[int, Visitor] = {}
        self._edges: dict[int, Edge] = {}
        self._visits = 0
        self._crowd = Crowd(count=1 if options.crowd is None else options.crowd.count)
        self._crowded: Episode | None = None
        self._peak = 0

    @property
    def occupancy(self) -> int:
        """Number of tracks inside now; one without a detection counts until its visit ends."""
        return sum(visitor.presence.inside for visitor in self._visitors.values())

    def step(self, now_ns: int, observed: list[Observation], paths: Paths) -> Iterator[Event]:
        """Events of the observations of the frame at `now_ns`, after the looks were updated with them."""
        mine = wanted(observed, self._options.labels)
        self._in_view = [observation.track_id for observation in mine]
        for observation, (depth, born) in zip(mine, self.area.depths(mine), strict=True):
            stepped_ns, swings = self._stepped_in(observation, now_ns, depth)
            visitor = self._visitors.get(observation.track_id)
            if visitor is None:
                if depth < 0:
                    continue
                visitor = Visitor(presence=Presence(), score=observation.score, about={})
                self._visitors[observation.track_id] = visitor
                since_ns = min(stepped_ns, observation.born_ns) if born >= 0 else stepped_ns
            else:
                since_ns = stepped_ns
            visitor.about, visitor.score = about(observation), observation.score
            margin = self._reach(visitor.presence, depth, observation, swings.strayed_at(now_ns), paths)
            change = visitor.presence.observe(now_ns, depth, margin, self._timing, since_ns)
            yield from self._changed(visitor, change, now_ns)
        yield from self.expire(now_ns)
        yield from self._count(now_ns)

    def _reach(self, presence: Presence, depth: float, observation: Observation, strayed: float, paths: Paths) -> float:
        """Depth to reach on the other side of the border; only that side needs measuring."""
        if (depth >= 0) == presence.inside:
            return 0.0
        held_ns = 0 if presence.run_ns is None else presence.observed_ns - presence.run_ns
        return self.area.margin(
            reach(self._margin, observation.size, paths.jitter(observation.track_id), strayed, held_ns)
        )

    def _stepped_in(self, observation: Observation, now_ns: int, depth: float) -> tuple[int, Swings]:
        """Moment at which a track stepped over the border, by its depths before and after, and its swings there."""
        edge = self._edges.setdefault(observation.track_id, Edge(observed_ns=now_ns, depth=depth))
        before_ns, before = edge.observed_ns, edge.depth
        edge.observed_ns, edge.depth = now_ns, depth
        edge.swings.observe(now_ns, depth >= 0, abs(depth), observation.size)
        if before >= 0 or depth < 0:
            return now_ns, edge.swings
        return now_ns - round((now_ns - before_ns) * depth / (depth - before)), edge.swings

    def expire(self, now_ns: int) -> Iterator[Event]:
        """End the visits of tracks without a detection for too long."""
        for track_id, visitor in list(self._visitors.items()):
            presence = visitor.presence
            if presence.inside and presence.lost(now_ns, self._timing):
                presence.inside = False
                yield from self._left(visitor)
            yield from self._stay_ends(visitor, now_ns)
            outside = not presence.inside and (presence.run_ns is None or presence.lost(now_ns, self._timing))
            if outside and visitor.stayed_ns is None:
                del self._visitors[track_id]
        self._edges = {
            track_id: edge
            for track_id, edge in self._edges.items()
            if now_ns - edge.observed_ns <= self._timing.lost_ns
        }

    def finish(self, now_ns: int) -> Iterator[Event]:
        """End all open events: the stream ends, or shows another scene."""
        for visitor in self._visitors.values():
            if visitor.presence.inside:
                visitor.presence.inside = False
                yield from self._left(visitor)
            yield from self._stay_ends(visitor, None)
        self._visitors.clear()
        self._edges.clear()
        if self._crowded is not None:
            yield self._crowded.end(self._crowd.last_ns, **self._crowd_data(0))
        self._crowd, self._crowded = Crowd(count=self._crowd.count), None

    def state(self) -> dict[str, Any]:
        """JSON values for `restore`."""
        return {
            "visitors": {str(track_id): asdict(visitor) for track_id, visitor in self._visitors.items()},
            "edges": {str(track_id): asdict(edge) for track_id, edge in self._edges.items()},
            "visits": self._visits,
            "cooldown": self._cooldown.state(),
            "crowd": asdict(self._crowd),
            "crowded": None if self._crowded is None else self._crowded.state(),
            "peak": self._peak,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._visitors = {track_id: _read(found) for track_id, found in by_int(state["visitors"]).items()}
        self._edges = {
            track_id: Edge(**{**found, "swings": Swings(**found["swings"])})
            for track_id, found in by_int(state["edges"]).items()
        }
        self._visits, self._peak = state["visits"], state["peak"]
        self._cooldown.restore(state["cooldown"])
        self._crowd = Crowd(**{**state["crowd"], "count": self._crowd.count})
        self._crowded = Episode.restored(state["crowded"])

    def _changed(self, visitor: Visitor, change: str | None, now_ns: int) -> Iterator[Event]:
        if change == "entered":
            yield from self._entered(visitor, now_ns)
        elif change == "left":
            yield from self._left(visitor)
        if visitor.presence.inside:
            yield from self._dwells(visitor, now_ns)
            yield from self._stays(visitor, now_ns)

    def _entered(self, visitor: Visitor, now_ns: int) -> Iterator[Event]:
        self._visits += 1
        visitor.visit = self._begin("zone.entered", visitor, visitor.presence.since_ns, now_ns)
        if visitor.visit is not None:
            yield visitor.visit.start(now_ns, **self._of(visitor), count=self.occupancy)

    def _left(self, visitor: Visitor) -> Iterator[Event]:
        last_ns = visitor.presence.last_ns
        spent = (last_ns - visitor.presence.since_ns) / 1e9
        if visitor.dwell is not None:
            yield visitor.dwell.end(last_ns, **self._of(visitor), dwell_s=spent)
        if visitor.visit is not None:
            count = self.occupancy
            yield visitor.visit.end(last_ns, **self._of(visitor), dwell_s=spent, count=count)
            yield Event(
                type="zone.left", phase="instant", start_ns=last_ns, end_ns=last_ns, episode=visitor.visit.key,
                score=visitor.score, data={"zone": self.name, **visitor.about, "dwell_s": spent, "count": count},
            )  # fmt: skip
        visitor.visit = visitor.dwell = None
        visitor.dwell_tried = False

    def _dwells(self, visitor: Visitor, now_ns: int) -> Iterator[Event]:
        spent_ns = visitor.presence.last_ns - visitor.presence.since_ns
        if visitor.dwell is not None:
            if visitor.dwell.due(now_ns, self._timing.update_ns):
                yield visitor.dwell.update(now_ns, **self._of(visitor), dwell_s=spent_ns / 1e9)
        elif self._options.dwell is not None and not visitor.dwell_tried and spent_ns >= self._options.dwell:
            visitor.dwell_tried = True
            visitor.dwell = self._begin("zone.dwell", visitor, visitor.presence.since_ns, now_ns)
            if visitor.dwell is not None:
                yield visitor.dwell.start(now_ns, **self._of(visitor), dwell_s=spent_ns / 1e9)

    def _stays(self, visitor: Visitor, now_ns: int) -> Iterator[Event]:
        """Loitering: as dwelling, but short absences don't end it."""
        loitering = self._options.loitering
        if loitering is None:
            return
        presence = visitor.presence
        back_ns = presence.since_ns if presence.since_ns > (visitor.stayed_ns or 0) else presence.last_ns
        if visitor.stayed_ns is None:
            visitor.stay_ns = visitor.presence.since_ns
            self._rejoin(visitor, loitering.absence, entered=True)
        elif back_ns - visitor.stayed_ns > self._absence(loitering):
            yield from self._stay_over(visitor)
            visitor.stay_ns = back_ns
        elif len(self._looks) and visitor.stay is None and not visitor.rejoined:
            self._rejoin(visitor, loitering.absence)
        visitor.stayed_ns = visitor.presence.last_ns
        spent = (visitor.stayed_ns - visitor.stay_ns) / 1e9
        if visitor.stay is not None:
            if visitor.stay.due(now_ns, self._timing.update_ns):
                yield visitor.stay.update(now_ns, **self._of(visitor), stay_s=spent)
        elif visitor.stayed_ns - visitor.stay_ns >= loitering.lasting:
            visitor.stay = self._begin("zone.loitering", visitor, visitor.stay_ns, now_ns)
            if visitor.stay is not None:
                yield visitor.stay.start(now_ns, **self._of(visitor), stay_s=spent)

    def _rejoin(self, visitor: Visitor, absence_ns: int, *, entered: bool = False) -> None:
        """Continue the stay of a person whose track ended, found again under another one.

        By looks anywhere, as soon as they are known; by place only when the track has just entered.
        """
        stays = [
            other for other in self._visitors.values()
            if other.stayed_ns is not None and 0 < visitor.stay_ns - other.stayed_ns <= absence_ns
            and other.about["label"] == visitor.about["label"]
        ]  # fmt: skip
        if not stays:
            return
        found = self._alike(visitor, stays)
        if found is None and entered:
            found = self._vanished_here(visitor, stays)
        if found is not None:
            visitor.stay_ns, visitor.stay, visitor.rejoined = found.stay_ns, found.stay, True
            found.stay, found.stayed_ns = None, None

    def _alike(self, visitor: Visitor, stays: list[Visitor]) -> Visitor | None:
        """The stay of a track that looks like the visitor."""
        by_track = {stay.about["track_id"]: stay for stay in stays}
        free = [i for i in self._in_view if not (i in self._visitors and self._visitors[i].rejoined)]
        found = self._looks.same(by_track, visitor.about["track_id"], free)
        return None if found is None else by_track[found]

    def _vanished_here(self, visitor: Visitor, stays: list[Visitor]) -> Visitor | None:
        """The latest stay of a track that vanished at the visitor's place and doesn't look different."""
        here = [
            stay for stay in stays
            if stay.stayed_ns == stay.presence.observed_ns and same_place(stay.about["box"], visitor.about["box"])
            and not self._looks.others(stay.about["track_id"], visitor.about["track_id"])
        ]  # fmt: skip
        return max(here, key=lambda stay: stay.stayed_ns or 0, default=None)

    def _stay_ends(self, visitor: Visitor, now_ns: int | None) -> Iterator[Event]:
        """End a stay after too long an absence (None: the stream ends)."""
        loitering, last_ns = self._options.loitering, visitor.stayed_ns
        if loitering is None or last_ns is None:
            return
        # a person back under another track is recognised a moment later
        wait_ns = self._absence(loitering) + self._timing.enter_ns + self._timing.leave_ns
        if now_ns is None or not (visitor.presence.inside or now_ns - last_ns <= wait_ns):
            yield from self._stay_over(visitor)

    def _absence(self, loitering: LoiteringOptions) -> int:
        return max(loitering.absence, self._timing.leave_ns)

    def _stay_over(self, visitor: Visitor) -> Iterator[Event]:
        last_ns = visitor.stayed_ns
        if visitor.stay is not None and last_ns is not None:
            spent = (last_ns - visitor.stay_ns) / 1e9
            yield visitor.stay.end(last_ns, **self._of(visitor), stay_s=spent)
        visitor.stay, visitor.stayed_ns, visitor.rejoined = None, None, False

    def _count(self, now_ns: int) -> Iterator[Event]:
        """Events of the occupancy, once it was above or below the limit for a while."""
        crowd = self._options.crowd
        if crowd is None:
            return
        inside = [visitor.presence for visitor in self._visitors.values() if visitor.presence.inside]
        stays = [(presence.since_ns, presence.last_ns) for presence in inside]
        timing = Timing(enter_ns=crowd.lasting, leave_ns=self._timing.leave_ns, lost_ns=self._timing.lost_ns)
        change = self._crowd.observe(now_ns, stays, timing)
        lately_ns = self._crowd.last_ns if self._crowd.begun else now_ns - self._timing.leave_ns
        count = sum(first <= lately_ns <= last for first, last in stays)
        risen = count > self._peak
        self._peak = max(self._peak, count) if self._crowd.inside and change is None else count
        if change == "entered":
            key = f"{self.name}/{self._crowd.since_ns}"
            self._crowded = self._allowed("zone.crowded", key, "", self._crowd.since_ns, now_ns)
            if self._crowded is not None:
                yield self._crowded.start(now_ns, **self._crowd_data(count))
        elif self._crowded is not None and change == "left":
            yield self._crowded.end(self._crowd.last_ns, **self._crowd_data(count))
            self._crowded = None
        elif self._crowded is not None and (risen or self._crowded.due(now_ns, self._timing.update_ns)):
            yield self._crowded.update(None if risen else now_ns, **self._crowd_data(count))

    def _crowd_data(self, count: int) -> dict[str, Any]:
        return {"zone": self.name, "count": count, "peak": self._peak}

    def _begin(self, type_: str, visitor: Visitor, start_ns: int, now_ns: int) -> Episode | None:
        key = f"{self.name}/{visitor.about['track_id']}/{self._visits}"
        return self._allowed(type_, key, visitor.about["label"], start_ns, now_ns)

    def _allowed(self, type_: str, key: str, label: str, start_ns: int, now_ns: int) -> Episode | None:
        extra = self._cooldown.begin(type_, label, now_ns)
        return None if extra is None else Episode(type=type_, key=key, start_ns=start_ns, data=extra)

    def _of(self, visitor: Visitor) -> dict[str, Any]:
        """Score and data of an event about a visitor."""
        return {"score": visitor.score, "zone": self.name, **visitor.about}


def _read(found: dict[str, Any]) -> Visitor:
    episodes = {name: Episode.restored(found[name]) for name in ("visit", "dwell", "stay")}
    return Visitor(**{**found, **episodes, "presence": Presence(**found["presence"])})


__all__ = ["Edge", "Visitor", "Zone"]
