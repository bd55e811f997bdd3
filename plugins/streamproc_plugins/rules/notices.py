"""What the state machines of the rules say, and what they have in common. Times are nanoseconds of media time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from streamproc import Event, Moment
from streamproc_plugins.rules.presence import Timing
from streamproc_plugins.rules.sights import Sight


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One event to be: what happened, when, and to whom."""

    type: str
    phase: Any
    """start, update, end or instant"""
    episode: str
    start_ns: int
    end_ns: int | None
    score: float | None
    data: Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class Episode:
    """Something that goes on and was told."""

    type: str
    key: str
    start_ns: int
    told_ns: int
    """when its last notice was given"""
    extra: dict[str, Any] = field(default_factory=dict)
    """what was said at its start only"""

    def notice(self, phase: str, end_ns: int | None, score: float | None, data: Mapping[str, Any]) -> Notice:
        """A notice of it."""
        return Notice(
            type=self.type, phase=phase, episode=self.key, start_ns=self.start_ns, end_ns=end_ns, score=score,
            data={**self.extra, **data},
        )  # fmt: skip

    def due(self, now_ns: int, timing: Timing) -> bool:
        """Whether an update is due; then it counts as given."""
        if not timing.update_ns or now_ns - self.told_ns < timing.update_ns:
            return False
        self.told_ns = now_ns
        return True

    @classmethod
    def read(cls, plain: Mapping[str, Any] | None) -> Self | None:
        """From what `dataclasses.asdict` gave."""
        return None if plain is None else cls(**plain)


class Cooldown:
    """After one event, others of the same type and label don't begin for a while; they are counted."""

    def __init__(self, length_ns: int) -> None:
        self._length_ns = length_ns
        self._last_ns: dict[str, int] = {}
        self._held: dict[str, int] = {}

    def begin(self, type_: str, label: str, now_ns: int) -> dict[str, Any] | None:
        """None: not now. Else what the event says of those held back since the last one."""
        if not self._length_ns:
            return {}
        key = f"{type_} {label}"
        last_ns = self._last_ns.get(key)
        if last_ns is not None and now_ns - last_ns < self._length_ns:
            self._held[key] = self._held.get(key, 0) + 1
            return None
        self._last_ns[key] = now_ns
        held = self._held.pop(key, 0)
        return {"suppressed": held} if held else {}

    def state(self) -> list[Any]:
        """JSON values for `restore`."""
        return [dict(self._last_ns), dict(self._held)]

    def restore(self, state: list[Any]) -> None:
        """Go on from `state`."""
        self._last_ns, self._held = dict(state[0]), dict(state[1])


def events_of(notices: Iterable[Notice], moment: Moment, utc_offset_ns: int | None) -> Iterator[Event]:
    """Notices as events told at this moment. utc_offset_ns: UTC less media time; None: not known."""
    for notice in notices:
        yield Event(
            type=notice.type,
            phase=notice.phase,
            start_ns=notice.start_ns,
            end_ns=notice.end_ns,
            frame_index=moment.frame_index,
            pts_ns=moment.pts_ns,
            captured_ns=None if utc_offset_ns is None else notice.start_ns + utc_offset_ns,
            episode=notice.episode,
            score=None if notice.score is None else min(max(notice.score, 0.0), 1.0),
            data=dict(notice.data),
        )


def about(sight: Sight) -> dict[str, Any]:
    """What an event says of the one it is about."""
    return {"label": sight.label, "track_id": sight.track_id, "box": list(sight.box)}


def plain(record: Any) -> dict[str, Any]:
    """A dataclass as JSON values, nested ones too."""
    return asdict(record)
