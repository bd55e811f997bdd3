"""Writes the reference part of docs/configuration.md from the models that check configurations; a test compares them.

python scripts/reference.py
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from streamproc.cli.describe import Row, describe
from streamproc.config.document import (
    ChainEntry,
    FlowSection,
    PluginSection,
    RuntimeSection,
    StreamSection,
    Used,
)
from streamproc.errors import StreamprocError
from streamproc.registry import Kind, Registry

PAGE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
BEGIN = "<!-- from here on written by scripts/reference.py -->"
SECTIONS: tuple[tuple[str, str, type[BaseModel]], ...] = (
    (
        "`streams.NAME`",
        "The keys from `rate` to `reconnect` may stand under `defaults`, too, for all streams.",
        StreamSection,
    ),
    ("`streams.NAME.chain[]`", "An entry is a plugin's name, or a mapping with these keys.", ChainEntry),
    ("`streams.NAME.flow`", "", FlowSection),
    ("`plugins.NAME`", "", PluginSection),
    ("`sinks.NAME`", "", Used),
    ("`runtime`", "", RuntimeSection),
)
OWN_TABLE = frozenset({"flow", "source", "chain"})


def reference() -> str:
    """The whole generated part."""
    return "\n".join([BEGIN, "", *_sections(), *_installed()])


def whole_page() -> str:
    """The page with its generated part made anew."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[0] + reference()


def _sections() -> Iterator[str]:
    yield "## Keys\n"
    for title, note, model in SECTIONS:
        rows = [row for row in describe(model) if row.key.split(".")[0].split("[")[0] not in OWN_TABLE or _plain(row)]
        yield from [f"### {title}\n", *([f"{note}\n"] if note else []), *_table(rows), ""]


def _plain(row: Row) -> bool:
    return "." not in row.key and "[" not in row.key


def _installed() -> Iterator[str]:
    registry = Registry()
    kinds: tuple[Kind, ...] = ("source", "plugin", "sink")
    for kind in kinds:
        yield f"## Options of {kind}s\n"
        for item in registry.listings(kind):
            if item.package.split()[0] != "streamproc":
                continue
            try:
                cls: Any = getattr(registry, kind)(item.name)
            except StreamprocError as error:
                sys.stderr.write(f"left out: {error}\n")
                continue
            rows = describe(cls.options_type)
            said = inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].replace("\n", " ")
            yield from [f"### {kind} `{item.name}`\n", f"{said}\n"]
            yield from [*(_table(rows) if rows else ["It has no options."]), ""]


def _shown(default: str) -> str:
    return default if default in ("", "required") else f"`{default}`"


def _table(rows: list[Row]) -> Iterator[str]:
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    for row in rows:
        cells = (f"`{row.key}`", row.type, _shown(row.default), row.text)
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    PAGE.write_text(whole_page(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")
