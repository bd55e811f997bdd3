"""The `camera_health` plugin: pictures to episodes in which the camera shows nothing one can rely on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from streamproc import Event, Frame, Moment, Output, PluginContext, Results, StreamPlugin
from streamproc_plugins.camera_health.options import CameraHealthOptions
from streamproc_plugins.camera_health.watch import HEIGHT, WIDTH, Change, Watch

_STATE = 1


class CameraHealth(StreamPlugin[CameraHealthOptions]):
    """Tells when the picture is frozen, black, covered, out of focus or moved: `camera.*` events, start to end."""

    pixels = True

    def open(self, context: PluginContext) -> None:
        """Begin without a past to compare with."""
        self._watch = Watch(self.options.settings())
        self._due_ns: int | None = None
        self._open: dict[str, Event] = {}

    def process(self, frame: Frame, past: Results) -> Output:
        """Looks at the first frame of every stretch of `every`; pixels of others aren't touched."""
        if self._due_ns is not None and frame.pts_ns < self._due_ns:
            return []
        # on a beat, so that the rate of frames doesn't matter
        self._due_ns = (frame.pts_ns // self.options.every + 1) * self.options.every
        gray = frame.pixels.small_gray(WIDTH, HEIGHT)
        return [self._event(change, frame) for change in self._watch.look(frame.pts_ns, gray)]

    def flush(self, moment: Moment) -> Output:
        """What goes on ends with the stream."""
        return [self._ended(change, moment) for change in self._watch.end(moment.pts_ns)]

    def state(self) -> Mapping[str, Any]:
        """The learned view is tiny: about 20 kB in all."""
        opened = {fault: asdict(event) for fault, event in self._open.items()}
        return {"version": _STATE, "due_ns": self._due_ns, "open": opened, "watch": self._watch.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on exactly."""
        if state.get("version") != _STATE:
            version = state.get("version")
            raise ValueError(f"camera_health got a state of version {version}, expected {_STATE}; start afresh")
        self._due_ns = state["due_ns"]
        self._open = {fault: Event(**{**plain, "attachments": ()}) for fault, plain in state["open"].items()}
        self._watch.restore(state["watch"])

    def _event(self, change: Change, frame: Frame) -> Event:
        if not change.begun:
            return self._ended(change, Moment.of(frame))
        key = f"{change.fault}/{frame.index}"
        begun = Event.begin(frame, f"camera.{change.fault}", key, start_ns=change.start_ns, **change.data)
        self._open[change.fault] = begun
        return begun

    def _ended(self, change: Change, moment: Moment) -> Event:
        end_ns = moment.pts_ns if change.end_ns is None else change.end_ns
        lasted = (end_ns - change.start_ns) / 1e9
        return self._open.pop(change.fault).later("end", moment, end_ns=end_ns, duration_s=lasted, **change.data)
