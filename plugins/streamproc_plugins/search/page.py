"""Search hits as a page of one file."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from streamproc.events import utc_text
from streamproc_plugins.search.query import Hit

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--quiet:#66707d;--ground:#f6f7f9;--card:#fff;--line:#dfe3e8}
@media(prefers-color-scheme:dark){:root{--ink:#e8ebef;--quiet:#97a1ad;--ground:#14171c;--card:#1e232a;--line:#303740}}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.45 system-ui,sans-serif}
main{max-width:1100px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:22px;margin:0 0 4px}h2{font-size:16px;margin:28px 0 10px}
p{margin:0;color:var(--quiet)}ul{list-style:none;margin:0;padding:0;display:grid;gap:14px;
grid-template-columns:repeat(auto-fill,minmax(190px,1fr))}
li{background:var(--card);border:1px solid var(--line);border-radius:8px;overflow:hidden}
figure{margin:0;height:150px;display:grid;place-items:center;background:#0d1014}
img{max-width:100%;max-height:150px}
.none{color:#8a94a0}div{padding:8px 10px}b{font-variant-numeric:tabular-nums}small{color:var(--quiet);display:block}
"""


def page(title: str, hits: Sequence[Hit], asked: bytes | None = None) -> str:
    """HTML: the hits by stream, the best first, each with its picture, time and score. asked: the question, as JPEG."""
    streams = list(dict.fromkeys(hit.item.stream for hit in hits))
    count = f"{len(hits)} hit{'' if len(hits) == 1 else 's'}" if hits else "Nothing was found."
    question = f"<ul><li>{_picture(asked)}<div><b>asked for</b></div></li></ul>" if asked else ""
    sections = "".join(
        f"<h2>{escape(stream)}</h2><ul>{''.join(_card(hit) for hit in hits if hit.item.stream == stream)}</ul>"
        for stream in streams
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main><h1>{escape(title)}</h1>"
        f"<p>{count}</p>{question}{sections}</main></body></html>\n"
    )


def span(hit: Hit) -> str:
    """Media time of a hit.

    >>> clock(3_725_250_000_000)
    '1:02:05.2'
    """
    start, end = clock(hit.start_ns), clock(hit.end_ns)
    return start if start == end else f"{start} - {end}"


def clock(time_ns: int) -> str:
    """Media time as h:mm:ss.t."""
    tenths = time_ns // 100_000_000
    return f"{tenths // 36000}:{tenths // 600 % 60:02d}:{tenths // 10 % 60:02d}.{tenths % 10}"


def _card(hit: Hit) -> str:
    item = hit.item
    lines = [f"<b>{span(hit)}</b>"]
    if item.captured_ns is not None:
        lines.append(f"<small>{escape(utc_text(item.captured_ns)[:19])} UTC</small>")
    label = " ".join(part for part in (item.label, f"#{item.track_id}" if item.track_id is not None else "") if part)
    if label:
        lines.append(f"<small>{escape(label)}</small>")
    score = "" if hit.score is None else f"cosine {hit.score:.2f}"
    more = f"{hit.occurrences} times" if hit.occurrences > 1 else ""
    if score or more:
        lines.append(f"<small>{', '.join(part for part in (score, more) if part)}</small>")
    return f"<li>{_picture(item.thumbnail)}<div>{''.join(lines)}</div></li>"


def _picture(data: bytes | None) -> str:
    if data is None:
        return '<figure><span class="none">no picture stored</span></figure>'
    return f'<figure><img alt="" src="data:image/jpeg;base64,{base64.b64encode(data).decode()}"></figure>'


__all__ = ["clock", "page", "span"]
