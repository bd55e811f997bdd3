"""Pages that stand for a picture: rows of pictures and charts with their headings, in one hand."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

INK, QUIET, RULE = "#17202c", "#5d6876", "#dde2e8"
BLUE, ORANGE, GREEN, PURPLE, RED, TEAL, GOLD = (
    "#2563eb", "#e8590c", "#16874b", "#7c3aed", "#d12f2f", "#0e8b9c", "#c08a00",
)  # fmt: skip
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, TEAL, RED, GOLD)
WIDE = 1080
"""pixels between a page's margins"""
_STYLE = f"""
* {{ box-sizing: border-box; }}
body {{ margin: 0; padding: 18px 20px 0; background: #fff; color: {INK}; font: 15px/1.4 "DejaVu Sans", sans-serif; }}
section {{ margin: 0 0 14px; }} section:last-child {{ margin: 0; }}
h2 {{ font-size: 15px; margin: 0 0 7px; font-weight: 700; }} h2 span {{ font-weight: 400; color: {QUIET}; }}
.row {{ display: flex; gap: 14px; align-items: flex-start; }} .row > * {{ flex: 1 1 0; min-width: 0; }}
figure {{ margin: 0; }} figure img {{ width: 100%; display: block; border-radius: 5px; }}
figcaption {{ font-size: 13.5px; color: {QUIET}; margin-top: 5px; }} figcaption b {{ color: {INK}; }}
svg {{ display: block; }} svg text {{ font-family: "DejaVu Sans", sans-serif; }}
.film {{ gap: 6px; }} .film figcaption {{ font-size: 12.5px; text-align: center; margin-top: 3px; }}
.film img {{ border-radius: 3px; }} .crisp img {{ image-rendering: pixelated; }}
pre {{ margin: 0; font: 13.5px/1.5 "DejaVu Sans Mono", monospace; background: #f5f7f9; border: 1px solid {RULE};
border-radius: 5px; padding: 9px 12px; white-space: pre-wrap; }}
.said {{ font-size: 15px; margin: 6px 0 0; }}
"""


def page(*sections: str) -> str:
    """A whole page of sections."""
    body = "".join(f"<section>{one}</section>" for one in sections)
    return f'<!doctype html><meta charset="utf-8"><style>{_STYLE}</style><body>{body}</body>'


def heading(text: str, more: str = "") -> str:
    """A line above a row; `more` stands behind it, paler."""
    return f"<h2>{escape(text)}{f' <span>{escape(more)}</span>' if more else ''}</h2>"


def data_url(rgb: NDArray[np.uint8]) -> str:
    """A picture inside a page, without loss."""
    import cv2

    data = cv2.imencode(".png", np.ascontiguousarray(rgb[..., ::-1]))[1].tobytes()
    return "data:image/png;base64," + base64.b64encode(data).decode()


def figure(rgb: NDArray[np.uint8], caption: str = "") -> str:
    """A picture with a caption, which may hold HTML."""
    below = f"<figcaption>{caption}</figcaption>" if caption else ""
    return f'<figure><img src="{data_url(rgb)}" alt="">{below}</figure>'


def row(*parts: str, shares: Sequence[float] = (), kind: str = "") -> str:
    """Parts side by side; `shares`: how wide each is."""
    if shares:
        parts = tuple(f'<div style="flex: {share} 1 0">{part}</div>' for share, part in zip(shares, parts, strict=True))
    return f'<div class="row {kind}">{"".join(parts)}</div>'


def film(pictures: Sequence[NDArray[np.uint8]], captions: Sequence[str], *, crisp: bool = False) -> str:
    """A strip of small pictures, each with a word below."""
    cells = [figure(rgb, caption) for rgb, caption in zip(pictures, captions, strict=True)]
    return row(*cells, kind="film crisp" if crisp else "film")


__all__ = [
    "BLUE", "COLOURS", "GOLD", "GREEN", "INK", "ORANGE", "PURPLE", "QUIET", "RED", "RULE", "TEAL", "WIDE",
    "data_url", "figure", "film", "heading", "page", "row",
]  # fmt: skip
