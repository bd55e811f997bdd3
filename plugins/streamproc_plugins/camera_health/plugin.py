"""The `camera_health` plugin: pictures to episodes in which the camera shows nothing one can rely on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamproc import Episode, Event, Frame, Moment, Output, PluginContext, Results, StreamPlugin, TimeReason
from streamproc_plugins.camera_health.options import CameraHealthOptions
from streamproc_plugins.camera_health.watch import HEIGHT, WIDTH, HealthChange, HealthMonitor


class CameraHealth(StreamPlugin[CameraHealthOptions]):
    """Emits an event while the picture is frozen, black, covered, out of focus or moved: `camera.*`, start to end."""

    state_version = 2
    pixels = True

    def open(self, context: PluginContext) -> None:
        """Begin without a past to compare with."""
        self._watch = HealthMonitor(self.options.settings())
        self._due_ns: int | None = None
        self._open: dict[str, Episode] = {}

    def process(self, frame: Frame, past: Results) -> Output:
        """Looks at the first frame of every stretch of `every`; pixels of others aren't touched."""
        if self._due_ns is not None and frame.pts_ns < self._due_ns:
            return []
        # on a beat, so that the rate of frames doesn't matter
        self._due_ns = (frame.pts_ns // self.options.every + 1) * self.options.every
        gray = frame.pixels.small_gray(WIDTH, HEIGHT)
        return [self._event(change, frame.pts_ns, frame.index) for change in self._watch.look(frame.pts_ns, gray)]

    def on_time(self, moment: Moment, reason: TimeReason) -> Output:
        """End the open faults of a camera that gives no pictures, at their last observation."""
        patience_ns = self.options.every + self.options.after
        return [self._ended(change, moment.pts_ns) for change in self._watch.lose(moment.pts_ns, patience_ns)]

    def flush(self, moment: Moment) -> Output:
        """End the open faults with the stream."""
        return [self._ended(change, moment.pts_ns) for change in self._watch.end(moment.pts_ns)]

    def state(self) -> Mapping[str, Any]:
        """The learned view is tiny: about 20 kB in all."""
        opened = {fault: episode.state() for fault, episode in self._open.items()}
        return {"due_ns": self._due_ns, "open": opened, "watch": self._watch.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on exactly."""
        self._due_ns = state["due_ns"]
        self._open = {fault: Episode(**stored) for fault, stored in state["open"].items()}
        self._watch.restore(state["watch"])

    def _event(self, change: HealthChange, now_ns: int, index: int) -> Event:
        if not change.begun:
            return self._ended(change, now_ns)
        key, data = f"{change.fault}/{index}", change.data
        begun = Episode(type=f"camera.{change.fault}", key=key, start_ns=change.start_ns, data=data)
        self._open[change.fault] = begun
        return begun.start(now_ns)

    def _ended(self, change: HealthChange, now_ns: int) -> Event:
        end_ns = now_ns if change.end_ns is None else change.end_ns
        lasted = (end_ns - change.start_ns) / 1e9
        return self._open.pop(change.fault).end(end_ns, duration_s=lasted, **change.data)
