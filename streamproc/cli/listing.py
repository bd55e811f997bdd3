"""Commands that show things: what is installed, schemas, events, repro bundles."""

from __future__ import annotations

import dataclasses
import inspect
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streamproc.cli.console import out, say, show, table
from streamproc.errors import StreamprocError, UnknownNameError, counted, nearest, writing
from streamproc.registry import Kind, Registry

KINDS: tuple[Kind, ...] = ("plugin", "source", "sink")


def list_installed() -> None:
    """A table of all sources, plugins and sinks, from package metadata alone."""
    registry = Registry()
    rows = [(kind, item.name, item.target, item.package) for kind in KINDS for item in registry.listings(kind)]
    show(table("kind", "name", "class", "package", rows=rows), stdout=True)
    out("streamproc plugins NAME explains one")


def explain(name: str) -> None:
    """What one is and which options it takes."""
    registry = Registry()
    kinds = [kind for kind in KINDS if name in registry.names(kind)] or (["plugin"] if ":" in name else [])
    if not kinds:
        known = [other for kind in KINDS for other in registry.names(kind)]
        raise UnknownNameError(f"nothing installed is called {name!r}{nearest(name, known)}; see: streamproc plugins")
    for kind in kinds:
        _explain(kind, name, getattr(registry, kind)(name))


def _explain(kind: str, name: str, cls: Any) -> None:
    from streamproc.cli.describe import describe

    out(f"{kind} {name} ({cls.__module__}:{cls.__qualname__})")
    out(inspect.cleandoc(cls.__doc__ or ""))
    for role in ("needs", "uses", "gives"):
        if found := getattr(cls, role, ()):
            out(f"{role}: {', '.join(item.__name__ for item in found)}")
    rows = [(row.key, row.type, row.default, row.text) for row in describe(cls.options_type)]
    if rows:
        show(table("option", "type", "default", "what it does", rows=rows), stdout=True)


def print_schema(what: str) -> None:
    """The JSON Schema of configurations or events."""
    if what == "event":
        from streamproc.schemas import event_schema

        out(json.dumps(event_schema(), indent=2))
    elif what == "config":
        from streamproc.config import config_schema

        out(json.dumps(config_schema(Registry()), indent=2))
    else:
        raise StreamprocError(f"there is no schema {what!r}{nearest(what, ['config', 'event'])}; it is config or event")


def show_events(database: Path, query: Any, *, as_json: bool, pictures: Path | None) -> None:
    """The events of a database that fit."""
    from streamproc.eventstore import search

    query = dataclasses.replace(query, since=_utc("--since", query.since), until=_utc("--until", query.until))
    found = search(database, query)
    if pictures is not None:
        with writing(pictures):
            pictures.mkdir(parents=True, exist_ok=True)
            for hit in found:
                for name, data in hit.pictures.items():
                    (pictures / f"{hit.record['id']}-{name}.jpg").write_bytes(data)
    if as_json:
        for hit in found:
            out(json.dumps(hit.record, ensure_ascii=False))
        return
    rows = []
    for hit in found:
        data = hit.record["data"]
        end = "" if data["end_s"] is None else f"{data['end_s']:.3f}"
        what = ", ".join(
            f"{key} {data[key]}" for key in ("label", "track_id", "zone", "line", "direction") if key in data
        )
        when = data["captured"] or ""
        rows.append((when, data["stream"], f"{data['start_s']:.3f}", end, hit.record["type"], data["phase"], what))
    show(table("captured", "stream", "from s#", "to s#", "event", "phase", "what", rows=rows), stdout=True)
    say(counted(len(found), "event") + (" (the limit)" if len(found) == query.limit else ""))


def _utc(option: str, text: str) -> str:
    """A moment as it stands in events: UTC with microseconds; without an offset UTC is meant."""
    if not text:
        return ""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        said = f"{option} is {text!r}, expected a date or time such as 2026-05-01 or 2026-05-01T08:30+02:00"
        raise StreamprocError(said) from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def show_replay(bundle: Path) -> int:
    """Run a repro bundle; the exit code."""
    from streamproc.engine import replay_bundle
    from streamproc.models import ModelStore

    if not bundle.is_file():
        raise StreamprocError(f"{bundle}: no such file; name a bundle that a failing plugin left in its state folder")
    replay = replay_bundle(bundle, Registry(), ModelStore())
    out(f"plugin: {replay.plugin}")
    out(f"then:   {replay.then}")
    out(f"now:    {replay.now or 'no failure'}")
    if replay.trace:
        out(replay.trace.rstrip())
    for note in replay.notes:
        out(f"note: {note}")
    return 0 if replay.same else 1


__all__ = ["explain", "list_installed", "print_schema", "show_events", "show_replay"]
