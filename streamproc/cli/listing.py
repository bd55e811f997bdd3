"""Commands that show things: what is installed, schemas, repro bundles."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streamproc.cli.console import out, show, table
from streamproc.errors import StreamprocError, UnknownNameError, nearest
from streamproc.registry import Kind, Registry

KINDS: tuple[Kind, ...] = ("plugin", "source", "sink")


def list_installed() -> None:
    """A table of all sources, plugins and sinks, from package metadata alone."""
    registry = Registry()
    rows = [(kind, item.name, item.target, item.package) for kind in KINDS for item in registry.listings(kind)]
    show(table("kind", "name", "class", "package", rows=rows), stdout=True)
    out("streamproc plugins NAME explains one")


def explain(name: str) -> None:
    """Describe one installed name and list the options it takes."""
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


def show_replay(bundle: Path, modules: Sequence[str]) -> int:
    """Run a repro bundle, which may name these modules; the exit code."""
    from streamproc.engine import replay_bundle
    from streamproc.models import ModelStore

    if not bundle.is_file():
        raise StreamprocError(f"{bundle}: no such file; name a bundle that a failing plugin left in its state folder")
    replay = replay_bundle(bundle, Registry(), ModelStore(), modules)
    out(f"plugin: {replay.plugin}")
    out(f"then:   {replay.then}")
    out(f"now:    {replay.now or 'no failure'}")
    if replay.trace:
        out(replay.trace.rstrip())
    for note in replay.notes:
        out(f"note: {note}")
    return 0 if replay.same else 1


__all__ = ["explain", "list_installed", "print_schema", "show_replay"]
