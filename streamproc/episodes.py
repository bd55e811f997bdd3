"""Episodes: happenings with a start, updates and an end, for plugins with state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from streamproc.events import Event, Phase
from streamproc.frames import SECOND_NS


@dataclass(slots=True, kw_only=True)
class Episode:
    """A happening from its start to its end; its events share one key.

    A plugin makes one when something begins, yields the events of `start`, `update` and `end`, and drops it after the
    end. No method needs a frame, so an episode can end when the source is lost or the stream is over.

    >>> dark = Episode(type="image.dark", key="night/40", start_ns=4_000_000_000)
    >>> dark.start(4_000_000_000, level=12).phase
    'start'
    >>> dark.end(9_500_000_000, duration_s=dark.lasted_s(9_500_000_000)).data
    {'duration_s': 5.5}
    """

    type: str
    """of its events, dotted lower-case words such as `zone.entered`"""
    key: str
    """identity of the happening, never used twice by this plugin: hold the frame's index, such as `yard/17/204`"""
    start_ns: int
    """media time at which it began, perhaps before the frame that confirmed it"""
    subject: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    """JSON values for each of its events"""
    emitted_ns: int | None = None
    """media time at which it emitted its start or last regular update; None: not started"""

    def start(self, now_ns: int, *, score: float | None = None, **data: Any) -> Event:
        """Return its first event, emitted at media time `now_ns`. `data` goes into this event alone."""
        self.emitted_ns = now_ns
        return self._event("start", None, score, data)

    def due(self, now_ns: int, every_ns: int) -> bool:
        """Return whether a regular update is due, `every_ns` after the last one or the start; 0 means never."""
        return self.emitted_ns is not None and 0 < every_ns <= now_ns - self.emitted_ns

    def update(self, now_ns: int | None = None, *, score: float | None = None, **data: Any) -> Event:
        """Return an update. `data` goes into this event alone.

        now_ns: media time of a regular update, from which `due` counts; without it the next one isn't delayed.
        """
        self.emitted_ns = self.emitted_ns if now_ns is None else now_ns
        return self._event("update", None, score, data)

    def end(self, end_ns: int, *, score: float | None = None, **data: Any) -> Event:
        """Return its last event: it ended at media time `end_ns`, now or earlier. `data` goes into this event alone."""
        return self._event("end", end_ns, score, data)

    def lasted_s(self, until_ns: int) -> float:
        """Return the seconds from its start to media time `until_ns`."""
        return (until_ns - self.start_ns) / SECOND_NS

    def state(self) -> dict[str, Any]:
        """Return JSON values for `restored`."""
        return {**asdict(self), "data": dict(self.data)}

    @classmethod
    def restored(cls, state: Mapping[str, Any] | None) -> Self | None:
        """Return the episode of a stored `state`; None for None, so that a missing episode can be stored, too."""
        return None if state is None else cls(**state)

    def _event(self, phase: Phase, end_ns: int | None, score: float | None, data: Mapping[str, Any]) -> Event:
        return Event(
            type=self.type,
            phase=phase,
            start_ns=self.start_ns,
            end_ns=end_ns,
            episode=self.key,
            score=score,
            subject=self.subject,
            data={**self.data, **data},
        )


__all__ = ["Episode"]
