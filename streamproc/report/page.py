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
from importlib.resources import files
from pathlib import Path
from typing import Any

from streamproc.engine import BUCKETS, RunReport
from streamproc.errors import StreamprocError
from streamproc.events import Event
from streamproc.exits import EXIT_CODES, INTERRUPTED, OK
from streamproc.frames import SECOND_NS
from streamproc.report.summary import summary, text
from streamproc.report.timeline import clock, timeline
from streamproc.report.troubles import gaps, troubles

_MOST_PICTURES = 60


def prepare_report(path: Path) -> None:
    """Raise `StreamprocError` early if a report can't be written to this path at the end of a run."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise StreamprocError(
            f"the report can't be written to {path} ({error.strerror}); choose another place"
        ) from error


def write_report(
    path: Path, report: RunReport, events: Sequence[Event], config: Mapping[str, Any] | None = None
) -> None:
    """Write the page of a run, whole or not at all, with its configuration if given.

    Raises `StreamprocError` where it can't be written.
    """
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


def render_report(report: RunReport, events: Sequence[Event], config: Mapping[str, Any] | None = None) -> str:
    """Return the page as HTML text."""
    here = files(__name__.rpartition(".")[0])
    style = (here / "report.css").read_text(encoding="utf-8")
    script = (here / "report.js").read_text(encoding="utf-8")
    sections = [
        _head(report),
        _section("Timeline", _first_only(report, events) + timeline(report, events)),
        _section("Pictures", _pictures(report, events)),
        _section("Events", _event_table(events, sum(report.events.values()))),
        _section("Ledger", _ledger(report)),
        _section("Plugins", _plugins(report)),
        _section("Sinks", _sinks(report)),
        _section("Configuration", f"<pre>{text(_yaml(config))}</pre>" if config else ""),
    ]
    title = ", ".join(stream.name for stream in report.streams)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>streamproc: {text(title)}</title><style>{style}</style></head><body><main>"
        f"{''.join(sections)}</main><script>{script}</script></body></html>\n"
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>" if body else ""


def _head(report: RunReport) -> str:
    code = report.exit_code
    # a live run is ended by Ctrl-C or a service manager: that is no fault
    state = "ok" if code == OK else "note" if code == INTERRUPTED else "bad"
    ledger = report.ledger
    media = sum(stream.media_s for stream in report.streams)
    facts = [
        (f"{ledger.observed:,}", "frames observed"),
        (f"{ledger.total('processed'):,}", "processed"),
        (f"{sum(report.events.values()):,}", "events"),
        (clock(media), "of video"),
        (f"{report.wall_s:.1f} s", "wall clock"),
        (f"{1000 * report.cpu_s / max(1, ledger.total('processed')):.1f} ms", "CPU per frame"),
    ]
    cards = "".join(f"<div class=card><b>{value}</b><span>{what}</span></div>" for value, what in facts)
    names = text(", ".join(stream.name for stream in report.streams))
    wrong = "".join(f"<li>{text(line)}</li>" for line in troubles(report))
    return (
        f"<header><h1>streamproc <span>{names}</span></h1>"
        f'<p class="{state}">exit code {code}: {text(EXIT_CODES[code])}</p>'
        + (f"<ul class=troubles>{wrong}</ul>" if wrong else "")
        + f"<div class=cards>{cards}</div></header>"
    )


def _first_only(report: RunReport, events: Sequence[Event]) -> str:
    """Return a sentence if the run had more events than the page holds."""
    total = sum(report.events.values())
    if total <= len(events):
        return ""
    return f"<p>This page holds the first {len(events):,} of {total:,} events; a sink holds them all.</p>"


def _pictures(report: RunReport, events: Sequence[Event]) -> str:
    sizes = {stream.name: stream.size for stream in report.streams}
    cards = []
    shown = [event for event in events if event.phase not in ("update", "end")]
    found = [(event, a) for event in shown for a in event.attachments[:1] if a.media_type.startswith("image/")]
    for event, picture in found[:_MOST_PICTURES]:
        data = base64.b64encode(picture.data).decode()
        when = f"{event.phase} {clock(event.pts_ns / SECOND_NS)}"
        caption = f"<b>{text(event.type)}</b> {when}<br>{text(summary(event.data))}"
        cards.append(
            f'<figure><div class=shot><img loading="lazy" alt="{text(event.type)}" '
            f'src="data:{text(picture.media_type)};base64,{data}">'
            f"{_box(event, sizes.get(event.stream, (0, 0)))}</div>"
            f"<figcaption>{caption}</figcaption></figure>"
        )
    more = f"<p>The first {_MOST_PICTURES} of {len(found):,} pictures.</p>" if len(found) > _MOST_PICTURES else ""
    return f"{more}<div class=pictures>{''.join(cards)}</div>" if cards else ""


def _box(event: Event, size: tuple[int, int]) -> str:
    """Return the event's box as an element over its picture, in fractions of it; empty where it has none."""
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


def _event_table(events: Sequence[Event], total: int) -> str:
    rows = []
    heads = ("stream", "type", "phase", "from s#", "to s#", "score#", "what")
    for event in events:
        end = "" if event.end_ns is None else f"{event.end_ns / SECOND_NS:.3f}"
        score = "" if event.score is None else f"{event.score:.2f}"
        cells = (
            event.stream,
            event.type,
            event.phase,
            f"{event.start_ns / SECOND_NS:.3f}",
            end,
            score,
            summary(event.data),
        )
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
        counts_text = "; ".join(f"{why} {count:,}" for why, count in sorted(reasons.items()))
        mended = ", ".join(f"{count} {kind}" for kind, count in stream.mended.items())
        stamps = mended and f"time stamps mended: {mended}"
        notes = "; ".join(part for part in (counts_text, stamps, gaps(stream), stream.error) if part)
        numbers = [page.observed, *(page.total(bucket) for bucket in BUCKETS), page.in_flight]
        rows.append([stream.name, *(f"{number:,}" for number in numbers), "yes" if page.closed else "NO", notes])
    counts = [f"{bucket.replace('_', ' ')}#" for bucket in BUCKETS]
    heads = ["stream", "observed#", *counts, "in flight#", "closed", "notes"]
    return _table(heads, rows)


def _plugins(report: RunReport) -> str:
    top = max([p.p95_s for s in report.streams for p in s.plugins] + [1e-9])
    rows = []
    for stream in report.streams:
        for plugin in stream.plugins:
            bar = f'<div class=bar style="width:{max(1.0, 100 * plugin.mean_s / top):.0f}px"></div>'
            verdicts = ", ".join(f"{count:,} {verdict}" for verdict, count in plugin.verdicts.items())
            times = [f"{1000 * value:.2f}" for value in (plugin.mean_s, plugin.p95_s, plugin.max_s)]
            note = f"switched off: it {plugin.off}" if plugin.off else "; ".join(plugin.remarks)
            rows.append([stream.name, plugin.name, plugin.type, f"{plugin.calls:,}", *times, bar, verdicts, note])
        rows.append([
            stream.name, "frame, end to end", "", f"{stream.ledger.total('processed'):,}",
            f"{1000 * stream.latency_mean_s:.2f}", f"{1000 * stream.latency_p95_s:.2f}", "", "", "", "",
        ])  # fmt: skip
    heads = [
        "stream", "plugin", "class", "calls#", "mean ms#", "p95 ms#", "max ms#", "", "outcomes", "notes",
    ]  # fmt: skip
    return _table(heads, rows, raw=7)


def _sinks(report: RunReport) -> str:
    rows = [
        [s.name, *(f"{n:,}" for n in (s.delivered, s.retries, s.undelivered, s.refused)), s.trouble]
        for s in report.sinks
    ]
    return _table(["sink", "delivered#", "retries#", "waiting#", "refused#", "trouble"], rows) if rows else ""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, raw: int = -1, identity: str = "") -> str:
    """Return a table; heads that end in `#` are over numbers; the column `raw` holds HTML already."""
    side = [" class=n" if name.endswith("#") else "" for name in heads]
    head = "".join(f"<th{side[i]}>{text(name.removesuffix('#'))}</th>" for i, name in enumerate(heads))
    body = "".join(
        f"<tr>{''.join(f'<td{side[i]}>{cell if i == raw else text(cell)}</td>' for i, cell in enumerate(row))}</tr>"
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


__all__ = ["prepare_report", "render_report", "write_report"]
