"""Charts over media time, as SVG: curves, bars of what lasted, film strips on one common axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from scripts.pictures.page import INK, QUIET, RULE, WIDE, data_url

Scale = Callable[[float], float]
Spot = tuple[float, float]
"""x, y in pixels"""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Seconds from left to right; every chart below the other of one picture shares it."""

    start: float = 0.0
    end: float
    left: int = 130
    right: int = 14
    width: int = WIDE

    def x(self, at: float) -> float:
        """Pixels from the left."""
        return self.left + (at - self.start) / (self.end - self.start) * (self.width - self.left - self.right)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Values over time; a value that is not a number breaks the line."""

    times: Sequence[float]
    values: Sequence[float]
    name: str
    colour: str
    thick: float = 2.0
    dots: bool = False


@dataclass(frozen=True, kw_only=True)
class Level:
    """A level across a chart, such as a threshold."""

    value: float
    name: str
    colour: str = QUIET


@dataclass(frozen=True, kw_only=True)
class Bar:
    """Something that lasted."""

    start: float
    end: float
    text: str
    colour: str


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Something that happened at a moment."""

    at: float
    text: str
    colour: str


@dataclass(frozen=True, kw_only=True)
class Plot:
    """What a chart of curves is called and how it is scaled."""

    title: str = ""
    unit: str = ""
    low: float = 0.0
    """value at its foot; larger than `top` where it runs downwards"""
    top: float = 1.0
    high: int = 150
    """pixels"""


def text_wide(text: str, size: float = 12.5) -> float:
    """About as wide as a text will be, in pixels."""
    return len(text) * size * 0.61


def curves(axis: Axis, lines: Sequence[Curve], plot: Plot, levels: Sequence[Level] = ()) -> str:
    """Curves in one chart with a legend above."""
    head, foot = 26, 8

    def y(value: float) -> float:
        return head + (1 - (value - plot.low) / (plot.top - plot.low)) * (plot.high - head - foot)

    parts = [_grid(axis, y, plot), _legend(axis, lines, plot.title)]
    for level in levels:
        place = y(level.value)
        parts.append(_line((axis.left, place), (axis.width - axis.right, place), level.colour, dash="6 4"))
        parts.append(_text((axis.width - axis.right - 4, place - 4), level.name, level.colour, 12, "end"))
    parts += [_curve(axis, line, y) for line in lines]
    return _svg(axis, plot.high, parts)


def _grid(axis: Axis, y: Scale, plot: Plot) -> str:
    parts = []
    for part in range(3):
        value = plot.low + (plot.top - plot.low) * part / 2
        parts.append(_line((axis.left, y(value)), (axis.width - axis.right, y(value)), RULE))
        parts.append(_text((axis.left - 8, y(value) + 4), f"{value:.3g}{plot.unit}", QUIET, 12, "end"))
    return "".join(parts)


def _legend(axis: Axis, lines: Sequence[Curve], title: str) -> str:
    parts = [_text((0, 16), title, INK, 13.5, weight=700)] if title else []
    x = axis.width - axis.right - sum(text_wide(line.name) + 38 for line in lines if line.name)
    for line in lines:
        if not line.name:
            continue
        parts.append(_line((x, 12), (x + 20, 12), line.colour, 3))
        parts.append(_text((x + 26, 16), line.name, INK, 12.5))
        x += text_wide(line.name) + 38
    return "".join(parts)


def _curve(axis: Axis, line: Curve, y: Scale) -> str:
    times, values = np.asarray(line.times, float), np.asarray(line.values, float)
    path, before, parts = "", None, []
    for at, value in zip(times.tolist(), values.tolist(), strict=True):
        if not np.isfinite(value):
            before = None
            continue
        x, place = axis.x(at), y(value)
        path += f"{'M' if before is None else 'L'}{x:.1f},{place:.1f}"
        before = place
        if line.dots:
            parts.append(f'<circle cx="{x:.1f}" cy="{place:.1f}" r="3.2" fill="{line.colour}"/>')
    stroke = f'stroke="{line.colour}" stroke-width="{line.thick}" stroke-linejoin="round"'
    return f'<path d="{path}" fill="none" {stroke}/>' + "".join(parts)


def bars(axis: Axis, rows: Sequence[tuple[str, Sequence[Bar | Mark]]], *, high: int = 30) -> str:
    """Rows of bars and marks, each row with its name at the left."""
    parts = []
    for number, (name, things) in enumerate(rows):
        top = number * high
        parts.append(_text((0, top + high / 2 + 4.5), name, INK, 13.5, weight=700))
        parts.append(_line((axis.left, top + high / 2), (axis.width - axis.right, top + high / 2), RULE))
        parts += [_bar(axis, one, top, high) for one in things if isinstance(one, Bar)]
        marks = [one for one in things if isinstance(one, Mark)]
        nexts = [axis.x(one.at) for one in marks[1:]] + [float(axis.width)] * bool(marks)
        parts += [_mark(axis, one, top, high, after - axis.x(one.at)) for one, after in zip(marks, nexts, strict=True)]
    return _svg(axis, high * len(rows), parts)


def _bar(axis: Axis, bar: Bar, top: float, high: int) -> str:
    x, end = axis.x(bar.start), axis.x(bar.end)
    box = f'<rect x="{x:.1f}" y="{top + 4:.1f}" width="{max(end - x, 2):.1f}" height="{high - 8}" rx="4" '
    inside = text_wide(bar.text) + 8 < end - x
    left = text_wide(bar.text) + end + 8 > axis.width
    place, colour, anchor = ((x + end) / 2, "#fff", "middle") if inside else (end + 5, INK, "start")
    if left and not inside:
        place, anchor = x - 5, "end"
    return box + f'fill="{bar.colour}"/>' + _text((place, top + high / 2 + 4.5), bar.text, colour, 12.5, anchor)


def _mark(axis: Axis, mark: Mark, top: float, high: int, room: float) -> str:
    x, y = axis.x(mark.at), top + high / 2
    shape = f'<path d="M{x:.1f},{y - 8:.1f} l8,8 l-8,8 l-8,-8z" fill="{mark.colour}" stroke="#fff"/>'
    anchor, place = ("end", x - 12) if 20 + text_wide(mark.text) > room else ("start", x + 12)
    return shape + _text((place, y + 4.5), mark.text, INK, 12.5, anchor)


def scale(axis: Axis, *, step: float | None = None, unit: str = " s") -> str:
    """The seconds below everything."""
    span = axis.end - axis.start
    step = step or next(one for one in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60) if span / one <= 13)
    parts = []
    for number in range(int(np.floor(span / step + 1e-9)) + 1):
        at = axis.start + number * step
        parts.append(_line((axis.x(at), 0), (axis.x(at), 5), QUIET))
        last = axis.x(at) + 20 > axis.width
        parts.append(
            _text((axis.x(at) + (8 if last else 0), 18), f"{at:g}{unit}", QUIET, 12, "end" if last else "middle")
        )
    return _svg(axis, 22, parts)


def strip(
    axis: Axis, pictures: Sequence[tuple[float, NDArray[np.uint8]]], *, gap: float = 4, crisp: bool = False
) -> str:
    """Pictures side by side over the axis, in equal steps of time; each with a tick at its own moment below."""
    room = (axis.width - axis.right - axis.left) / len(pictures)
    shape = pictures[0][1].shape
    high = (room - gap) * shape[0] / shape[1]
    parts = []
    for number, (at, rgb) in enumerate(pictures):
        x = axis.left + number * room + gap / 2
        how = ' style="image-rendering:pixelated"' if crisp else ""
        place = f'x="{x:.1f}" y="0" width="{room - gap:.1f}" height="{high:.1f}"'
        parts.append(f'<image {place} href="{data_url(rgb)}" preserveAspectRatio="none"{how}/>')
        middle = axis.x(at)
        parts.append(f'<path d="M{middle:.1f},{high + 2:.1f} l5,7 h-10z" fill="{QUIET}"/>')
    return _svg(axis, round(high) + 11, parts)


def moments(axis: Axis, count: int) -> list[float]:
    """The middles of `count` equal parts of the axis: when to take the pictures of a strip."""
    step = (axis.end - axis.start) / count
    return [axis.start + (number + 0.5) * step for number in range(count)]


def _svg(axis: Axis, high: float, parts: Sequence[str]) -> str:
    size = f'width="{axis.width}" height="{high:.0f}" viewBox="0 0 {axis.width} {high:.0f}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>'


def _line(start: Spot, end: Spot, colour: str, thick: float = 1, dash: str = "") -> str:
    place = f'x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"'
    broken = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<line {place} stroke="{colour}" stroke-width="{thick}"{broken}/>'


def _text(at: Spot, text: str, colour: str, size: float, anchor: str = "start", weight: int = 400) -> str:
    how = f'font-size="{size}" fill="{colour}" text-anchor="{anchor}" font-weight="{weight}"'
    return f'<text x="{at[0]:.1f}" y="{at[1]:.1f}" {how}>{escape(text)}</text>'


__all__ = [
    "Axis", "Bar", "Curve", "Level", "Mark", "Plot", "bars", "curves", "moments", "scale", "strip", "text_wide",
]  # fmt: skip
