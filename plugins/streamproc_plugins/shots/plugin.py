"""The `shots` plugin: pictures to shots, one episode each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamproc import Episode, Event, Frame, Moment, Output, PluginContext, Results, StreamPlugin
from streamproc.shots import Shot
from streamproc_plugins.shots.finder import Finder
from streamproc_plugins.shots.measures import HEIGHT, WIDTH
from streamproc_plugins.shots.options import ShotsOptions


class Shots(StreamPlugin[ShotsOptions]):
    """Finds cuts, fades and dissolves: gives the `Shot` of each frame, and `shot` events from start to end."""

    state_version = 2
    pixels = True
    gives = (Shot,)

    def open(self, context: PluginContext) -> None:
        """Begin before the first picture."""
        self._finder = Finder(self.options.settings())
        self._number = 0
        self._episode: Episode | None = None

    def process(self, frame: Frame, past: Results) -> Output:
        """One `Shot`; when another one is known to have begun, the end of the last and its start."""
        begun = self._finder.find(frame.pts_ns, frame.index, frame.resized(WIDTH, HEIGHT))
        events: list[Event] = []
        if begun is not None:
            events += self._end(begun.at_ns)
            self._number += 1
            data = {"number": self._number, "kind": begun.kind, "blank": begun.blank, "first_frame": begun.index}
            self._episode = Episode(type="shot", key=f"{self._number}", start_ns=begun.at_ns, data=data)
            events.append(self._episode.start(frame.pts_ns))
        shot = self._finder.shot
        assert shot is not None
        return [Shot(number=self._number, start_ns=shot.at_ns, kind=shot.kind, blank=shot.blank), *events]

    def flush(self, moment: Moment) -> Output:
        """The last shot ends with the stream."""
        return self._end(moment.pts_ns)

    def state(self) -> Mapping[str, Any]:
        """The pictures that are still needed are tiny: about 20 kB in all."""
        going_on = None if self._episode is None else self._episode.state()
        return {"number": self._number, "episode": going_on, "finder": self._finder.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on exactly."""
        self._number, self._episode = state["number"], Episode.restored(state["episode"])
        self._finder.restore(state["finder"])

    def _end(self, end_ns: int) -> list[Event]:
        last, self._episode = self._episode, None
        if last is None:
            return []
        end_ns = max(end_ns, last.start_ns)
        return [last.end(end_ns, duration_s=last.lasted_s(end_ns))]
