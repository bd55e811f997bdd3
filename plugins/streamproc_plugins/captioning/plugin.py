"""`captions`: English sentences, window by window, about the results of earlier plugins; no net and no pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from streamproc import (
    Caption,
    Classification,
    Detections,
    Duration,
    Event,
    Field,
    Frame,
    Moment,
    Options,
    Output,
    PluginContext,
    Results,
    StreamPlugin,
    TimeReason,
    Tracks,
    seconds,
)
from streamproc_plugins.captioning.facts import WindowFacts
from streamproc_plugins.captioning.sentences import describe
from streamproc_plugins.captioning.windows import Window, window_at

TYPE = "caption"


class CaptionsOptions(Options):
    """Options of `captions`."""

    window: Duration = Field(seconds(10), gt=0, le=seconds(3600), description="media time that one caption describes")
    least: Duration = Field(seconds(0.5), ge=0, description="tracks observed for less in a window are left out")
    repeat: bool = Field(False, description="emit a caption also where the window before had the same")


class Captions(StreamPlugin[CaptionsOptions]):
    """Describes each window of time in sentences: tracks and their way, zones, lines, actions, labels.

    Built from `Tracks`, `Detections`, `Classification` and the events of the plugins before it, as far as present.
    One `caption` event a window, searchable as text; `Caption` holds the last one for `annotate`. Where `shots` stands
    before, a window ends at a cut, too.
    """

    state_version = 2
    uses = (Tracks, Detections, Classification)
    gives = (Caption,)

    def open(self, context: PluginContext) -> None:
        """Begin with no facts."""
        self._facts = WindowFacts()
        self._window: Window | None = None
        self._emitted_ns = 0
        self._last = ""

    def process(self, frame: Frame, past: Results) -> Output:
        """The caption of the window before, where this frame is the first of another; the last `Caption`."""
        out: list[Any] = list(self._advance(frame.pts_ns))
        self._window = window_at(frame.pts_ns, self.options.window)
        self._gather(frame, past)
        if self._last:
            out.append(Caption(text=self._last))
        return out

    def on_time(self, moment: Moment, reason: TimeReason) -> Output:
        """End a window while no frame arrives; at a cut, unless it began with the shot that begins there."""
        events = list(self._advance(moment.pts_ns))
        started = self._window is not None and moment.pts_ns > max(self._window.start_ns, self._emitted_ns)
        return [*events, *self._emit(moment.pts_ns)] if reason == "cut" and started else events

    def flush(self, moment: Moment) -> Output:
        """The caption of the last window."""
        return list(self._emit(moment.pts_ns))

    def state(self) -> dict[str, Any]:
        """The window under way, as JSON values."""
        started = None if self._window is None else self._window.start_ns
        return {
            "facts": self._facts.state(), "start_ns": started, "emitted_ns": self._emitted_ns, "last": self._last,
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self._facts, self._last = WindowFacts.of(state["facts"]), state["last"]
        started = state["start_ns"]
        self._window = None if started is None else window_at(started, self.options.window)
        self._emitted_ns = state["emitted_ns"]

    def _gather(self, frame: Frame, past: Results) -> None:
        facts = self._facts
        facts.frames += 1
        facts.observe_events(past.events)
        if (tracks := past.get(Tracks)) is not None:
            facts.observe_tracks(tracks, frame.pts_ns, frame.size)
        if (found := past.get(Detections)) is not None:
            facts.observe_detections(found)
        if (classes := past.get(Classification)) is not None:
            facts.observe_classes(classes)

    def _advance(self, now_ns: int) -> Iterator[Event]:
        if self._window is not None and now_ns >= self._window.end_ns:
            yield from self._emit(self._window.end_ns)

    def _emit(self, end_ns: int) -> Iterator[Event]:
        """The caption of the window under way, which ends here."""
        window, facts = self._window, self._facts
        self._window, self._facts = None, WindowFacts()
        if window is None:
            return
        start_ns, end_ns = max(window.start_ns, self._emitted_ns), min(window.end_ns, end_ns)
        self._emitted_ns = end_ns
        text = describe(facts, self.options.least)
        changed, self._last = text and (self.options.repeat or text != self._last), text
        if changed:
            yield Event(
                type=TYPE,
                phase="instant",
                start_ns=start_ns,
                end_ns=max(start_ns, end_ns),
                episode=f"w{window.number}",
                data={"text": text},
            )


__all__ = ["Captions", "CaptionsOptions"]
