"""Writes the reference in docs/configuration.md from the models that check configurations, and the list of plugin
pages in docs/index.md; tests compare them.

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
INDEX = PAGE.with_name("index.md")
BEGIN = "<!-- from here on written by scripts/reference.py -->"
SECTIONS: tuple[tuple[str, str, type[BaseModel]], ...] = (
    (
        "`streams.NAME`",
        "The keys from `rate` to `reconnect_max` may stand under `defaults`, too, for all streams.",
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


def whole_index() -> str:
    """The index with its list of plugin pages made anew."""
    names = sorted(page.stem for page in (PAGE.parent / "plugins").glob("*.md"))
    listed = "".join(f"- [{name}](plugins/{name}.md)\n" for name in names)
    return INDEX.read_text(encoding="utf-8").partition(BEGIN)[0] + f"{BEGIN}\n\n{listed}"


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
    for page, text in ((PAGE, whole_page()), (INDEX, whole_index())):
        page.write_text(text, encoding="utf-8")
        sys.stdout.write(f"wrote {page}\n")
