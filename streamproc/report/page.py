"""Renders the report: timeline, thumbnails, event table, ledger, stage latencies, configuration. No server, no scripts
from elsewhere: one file that can be mailed.
"""

from __future__ import annotations

import base64
import io
import json
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from streamproc.engine import BUCKETS, RunReport
from streamproc.errors import StreamprocError, redact
from streamproc.events import Event
from streamproc.exits import EXIT_CODES
from streamproc.frames import SECOND_NS
from streamproc.report.troubles import gaps, troubles

_COLOURS = ("#2f6fde", "#d9822b", "#1f9d61", "#b8405e", "#7a4fd0", "#0f9bb0", "#8a7a16", "#5c6b7a")
_BAR = 9
_MOST_ROWS = 8
_LEFT = 190
_WIDTH = 1000
_MOST_PICTURES = 60
_KNOWN = ("zone", "line", "direction", "count", "text")


def prepare_report(path: Path) -> None:
    """Raise `StreamprocError` now if a report can't be written there at the end of a run."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise StreamprocError(
            f"the report can't be written to {path} ({error.strerror}); choose another place"
        ) from error


def write_report(path: Path, report: RunReport, events: Sequence[Event], config: Mapping[str, Any]) -> None:
    """Write the page of a run, whole or not at all; raises `StreamprocError` where it can't be written."""
    page = render_report(report, events, config).encode("utf-8", "backslashreplace")
    half = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        half.write_bytes(page)
        half.replace(path)
    except OSError as error:
        raise StreamprocError(
            f"the report can't be written to {path} ({error.strerror}); free some room or choose another place"
        ) from error
    finally:
        with suppress(OSError):
            half.unlink(missing_ok=True)


def render_report(report: RunReport, events: Sequence[Event], config: Mapping[str, Any]) -> str:
    """The page as HTML text."""
    here = files(__name__.rpartition(".")[0])
    style = (here / "report.css").read_text(encoding="utf-8")
    script = (here / "report.js").read_text(encoding="utf-8")
    sections = [
        _head(report),
        _section("Timeline", _timeline(report, events)),
        _section("Pictures", _pictures(report, events)),
        _section("Events", _event_table(events, sum(report.events.values()))),
        _section("Ledger", _ledger(report)),
        _section("Plugins", _plugins(report)),
        _section("Sinks", _sinks(report)),
        _section("Configuration", f"<pre>{_text(_yaml(config))}</pre>"),
    ]
    title = ", ".join(stream.name for stream in report.streams)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>streamproc: {_text(title)}</title><style>{style}</style></head><body><main>"
        f"{''.join(sections)}</main><script>{script}</script></body></html>\n"
    )


def _text(value: object) -> str:
    """Text from outside as HTML, secrets taken out."""
    return escape(redact(str(value)))


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>" if body else ""


def _head(report: RunReport) -> str:
    code = report.exit_code
    state = "ok" if code == 0 else "bad"
    ledger = report.ledger
    media = sum(stream.media_s for stream in report.streams)
    facts = [
        (f"{ledger.seen:,}", "frames seen"),
        (f"{ledger.total('processed'):,}", "processed"),
        (f"{sum(report.events.values()):,}", "events"),
        (clock(media), "of video"),
        (f"{report.wall_s:.1f} s", "wall clock"),
        (f"{1000 * report.cpu_s / max(1, ledger.total('processed')):.1f} ms", "CPU per frame"),
    ]
    cards = "".join(f"<div class=card><b>{value}</b><span>{what}</span></div>" for value, what in facts)
    names = _text(", ".join(stream.name for stream in report.streams))
    wrong = "".join(f"<li>{_text(line)}</li>" for line in troubles(report))
    return (
        f"<header><h1>streamproc <span>{names}</span></h1>"
        f'<p class="{state}">exit code {code}: {_text(EXIT_CODES[code])}</p>'
        + (f"<ul class=troubles>{wrong}</ul>" if wrong else "")
        + f"<div class=cards>{cards}</div></header>"
    )


def _lanes(events: Sequence[Event]) -> dict[tuple[str, str], list[Event]]:
    """Events by (stream, type); an episode is told by its last record."""
    last: dict[tuple[str, str, str, str, str], Event] = {}
    for event in events:
        unique = event.id if event.phase == "instant" else ""
        last[event.stream, event.type, event.plugin, event.episode, unique] = event
    lanes: dict[tuple[str, str], list[Event]] = {}
    for event in last.values():
        lanes.setdefault((event.stream, event.type), []).append(event)
    return dict(sorted(lanes.items()))


def _timeline(report: RunReport, events: Sequence[Event]) -> str:
    lanes = _lanes(events)
    span = max([stream.media_s for stream in report.streams] + [e.pts_ns / SECOND_NS for e in events] + [1.0])
    colours = {kind: _COLOURS[i % len(_COLOURS)] for i, kind in enumerate(sorted({kind for _, kind in lanes}))}
    several = len(report.streams) > 1
    parts: list[str] = []
    top = 0
    for (stream, kind), told in lanes.items():
        rows = _stacked(told, span)
        height = max(18, _BAR * len(rows)) + 8
        name = f"{stream}: {kind}" if several else kind
        parts.append(f'<rect class=lane x="{_LEFT}" y="{top + 2}" width="{_WIDTH}" height="{height - 4}" rx="3"/>')
        parts.append(f'<text x="{_LEFT - 10}" y="{top + height / 2 + 5}" text-anchor="end">{_text(name)}</text>')
        thick = (height - 8) / len(rows)
        for row, bars in enumerate(rows):
            parts += [_mark(event, span, top + 4 + row * thick, thick - 1, colours[kind]) for event in bars]
        top += height
    if not lanes:
        return "<p>Nothing was told in this run.</p>"
    start = f'<svg viewBox="0 0 {_LEFT + _WIDTH + 20} {top + 28}" role="img" aria-label="events over media time">'
    return "".join([start, *_axis(span, top), *parts, "</svg>"])


def _stacked(told: Sequence[Event], span: float) -> list[list[Event]]:
    """Events of one lane in rows in which none covers another; what finds no room goes into the last."""
    rows: list[list[Event]] = []
    ends: list[float] = []
    least = 4.0 * span / _WIDTH
    for event in sorted(told, key=lambda event: event.start_ns):
        start, end = _times(event, span)
        row = next((row for row, until in enumerate(ends) if until <= start), len(rows))
        if row == len(rows) and row < _MOST_ROWS:
            rows.append([])
            ends.append(0.0)
        row = min(row, len(rows) - 1)
        rows[row].append(event)
        ends[row] = max(ends[row], end, start + least)
    return rows


def _times(event: Event, span: float) -> tuple[float, float]:
    """From when to when an event goes, in media seconds; what never ended goes on to the end of the run."""
    return event.start_ns / SECOND_NS, span if event.end_ns is None else event.end_ns / SECOND_NS


def _mark(event: Event, span: float, y: float, height: float, colour: str) -> str:
    start, end = _times(event, span)
    x = _LEFT + _WIDTH * start / span
    width = max(4.0, _WIDTH * (end - start) / span)
    tip = f"{event.type} {clock(start)} - {clock(end)} {_what(event)}"
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2" fill="{colour}">'
        f"<title>{_text(tip)}</title></rect>"
    )


def _axis(span: float, y: int) -> list[str]:
    step = next((s for s in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200) if span / s <= 12), 0)
    step = step or 14400 * math.ceil(span / 12 / 14400)
    parts = []
    for k in range(int(span // step) + 1):
        x = _LEFT + _WIDTH * k * step / span
        parts.append(f'<line x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="{y + 4}" class=tick />')
        parts.append(f'<text x="{x:.1f}" y="{y + 22}" text-anchor="middle" class=time>{clock(k * step)}</text>')
    return parts


def _pictures(report: RunReport, events: Sequence[Event]) -> str:
    sizes = {stream.name: stream.size for stream in report.streams}
    cards = []
    for event in events:
        picture = next((a for a in event.attachments if a.media_type.startswith("image/")), None)
        if picture is None or event.phase in ("update", "end"):
            continue
        data = base64.b64encode(picture.data).decode()
        caption = f"<b>{_text(event.type)}</b> {event.phase} {clock(event.pts_ns / SECOND_NS)}<br>{_text(_what(event))}"
        cards.append(
            f'<figure><div class=shot><img loading="lazy" alt="{_text(event.type)}" '
            f'src="data:{_text(picture.media_type)};base64,{data}">{_box(event, sizes.get(event.stream, (0, 0)))}</div>'
            f"<figcaption>{caption}</figcaption></figure>"
        )
        if len(cards) == _MOST_PICTURES:
            break
    return f"<div class=pictures>{''.join(cards)}</div>" if cards else ""


def _box(event: Event, size: tuple[int, int]) -> str:
    """The event's box as an element over its picture, in parts of the picture; empty where it has none."""
    box = event.data.get("box")
    if not isinstance(box, list | tuple) or len(box) != 4 or not min(size) or not all(map(_is_number, box)):
        return ""
    sides = [min(max(side, 0), size[i % 2]) / size[i % 2] for i, side in enumerate(box)]
    left, top, right, bottom = sides
    return (
        f'<i style="left:{left:.2%};top:{top:.2%};width:{max(0.0, right - left):.2%};'
        f'height:{max(0.0, bottom - top):.2%}"></i>'
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(min(max(value, -1), 1))


def _what(event: Event) -> str:
    """What the event says of itself: who, the field's common words, then whatever else its plugin added."""
    who = " ".join(f"{mark}{event.data[key]}" for key, mark in (("label", ""), ("track_id", "#")) if key in event.data)
    known = [f"{key} {event.data[key]}" for key in _KNOWN if key in event.data]
    own = [
        f"{key} {round(value, 3):g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in event.data.items()
        if key not in _KNOWN and key not in ("box", "label", "track_id") and isinstance(value, str | int | float)
    ]
    return ", ".join([*filter(None, [who]), *known, *own])


def _event_table(events: Sequence[Event], total: int) -> str:
    rows = []
    heads = ("stream", "type", "phase", "from s#", "to s#", "score#", "what")
    for event in events:
        end = "" if event.end_ns is None else f"{event.end_ns / SECOND_NS:.3f}"
        score = "" if event.score is None else f"{event.score:.2f}"
        cells = (event.stream, event.type, event.phase, f"{event.start_ns / SECOND_NS:.3f}", end, score, _what(event))
        rows.append(cells)
    note = f"<p>{total - len(events):,} more are not shown.</p>" if total > len(events) else ""
    if not rows:
        return note
    search = '<input id="filter" type="search" placeholder="filter events" aria-label="filter events">'
    return search + _table(heads, rows, identity="events") + note


def _ledger(report: RunReport) -> str:
    rows = []
    for stream in report.streams:
        page = stream.ledger
        reasons = Counter({f"{bucket.replace('_', ' ')}: {why}": n for (bucket, why), n in page.buckets.items() if why})
        told = "; ".join(f"{why} {count:,}" for why, count in sorted(reasons.items()))
        mended = ", ".join(f"{count} {kind}" for kind, count in stream.mended.items())
        stamps = mended and f"time stamps mended: {mended}"
        notes = "; ".join(part for part in (told, stamps, gaps(stream), stream.error) if part)
        numbers = [page.seen, *(page.total(bucket) for bucket in BUCKETS), page.in_flight]
        rows.append([stream.name, *(f"{number:,}" for number in numbers), "yes" if page.closed else "NO", notes])
    counts = [f"{bucket.replace('_', ' ')}#" for bucket in BUCKETS]
    heads = ["stream", "seen#", *counts, "in flight#", "closed", "notes"]
    return _table(heads, rows)


def _plugins(report: RunReport) -> str:
    top = max([p.p95_s for s in report.streams for p in s.plugins] + [1e-9])
    rows = []
    for stream in report.streams:
        for plugin in stream.plugins:
            bar = f'<div class=bar style="width:{max(1.0, 100 * plugin.mean_s / top):.0f}px"></div>'
            verdicts = ", ".join(f"{count:,} {verdict}" for verdict, count in plugin.verdicts.items())
            times = [f"{1000 * value:.2f}" for value in (plugin.mean_s, plugin.p95_s, plugin.max_s)]
            note = f"switched off: it {plugin.off}" if plugin.off else ""
            rows.append([stream.name, plugin.name, plugin.type, f"{plugin.calls:,}", *times, bar, verdicts, note])
        rows.append([
            stream.name, "frame, end to end", "", f"{stream.ledger.total('processed'):,}",
            f"{1000 * stream.latency_mean_s:.2f}", f"{1000 * stream.latency_p95_s:.2f}", "", "", "", "",
        ])  # fmt: skip
    heads = [
        "stream", "plugin", "class", "calls#", "mean ms#", "p95 ms#", "max ms#", "", "calls that came to", "notes",
    ]  # fmt: skip
    return _table(heads, rows, raw=7)


def _sinks(report: RunReport) -> str:
    rows = [
        [s.name, *(f"{n:,}" for n in (s.delivered, s.retries, s.undelivered, s.refused)), s.trouble]
        for s in report.sinks
    ]
    return _table(["sink", "delivered#", "retries#", "waiting#", "refused#", "trouble"], rows) if rows else ""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, raw: int = -1, identity: str = "") -> str:
    """A table; heads that end in `#` stand over numbers; the column `raw` holds HTML already."""
    side = [" class=n" if name.endswith("#") else "" for name in heads]
    head = "".join(f"<th{side[i]}>{_text(name.removesuffix('#'))}</th>" for i, name in enumerate(heads))
    body = "".join(
        f"<tr>{''.join(f'<td{side[i]}>{cell if i == raw else _text(cell)}</td>' for i, cell in enumerate(row))}</tr>"
        for row in rows
    )
    name = f" id={identity}" if identity else ""
    return f"<div class=scroll><table{name}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _yaml(config: Mapping[str, Any]) -> str:
    from ruamel.yaml import YAML

    text = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = None
    yaml.dump(json.loads(json.dumps(config)), text)
    return text.getvalue()


def clock(seconds: float) -> str:
    """Hours, minutes and seconds, with tenths below ten minutes.

    >>> clock(3723.4), clock(1.2)
    ('1:02:03', '0:01.2')
    """
    tenths = round(10 * seconds)
    whole, tenth = divmod(tenths, 10)
    if whole >= 3600:
        return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    return f"{whole // 60}:{whole % 60:02d}" + (f".{tenth}" if whole < 600 else "")


__all__ = ["clock", "prepare_report", "render_report", "write_report"]
