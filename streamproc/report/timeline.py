"""The timeline of a report: events as bars over media time, or over wall-clock time where all streams are live."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from streamproc.engine import RunReport
from streamproc.events import Event
from streamproc.frames import SECOND_NS
from streamproc.report.summary import summary, text

_COLOURS = ("#2f6fde", "#d9822b", "#1f9d61", "#b8405e", "#7a4fd0", "#0f9bb0", "#8a7a16", "#5c6b7a")
_BAR = 9
_MOST_ROWS = 8
_LEFT = 190
_WIDTH = 1000
_MOST_TICKS = 12
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200)
_DAY = 86400


@dataclass(frozen=True, slots=True)
class Axis:
    """Time axis of the timeline, in seconds."""

    start: float
    """media time, or seconds since 1970 where `origins` are given"""
    span: float
    origins: Mapping[str, float]
    """by stream: seconds since 1970 at its media time 0; empty for an axis of media time"""

    @classmethod
    def of(cls, report: RunReport, events: Sequence[Event]) -> Axis:
        """Return an axis of wall-clock time if all streams are live with capture times, else of media time."""
        origins = {
            e.stream: (e.captured_ns - e.start_ns) / SECOND_NS for e in reversed(events) if e.captured_ns is not None
        }
        ends = {stream.name: stream.media_s for stream in report.streams}
        for event in events:
            ends[event.stream] = max(ends.get(event.stream, 0.0), event.pts_ns / SECOND_NS)
        live = bool(origins) and all(stream.live for stream in report.streams)
        if live and {event.stream for event in events} <= origins.keys():
            start = min(origins.values())
            end = max(origins[name] + ends.get(name, 0.0) for name in origins)
            return cls(start, max(end - start, 1.0), origins)
        return cls(0.0, max([*ends.values(), 1.0]), {})

    def times(self, event: Event) -> tuple[float, float]:
        """Return start and end of an event in seconds from the axis start; an open event lasts to the axis end."""
        offset = self.origins.get(event.stream, 0.0) - self.start
        end = self.span if event.end_ns is None else event.end_ns / SECOND_NS + offset
        return event.start_ns / SECOND_NS + offset, end

    def label(self, at: float) -> str:
        """Return the text of the time at so many seconds from the start of the axis."""
        if not self.origins:
            return clock(self.start + at)
        moment = datetime.fromtimestamp(self.start + at).astimezone()
        return moment.strftime("%m-%d %H:%M" if self.span > _DAY else "%H:%M:%S" if self.span < 3600 else "%H:%M")

    def ticks(self) -> Iterator[float]:
        """Return the places of time labels, at most a dozen; at full hours or minutes of the local clock."""
        step = next((s for s in _STEPS if self.span / s <= _MOST_TICKS), 0)
        step = step or _DAY * math.ceil(self.span / _DAY / _MOST_TICKS)
        first = 0.0
        if self.origins:
            offset = datetime.fromtimestamp(self.start).astimezone().utcoffset()
            first = -(self.start + (offset.total_seconds() if offset else 0.0)) % step
        return (first + k * step for k in range(int((self.span - first) // step) + 1))


def timeline(report: RunReport, events: Sequence[Event]) -> str:
    """Draw an SVG picture with a band for each stream and type."""
    bands = _bands(events)
    if not bands:
        return "<p>No events in this run.</p>"
    axis = Axis.of(report, events)
    colours = {kind: _COLOURS[i % len(_COLOURS)] for i, kind in enumerate(sorted({kind for _, kind in bands}))}
    several = len(report.streams) > 1
    parts: list[str] = []
    top = 0
    for (stream, kind), found in bands.items():
        rows = _stacked(found, axis)
        height = max(18, _BAR * len(rows)) + 8
        name = f"{stream}: {kind}" if several else kind
        parts.append(f'<rect class=band x="{_LEFT}" y="{top + 2}" width="{_WIDTH}" height="{height - 4}" rx="3"/>')
        parts.append(f'<text x="{_LEFT - 10}" y="{top + height / 2 + 5}" text-anchor="end">{text(name)}</text>')
        thick = (height - 8) / len(rows)
        for row, bars in enumerate(rows):
            parts += [_mark(event, axis, top + 4 + row * thick, thick - 1, colours[kind]) for event in bars]
        top += height
    over = "wall-clock time" if axis.origins else "media time"
    start = f'<svg viewBox="0 0 {_LEFT + _WIDTH + 20} {top + 28}" role="img" aria-label="events over {over}">'
    return "".join([start, *_scale(axis, top), *parts, "</svg>"])


def _bands(events: Sequence[Event]) -> dict[tuple[str, str], list[Event]]:
    """Group events by (stream, type); of an episode, take its last event."""
    last: dict[tuple[str, str, str, str, str], Event] = {}
    for event in events:
        unique = event.id if event.phase == "instant" else ""
        last[event.stream, event.type, event.plugin, event.episode, unique] = event
    bands: dict[tuple[str, str], list[Event]] = {}
    for event in last.values():
        bands.setdefault((event.stream, event.type), []).append(event)
    return dict(sorted(bands.items()))


def _stacked(found: Sequence[Event], axis: Axis) -> list[list[Event]]:
    """Arrange the events of one band in rows without overlap; events without room go into the last row."""
    rows: list[list[Event]] = []
    ends: list[float] = []
    least = 4.0 * axis.span / _WIDTH
    for event in sorted(found, key=lambda event: event.start_ns):
        start, end = axis.times(event)
        row = next((row for row, until in enumerate(ends) if until <= start), len(rows))
        if row == len(rows) and row < _MOST_ROWS:
            rows.append([])
            ends.append(-math.inf)
        row = min(row, len(rows) - 1)
        rows[row].append(event)
        ends[row] = max(ends[row], end, start + least)
    return rows


def _mark(event: Event, axis: Axis, y: float, height: float, colour: str) -> str:
    start, end = axis.times(event)
    x = _LEFT + _WIDTH * start / axis.span
    width = max(4.0, _WIDTH * (end - start) / axis.span)
    tip = f"{event.type} {axis.label(start)} - {axis.label(end)} {summary(event.data)}"
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2" fill="{colour}">'
        f"<title>{text(tip)}</title></rect>"
    )


def _scale(axis: Axis, y: int) -> Iterator[str]:
    for at in axis.ticks():
        x = _LEFT + _WIDTH * at / axis.span
        yield f'<line x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="{y + 4}" class=tick />'
        yield f'<text x="{x:.1f}" y="{y + 22}" text-anchor="middle" class=time>{axis.label(at)}</text>'


def clock(seconds: float) -> str:
    """Format hours, minutes and seconds, with tenths below ten minutes.

    >>> clock(3723.4), clock(1.2)
    ('1:02:03', '0:01.2')
    """
    tenths = round(10 * seconds)
    whole, tenth = divmod(tenths, 10)
    if whole >= 3600:
        return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    return f"{whole // 60}:{whole % 60:02d}" + (f".{tenth}" if whole < 600 else "")


__all__ = ["Axis", "clock", "timeline"]
