"""Records: everything that is known of one frame when it leaves the chain."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from streamproc.events import Event
from streamproc.frames import SECOND_NS, Frame, StreamInfo
from streamproc.lookup import Key, Lookup, ResultT
from streamproc.results import Detections

Reason = Literal["", "idle", "gap", "lost", "back", "end"]
REASONS: tuple[Reason, ...] = ("", "idle", "gap", "lost", "back", "end")
"""why a record was made: for a frame (empty), or for a moment at which no frame was processed"""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Record(Lookup):
    """Everything that is known of one frame when it leaves the chain.

    `record[Tracks]` is the one result of that class, `record.get(Tracks)` the same or None, and
    `record.of("people", Detections)` that of a named plugin. A record may also stand for a moment at which no frame was
    processed (the source is lost, the stream ends): then `is_frame` is false, `reason` says why, and it holds no
    results, only events.
    """

    stream: StreamInfo
    index: int
    """index of the frame; of a moment without one, the last frame that was processed"""
    pts_ns: int
    """media time"""
    captured_ns: int | None = None
    """UTC of capture, None where it isn't known"""
    results: Mapping[Key, Any] = field(default_factory=dict)
    """by plugin name and class, in the order of the chain"""
    events: tuple[Event, ...] = ()
    """stamped, in the order of the chain"""
    verdicts: Mapping[str, str] = field(default_factory=dict)
    """by plugin name: `ok`, `failed`, `missing` (an input), `off` or `hung`; a plugin that wasn't due has none"""
    frame: Frame | None = field(default=None, repr=False)
    """the picture, while a consumer holds it"""
    reason: Reason = ""
    gives: tuple[Key, ...] = field(default=(), repr=False)
    """what the plugins of the chain may give, whether they did at this frame or not"""

    _missing: ClassVar[str] = "plugin gave {kind} for this frame; use record.get()"
    _several: ClassVar[str] = "choose one with record.of(plugin, class)"

    def __post_init__(self) -> None:
        if self.reason not in REASONS:
            raise ValueError(f"Record.reason is {self.reason!r}, expected one of {REASONS}")
        for name in ("results", "verdicts"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    @property
    def is_frame(self) -> bool:
        """True if a frame was processed; else the record stands for a moment, and `reason` says why."""
        return not self.reason

    @property
    def time(self) -> float:
        """Media time in seconds."""
        return self.pts_ns / SECOND_NS

    @property
    def captured(self) -> datetime | None:
        """UTC of capture to the microsecond, None where it isn't known."""
        return None if self.captured_ns is None else _EPOCH + timedelta(microseconds=self.captured_ns // 1000)

    def without_frame(self) -> Record:
        """The same record without its picture, to be stored."""
        return self if self.frame is None else replace(self, frame=None)

    def to_supervision(self, kind: type[Detections] = Detections) -> Any:
        """The one result of this class as `supervision.Detections`, track ids included."""
        return self[kind].to_supervision()

    def get(self, kind: type[ResultT]) -> ResultT | None:
        """The result of exactly this class, or None; of a moment without a frame an empty one, if the class has it."""
        found = Lookup.get(self, kind)  # in a class with slots a bare super() finds no way
        if found is None and not self.is_frame and any(given is kind for _, given in self.gives):
            empty = getattr(kind, "empty", None)
            return None if empty is None else empty()
        return found

    def _given(self) -> Mapping[Key, Any]:
        return self.results

    def _givers(self, kind: type) -> Collection[str]:
        # by what the chain declares too, so that an ambiguity shows at every frame and not where both give something
        return dict.fromkeys(name for name, given in (*self.gives, *self.results) if given is kind)

    def __reduce__(self) -> tuple[Any, ...]:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return _restored, ({**values, "results": dict(self.results), "verdicts": dict(self.verdicts)},)


def _restored(values: dict[str, Any]) -> Record:
    return Record(**values)


__all__ = ["REASONS", "Reason", "Record"]
