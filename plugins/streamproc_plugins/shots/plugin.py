"""The `shots` plugin: pictures to shots, one episode each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamproc import Event, Frame, Moment, Output, PluginContext, Results, StreamPlugin
from streamproc_plugins.shots.finder import Begun, Finder
from streamproc_plugins.shots.measures import HEIGHT, WIDTH
from streamproc_plugins.shots.options import ShotsOptions
from streamproc_plugins.shots.results import Shot

_STATE = 2


class Shots(StreamPlugin[ShotsOptions]):
    """Finds cuts, fades and dissolves: gives the `Shot` of each frame, and `shot` events from start to end."""

    pixels = True
    gives = (Shot,)

    def open(self, context: PluginContext) -> None:
        """Begin before the first picture."""
        self._finder = Finder(self.options.settings())
        self._number = 0
        self._captured_ns: int | None = None

    def process(self, frame: Frame, past: Results) -> Output:
        """One `Shot`; when another one is known to have begun, the end of the last and its start."""
        before = self._open()
        begun = self._finder.look(frame.pts_ns, frame.index, frame.resized(WIDTH, HEIGHT))
        told: list[Event] = []
        if begun is not None:
            told += [self._ended(before, Moment.of(frame), begun.at_ns)] if before is not None else []
            self._number += 1
            late_ns = frame.pts_ns - begun.at_ns
            self._captured_ns = None if frame.captured_ns is None else frame.captured_ns - late_ns
            told.append(self._event(begun, Moment.of(frame)))
        shot = self._finder.shot
        assert shot is not None
        return [Shot(number=self._number, start_ns=shot.at_ns, kind=shot.kind, blank=shot.blank), *told]

    def flush(self, moment: Moment) -> Output:
        """The last shot ends with the stream."""
        last = self._open()
        return [] if last is None else [self._ended(last, moment, max(moment.pts_ns, last.start_ns))]

    def state(self) -> Mapping[str, Any]:
        """The pictures that are still needed are tiny: about 20 kB in all."""
        kept = {"number": self._number, "captured_ns": self._captured_ns}
        return {"version": _STATE, **kept, "finder": self._finder.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on exactly."""
        if state.get("version") != _STATE:
            raise ValueError(f"shots got a state of version {state.get('version')}, expected {_STATE}; start afresh")
        self._number, self._captured_ns = state["number"], state["captured_ns"]
        self._finder.restore(state["finder"])

    def _open(self) -> Event | None:
        shot = self._finder.shot
        if shot is None:
            return None
        return self._event(shot, Moment(pts_ns=shot.at_ns, frame_index=shot.index))

    def _event(self, shot: Begun, told: Moment) -> Event:
        return Event(
            type="shot",
            phase="start",
            start_ns=shot.at_ns,
            end_ns=None,
            frame_index=told.frame_index,
            pts_ns=told.pts_ns,
            captured_ns=self._captured_ns,
            episode=f"{self._number}",
            data={"number": self._number, "kind": shot.kind, "blank": shot.blank, "first_frame": shot.index},
        )

    def _ended(self, shot: Event, moment: Moment, end_ns: int) -> Event:
        return shot.later("end", moment, end_ns=end_ns, duration_s=(end_ns - shot.start_ns) / 1e9)
