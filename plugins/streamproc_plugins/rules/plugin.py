"""The `rules` plugin: options to state machines, and their events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from streamproc import (
    Event,
    Frame,
    Mistake,
    Moment,
    Options,
    Output,
    PluginContext,
    Results,
    StreamPlugin,
    TimeReason,
    Tracks,
)
from streamproc_plugins.rules.area import Area
from streamproc_plugins.rules.conditions import Condition, LeftObject, Speeding, Stationary, WrongWay
from streamproc_plugins.rules.labels import LabelCheck
from streamproc_plugins.rules.lines import Line
from streamproc_plugins.rules.looks import Looks
from streamproc_plugins.rules.observations import FrameView, Paths, observe_tracks
from streamproc_plugins.rules.options import RulesOptions
from streamproc_plugins.rules.presence import Timing
from streamproc_plugins.rules.view import RuleView, joined
from streamproc_plugins.rules.votes import Votes
from streamproc_plugins.rules.zones import Zone
from streamproc_plugins.shots.following import ended_at_cut
from streamproc_plugins.tracking.results import Embeddings


class Rules(StreamPlugin[RulesOptions]):
    """Emits episodes, with their true start and end, for confirmed tracks in zones, at lines and elsewhere."""

    state_version = 2
    needs = (Tracks,)
    uses = (Embeddings,)
    gives = (RuleView,)

    @classmethod
    def labels_named(cls, options: RulesOptions) -> Iterable[tuple[tuple[str | int, ...], str]]:
        """The labels of each rule, and the owners of things that may be left."""
        for kind in ("zones", "lines", "stationary", "left_objects", "wrong_way", "speed"):
            for name, rule in getattr(options, kind).items():
                yield from (((kind, name, "labels", n), label) for n, label in enumerate(rule.labels))
        for name, left in options.left_objects.items():
            yield from ((("left_objects", name, "owners", n), label) for n, label in enumerate(left.owners))

    @classmethod
    def doubts(cls, options: RulesOptions, givers: Mapping[type, Options]) -> Iterable[Mistake]:
        """Report absences that nothing bridges: the track returns under another id, without a look to recognise."""
        if Embeddings in givers:
            return
        lost_for = getattr(givers.get(Tracks), "lost_for", None)
        for name, zone in options.zones.items():
            absence = None if zone.loitering is None else zone.loitering.absence
            if absence is not None and isinstance(lost_for, int) and absence > lost_for:
                want, most = f"{absence / 1e9:g}s", f"{lost_for / 1e9:g}s"
                yield Mistake(
                    ("zones", name, "loitering", "absence"),
                    f"absences up to {want} don't count, but the tracker ends a track after {most} undetected: after "
                    "that, loitering goes on only if a new track begins where the old one vanished; put `appearance` "
                    "before the tracker, by which the rule knows people again anywhere in the zone, set the tracker's "
                    f"`lost_for` to {want}, or `absence` to {most}",
                )

    def open(self, context: PluginContext) -> None:
        """Lay the shapes over pictures of the stream's size."""
        options, size = self.options, context.stream.size
        timing = Timing(
            enter_ns=options.enter_after, leave_ns=options.leave_after, lost_ns=options.lost_after,
            update_ns=options.update_every,
        )  # fmt: skip
        absences = [zone.loitering.absence for zone in options.zones.values() if zone.loitering is not None]
        self._loitering = bool(absences)
        self._looks = Looks(max(absences, default=0) + options.enter_after + options.leave_after + options.lost_after)
        self._zones = [
            Zone(name, zone, Area(zone.polygon, size), timing, options.margin, self._looks)
            for name, zone in options.zones.items()
        ]
        self._lines = [
            Line(name, line, np.array(line.points, np.float64) * size, timing, options.margin)
            for name, line in options.lines.items()
        ]
        self._conditions = _conditions(options, size, timing)
        self._paths = Paths()
        self._votes = Votes()
        self._before_ns: int | None = None
        self._labels = LabelCheck(options)
        self._shapes = (*joined([zone.area.polygon for zone in self._zones]), *joined([x.points for x in self._lines]))

    def process(self, frame: Frame, past: Results) -> Output:
        """The events of this frame, and one `RuleView`."""
        now_ns = frame.pts_ns
        look = FrameView(now_ns=now_ns, size=frame.size, anchor=self.options.anchor, before_ns=self._before_ns)
        observed = self._votes.settle(now_ns, observe_tracks(past[Tracks], look, self._paths))
        self._labels.add(observed)
        self._before_ns = now_ns
        self._paths.add(now_ns, observed)
        if self._loitering:
            looks = past.get(Embeddings)
            self._looks.add(now_ns, observed, None if looks is None else looks.strangers)
        events = [event for place in self._all for event in place.step(now_ns, observed, self._paths)]
        return [*events, self._view()]

    def on_time(self, moment: Moment, reason: TimeReason) -> Output:
        """End episodes without a detection for too long; a camera cut ends all, as no track spans it."""
        if reason != "cut":
            return [event for place in self._all for event in place.expire(moment.pts_ns)]
        self._paths, self._before_ns = Paths(), None
        self._looks.forget()
        return ended_at_cut(self.flush(moment), moment.pts_ns)

    def flush(self, moment: Moment) -> list[Event]:
        """End open episodes at the last observation."""
        return [event for place in self._all for event in place.finish(moment.pts_ns)]

    def remarks(self) -> Iterable[str]:
        """Remarks on labels that a rule names and no track had."""
        return self._labels.remarks()

    def state(self) -> dict[str, Any]:
        """Tracks, open episodes and counts as JSON values."""
        return {
            "places": {key: place.state() for key, place in self._named().items()},
            "paths": self._paths.state(),
            "labels": self._votes.state(),
            "looks": self._looks.state(),
            "before_ns": self._before_ns,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`; rules that are new since then start afresh, those that are gone are forgotten."""
        for key, place in self._named().items():
            if key in state["places"]:
                place.restore(state["places"][key])
        self._paths.restore(state["paths"])
        self._votes.restore(state["labels"])
        self._looks.restore(state["looks"])
        self._before_ns = state["before_ns"]

    @property
    def _all(self) -> tuple[Zone | Line | Condition, ...]:
        return (*self._zones, *self._lines, *self._conditions)

    def _named(self) -> dict[str, Zone | Line | Condition]:
        return {f"{type(place).__name__}/{place.name}": place for place in self._all}

    def _view(self) -> RuleView:
        zone_points, zone_start, line_points, line_start = self._shapes
        crossings = [[line.counts["left"], line.counts["right"]] for line in self._lines]
        return RuleView(
            zone=tuple(zone.name for zone in self._zones),
            zone_points=zone_points,
            zone_start=zone_start,
            occupancy=np.array([zone.occupancy for zone in self._zones], np.int64),
            line=tuple(line.name for line in self._lines),
            line_points=line_points,
            line_start=line_start,
            crossings=np.array(crossings, np.int64).reshape(-1, 2),
            direction=tuple(line.name_of(side) for line in self._lines for side in ("left", "right")),
        )


def _conditions(options: RulesOptions, size: tuple[int, int], timing: Timing) -> list[Condition]:
    made: list[Condition] = []
    for name, still in options.stationary.items():
        made.append(Stationary(name, still, _area(still.polygon, size), timing.beginning(still.lasting)))
    for name, left in options.left_objects.items():
        made.append(LeftObject(name, left, _area(left.polygon, size), timing.beginning(left.lasting)))
    for name, way in options.wrong_way.items():
        made.append(WrongWay(name, way, _area(way.polygon, size), timing.beginning(way.lasting), size))
    for name, fast in options.speed.items():
        made.append(Speeding(name, fast, _area(fast.polygon, size), timing.beginning(fast.lasting), size[0]))
    return made


def _area(polygon: tuple[tuple[float, float], ...] | None, size: tuple[int, int]) -> Area | None:
    return None if polygon is None else Area(polygon, size)
