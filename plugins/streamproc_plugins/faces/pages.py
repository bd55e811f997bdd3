"""Pages that the commands write: a curve, a contact sheet. One file each, no scripts, nothing from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from streamproc.errors import counted
from streamproc_plugins.faces.verification import Curve, cosine_of
from streamproc_plugins.jpeg import to_jpeg

COLUMNS = ("distance", "accuracy", "balanced", "precision", "recall")
_COLOURS = {"accuracy": "#1667b7", "balanced": "#7a3fb0", "precision": "#20884a", "recall": "#c4561a"}
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em; color: #16181c; }
h1 { font-size: 1.4em; } h2 { font-size: 1.05em; margin: 1.6em 0 .4em; } svg { width: 100%; height: auto; }
table { border-collapse: collapse; } td, th { padding: .15em .8em; text-align: right; }
.faces { display: flex; flex-wrap: wrap; gap: 6px; } figure { margin: 0; width: 112px; }
img { width: 112px; height: 112px; border-radius: 4px; display: block; }
figcaption { font-size: 11px; color: #555; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
"""
_WIDTH, _HEIGHT, _LEFT, _TOP = 720, 300, 40, 10


def curve_page(curve: Curve, subject: str) -> str:
    """The curve as a page: a plot, the best rows, the whole table."""
    lines = "".join(_line(curve, name) for name in _COLOURS)
    keys = " · ".join(f'<span style="color:{colour}">{name}</span>' for name, colour in _COLOURS.items())
    best = float(curve.distance[curve.best])
    rows = "".join(
        f"<tr>{''.join(f'<td>{float(getattr(curve, name)[row]):.3f}</td>' for name in COLUMNS)}"
        f"<td>{float(cosine_of(curve.distance[row])):.3f}</td></tr>"
        for row in range(len(curve.distance))
    )
    heads = "".join(f"<th>{name}</th>" for name in (*COLUMNS, "cosine"))
    return _page(
        "Verification threshold",
        f"<p>{escape(subject)}: {curve.same} pairs of one person, {curve.different} of two. Most accurate at a "
        f"distance of {best:.2f} (cosine {float(cosine_of(best)):.3f}): {float(curve.accuracy[curve.best]):.3f}.</p>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="curve">{_axes(curve)}{lines}'
        f'<line x1="{_x(curve, best):.1f}" x2="{_x(curve, best):.1f}" y1="{_TOP}" y2="{_HEIGHT - 30}" stroke="#999" '
        f'stroke-dasharray="4 3"/></svg><p>{keys}</p><table><tr>{heads}</tr>{rows}</table>',
    )


def _x(curve: Curve, distance: float) -> float:
    low, high = float(curve.distance[0]), float(curve.distance[-1])
    return _LEFT + (distance - low) / max(high - low, 1e-9) * (_WIDTH - _LEFT - 10)


def _y(value: float) -> float:
    return _TOP + (1 - value) * (_HEIGHT - 30 - _TOP)


def _line(curve: Curve, name: str) -> str:
    values = getattr(curve, name)
    points = " ".join(
        f"{_x(curve, float(d)):.1f},{_y(float(v)):.1f}" for d, v in zip(curve.distance, values, strict=True)
    )
    return f'<polyline points="{points}" fill="none" stroke="{_COLOURS[name]}" stroke-width="2"/>'


def _axes(curve: Curve) -> str:
    parts = []
    for value in (0, 0.25, 0.5, 0.75, 1):
        y = _y(value)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" font-size="12">{value:g}</text>')
    for distance in curve.distance[::10]:
        x = _x(curve, float(distance))
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 12}" text-anchor="middle" font-size="12">{distance:.1f}</text>')
    return "".join(parts)


def contact_sheet(groups: Sequence[Sequence[tuple[NDArray[np.uint8], str]]]) -> str:
    """Faces (uint8 (112, 112, 3), with a caption) group by group."""
    parts = [
        f"<h2>Group {number}, {counted(len(group), 'face')}</h2>"
        f"<div class=faces>{''.join(_figure(*face) for face in group)}</div>"
        for number, group in enumerate(groups, 1)
    ]
    return _page("Faces by person", "".join(parts))


def _figure(face: NDArray[np.uint8], caption: str) -> str:
    picture = base64.b64encode(to_jpeg(face)).decode()
    escaped = escape(caption, quote=True)
    caption = f'<figcaption title="{escaped}">{escaped}</figcaption>'
    return f'<figure><img src="data:image/jpeg;base64,{picture}" alt="">{caption}</figure>'


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1>{body}</body></html>\n"
    )
