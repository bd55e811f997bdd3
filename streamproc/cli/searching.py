"""The command that searches the events of a database."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from streamproc.cli.console import out, say, show, table
from streamproc.errors import StreamprocError, counted, writing
from streamproc.eventstore import Found, Query, search
from streamproc.options import parse_duration
from streamproc.report.summary import summary


def show_events(database: Path, query: Query, *, last: str = "", as_json: bool, pictures: Path | None) -> None:
    """Show the events of a database that fit.

    query: `since` and `until` in local time, or with an offset.
    last: a duration such as `2h`, in place of `since`.
    pictures: a folder for the thumbnails.
    """
    since = _since(last, query.since)
    query = dataclasses.replace(query, since=since, until=_utc("--until", query.until))
    found = search(database, query)
    if pictures is not None:
        _write_pictures(found, pictures)
    if as_json:
        for hit in found:
            out(json.dumps(hit.record, ensure_ascii=False))
        return
    rows = [_row(hit) for hit in found]
    show(table("time", "stream", "from s#", "to s#", "event", "phase", "what", rows=rows), stdout=True)
    limit = " (the limit; see --limit)" if len(found) == query.limit else ""
    say(counted(len(found), "event") + limit)
    if not found and (query.since or query.until):
        _say_timeless(database, query)


def _row(hit: Found) -> Sequence[str]:
    data = hit.record["data"]
    end = "" if data["end_s"] is None else f"{data['end_s']:.3f}"
    when = _local(data["captured"])
    return when, data["stream"], f"{data['start_s']:.3f}", end, hit.record["type"], data["phase"], summary(data)


def _say_timeless(database: Path, query: Query) -> None:
    """Say that events of recordings have no time of day, where only those fit."""
    timeless = search(database, dataclasses.replace(query, since="", until="", limit=1))
    if timeless and timeless[0].record["data"]["captured"] is None:
        say("events of recordings have no time of day: leave --last, --since and --until out, or use --from and --to")


def _write_pictures(found: Sequence[Found], folder: Path) -> None:
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for hit in found:
            for name, data in hit.pictures.items():
                (folder / f"{hit.record['id']}-{name}.jpg").write_bytes(data)


def _since(last: str, since: str) -> str:
    if not last:
        return _utc("--since", since)
    if since:
        raise StreamprocError("--last and --since both say when to begin; give one of them")
    try:
        span = timedelta(microseconds=parse_duration(last) / 1000)
        return _text(datetime.now(UTC) - span)
    except (ValueError, OverflowError) as error:
        raise StreamprocError(f"--last: {error}") from None


def _utc(option: str, text: str) -> str:
    """A moment as it stands in events, UTC with microseconds; without an offset local time is meant."""
    if not text:
        return ""
    try:
        return _text(datetime.fromisoformat(text).astimezone(UTC))
    except (ValueError, OverflowError):
        said = f"{option} is {text!r}, expected a date or time such as 2026-05-01 or 2026-05-01T08:30+02:00"
        raise StreamprocError(said) from None


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _local(captured: str | None) -> str:
    """A moment of an event in local time, to the tenth of a second; empty where it is unknown."""
    if captured is None:
        return ""
    return datetime.fromisoformat(captured).astimezone().isoformat(" ", "milliseconds")[:21]


__all__ = ["show_events"]
