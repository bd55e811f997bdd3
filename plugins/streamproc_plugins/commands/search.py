"""`streamproc search`. Light to import: heavy modules are loaded when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def search(  # noqa: PLR0913, PLR0917 - one parameter an option
    memory: Annotated[Path, typer.Argument(help="folder that `remember` writes, or one above")],
    image: Annotated[Path | None, typer.Option("--image", help="find pictures and objects like this one")] = None,
    objects: Annotated[bool, typer.Option("--objects", help="with --image: objects instead of whole pictures")] = False,
    face: Annotated[Path | None, typer.Option("--face", help="find the person on this photo")] = None,
    text: Annotated[str, typer.Option("--text", help="find words in labels, and in --events")] = "",
    events: Annotated[Path | None, typer.Option("--events", help="database that a sqlite sink wrote")] = None,
    stream: Annotated[str, typer.Option("--stream", help="of this stream")] = "",
    from_s: Annotated[float | None, typer.Option("--from", help="media seconds, at the earliest")] = None,
    to_s: Annotated[float | None, typer.Option("--to", help="media seconds, at the latest")] = None,
    since: Annotated[str, typer.Option("--since", help="UTC, at the earliest")] = "",
    until: Annotated[str, typer.Option("--until", help="UTC, before")] = "",
    least: Annotated[float, typer.Option("--least", help="lowest cosine of a hit, -1 to 1")] = 0.3,
    together: Annotated[float, typer.Option("--together", help="seconds within which hits are one")] = 3.0,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="at most so many")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
    html: Annotated[Path | None, typer.Option("--html", help="write a page with pictures here")] = None,
) -> None:
    """Find stored pictures, objects and faces: by a picture, a face, or words."""
    from streamproc_plugins.search.asking import Question, ask

    question = Question(
        memory=memory, image=image, objects=objects, face=face, text=text, events=events, stream=stream, from_s=from_s,
        to_s=to_s, since=since, until=until, least=least, together_s=together, limit=limit,
    )  # fmt: skip
    ask(question, as_json=as_json, html=html)


__all__ = ["search"]
