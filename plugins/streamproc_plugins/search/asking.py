"""A question of `streamproc search`: checked, asked, its answer written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streamproc import PluginError
from streamproc.errors import counted
from streamproc.events import utc_text
from streamproc.models import ModelStore
from streamproc_plugins.search.memory import Memory, memories
from streamproc_plugins.search.page import page, span
from streamproc_plugins.search.query import Hit, Wanted, by_face, by_picture, by_words, utc_ns
from streamproc_plugins.search.thumbnails import thumbnail
from streamproc_plugins.storage import write_private


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The command line's question."""

    memory: Path
    image: Path | None
    objects: bool
    face: Path | None
    text: str
    events: Path | None
    stream: str
    from_s: float | None
    to_s: float | None
    since: str
    until: str
    least: float
    together_s: float
    limit: int

    def wanted(self) -> Wanted:
        """The filters."""
        return Wanted(
            limit=self.limit, stream=self.stream, from_s=self.from_s, to_s=self.to_s, least=self.least,
            since_ns=_utc_ns("--since", self.since), until_ns=_utc_ns("--until", self.until),
            together_s=self.together_s,
        )  # fmt: skip


def ask(question: Question, *, as_json: bool, html: Path | None) -> None:
    """Answer on stdout, and as a page where one is wanted. Raises `PluginError` for an invalid question."""
    given = [name for name in ("image", "face", "text") if getattr(question, name)]
    if len(given) != 1:
        raise PluginError(
            f"got {' and '.join('--' + name for name in given) or 'no question'}; ask by one of --image, --face, --text"
        )
    if not -1 <= question.least <= 1:
        raise PluginError(f"--least is {question.least:g}, expected a cosine of -1 to 1")
    if question.events is not None and not question.text:
        raise PluginError("--events goes with --text; pictures and faces are searched in the memory itself")
    opened = memories(question.memory)
    try:
        hits = _answer(question, opened)
    finally:
        for memory in opened:
            memory.close()
    _show(hits, as_json)
    if html is not None:
        _write(html, question, hits)


def _answer(question: Question, opened: Sequence[Memory]) -> list[Hit]:
    wanted, models = question.wanted(), ModelStore()
    if question.image is not None:
        return by_picture(opened, question.image, "objects" if question.objects else "frames", wanted, models)
    if question.face is not None:
        return by_face(opened, question.face, wanted, models)
    return by_words(opened, question.events, question.text, wanted)


def _show(hits: Sequence[Hit], as_json: bool) -> None:
    import typer

    for hit in hits:
        item = hit.item
        if as_json:
            typer.echo(json.dumps(_plain(hit), ensure_ascii=False))
            continue
        score = "     " if hit.score is None else f"{hit.score:5.2f}"
        when = "" if item.captured_ns is None else f"  {utc_text(item.captured_ns)[:19]}Z"
        what = " ".join(str(part) for part in (item.label, item.track_id) if part not in ("", None))
        typer.echo(f"{score}  {item.stream}  {span(hit)}{when}  {what}".rstrip())
    if not as_json:
        typer.echo(counted(len(hits), "hit") if hits else "nothing was found", err=True)


def _plain(hit: Hit) -> dict[str, object]:
    item = hit.item
    return {
        "stream": item.stream, "kind": item.kind, "start_s": round(hit.start_ns / 1e9, 6),
        "end_s": round(hit.end_ns / 1e9, 6), "best_s": round(item.pts_ns / 1e9, 6), "frame": item.frame,
        "captured": None if item.captured_ns is None else utc_text(item.captured_ns),
        "score": None if hit.score is None else round(hit.score, 4), "seen": hit.occurrences, "label": item.label,
        "track_id": item.track_id, "box": item.box,
    }  # fmt: skip


def _write(html: Path, question: Question, hits: Sequence[Hit]) -> None:
    asked, title = None, f"Search: {question.text}"
    photo = question.image or question.face
    if photo is not None:
        from streamproc_plugins.faces.enrolment import read_photo

        rgb = read_photo(photo)
        asked = thumbnail(rgb, (0, 0, rgb.shape[1], rgb.shape[0]), 240)
        title = f"Search: {photo.name}"
    write_private(html, page(title, hits, asked).encode())  # it shows people


def _utc_ns(option: str, text: str) -> int | None:
    if not text:
        return None
    try:
        return utc_ns(text)
    except ValueError:
        raise PluginError(f"{option} is {text!r}, expected a time such as 2026-05-01 or 2026-05-01T08:30") from None


__all__ = ["Question", "ask"]
