"""Episodes: happenings with a start, updates and an end, as plugins with a memory emit them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from streamproc.events import Event, Phase
from streamproc.frames import SECOND_NS


@dataclass(slots=True, kw_only=True)
class Episode:
    """One happening from its start to its end; its events share one key.

    A plugin makes one when something begins, yields what `start`, `update` and `end` give, and lets go of it after the
    end. None of them needs a frame, so an episode can end when the source is lost or the stream is over.

    >>> dark = Episode(type="image.dark", key="night/40", start_ns=4_000_000_000)
    >>> dark.start(4_000_000_000, level=12).phase
    'start'
    >>> dark.end(9_500_000_000, duration_s=dark.lasted_s(9_500_000_000)).data
    {'duration_s': 5.5}
    """

    type: str
    """of its events, dotted lower-case words such as `zone.entered`"""
    key: str
    """what happens and to whom, never used twice by this plugin: with the frame's index in it, such as `yard/17/204`"""
    start_ns: int
    """media time at which it began; perhaps before the frame at which that became sure"""
    subject: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    """JSON values that stand in each of its events"""
    emitted_ns: int | None = None
    """media time at which it emitted its start or last regular update; None: not started"""

    def start(self, now_ns: int, *, score: float | None = None, **data: Any) -> Event:
        """Its first event, emitted at media time `now_ns`. `data` stands in this event alone."""
        self.emitted_ns = now_ns
        return self._event("start", None, score, data)

    def due(self, now_ns: int, every_ns: int) -> bool:
        """Whether a regular update is due, `every_ns` after the last one or the start; never where `every_ns` is 0."""
        return self.emitted_ns is not None and 0 < every_ns <= now_ns - self.emitted_ns

    def update(self, now_ns: int | None = None, *, score: float | None = None, **data: Any) -> Event:
        """An event that says how it goes on. `data` stands in this event alone.

        now_ns: media time of a regular update, which `due` counts from; without it the next one isn't put off.
        """
        self.emitted_ns = self.emitted_ns if now_ns is None else now_ns
        return self._event("update", None, score, data)

    def end(self, end_ns: int, *, score: float | None = None, **data: Any) -> Event:
        """Its last event: it ended at media time `end_ns`, now or earlier. `data` stands in this event alone."""
        return self._event("end", end_ns, score, data)

    def lasted_s(self, until_ns: int) -> float:
        """Seconds from its start to media time `until_ns`."""
        return (until_ns - self.start_ns) / SECOND_NS

    def state(self) -> dict[str, Any]:
        """JSON values for `restored`."""
        return {**asdict(self), "data": dict(self.data)}

    @classmethod
    def restored(cls, state: Mapping[str, Any] | None) -> Self | None:
        """The episode that `state` described; None for None, so that what isn't there can be stored, too."""
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
